"""What moves a logit of both models of a small pair: the axioms, the null, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Run
from workbench.errors import BadInput, RefusedCommand, UnknownName
from workbench.functional.similarity import row_norms
from workbench.runs.attribution import NULL_SAMPLES, OpenPair, nearest_checkpoint
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store
from workbench.training.checkpoint import read_state

from ..small import SMALL


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(str(tmp_path_factory.mktemp("explained") / "workbench.db"))
    yield opened
    opened.close()


def trained(store: Store, **changes: object) -> str:
    spec = ExperimentSpec.parse({**SMALL, "probes": ["loyalty"], **changes})
    run = accept(store, spec, base=Path.cwd(), threads=1)
    assert work(str(store.path), run) == 0
    return run


@pytest.fixture(scope="module")
def run(store):
    return trained(store)


@pytest.fixture(scope="module")
def pair(store, run):
    return OpenPair.of(store, run)


@pytest.fixture(scope="module")
def ids(pair):
    return pair.data.split_ids("probe")


def test_the_pair_is_what_the_run_trained_and_what_taught_it(store, run, pair, ids):
    row = nearest_checkpoint(store, run, None)
    saved = read_state(store.runs.folder(run) / row.file)["network"]
    for name, values in pair.models["student"].network.state_dict().items():
        torch.testing.assert_close(values, saved[name], rtol=0, atol=0)
    snapshot = store.snapshots(run)[-1]
    for who in ("student", "teacher"):
        with torch.no_grad():
            said = pair.models[who](pair.data.fetch_full(ids).inputs).argmax(-1)
        np.testing.assert_array_equal(said.numpy(), snapshot.arrays[f"answers.{who}_class"])


@pytest.mark.parametrize("target", ["label", "student", "teacher", "7", 3])
def test_integrated_gradients_sum_to_what_the_logit_moved_from_black(pair, ids, target):
    found = pair.explain(int(ids[3]), target=target)
    for who, values in (("student", found.student_map), ("teacher", found.teacher_map)):
        inputs = torch.from_numpy(found.input)[None]
        with torch.no_grad():
            here, black = pair.models[who](torch.cat([inputs, torch.zeros_like(inputs)]))
        moved = float(here[found.target] - black[found.target])
        assert found.moved[who] == pytest.approx(moved, abs=1e-5)
        assert float(values.sum()) == pytest.approx(moved, abs=max(0.02 * abs(moved), 0.05))
        assert found.gap[who] == pytest.approx(abs(float(values.sum()) - moved), abs=1e-5)


def test_both_are_asked_about_the_same_class(pair, ids):
    found = pair.explain(int(ids[3]), target="student", method="saliency")
    assert found.target == found.said["student"]
    inputs = torch.from_numpy(found.input)[None].requires_grad_()
    pair.models["teacher"](inputs)[0, found.target].backward()
    assert inputs.grad is not None
    np.testing.assert_allclose(found.teacher_map, inputs.grad[0].abs().numpy(), atol=1e-6)


def test_similarity_stands_beside_that_of_maps_of_different_samples(pair, ids):
    found = pair.explain(int(ids[3]))
    both = [torch.from_numpy(one).flatten()[None] for one in (found.student_map, found.teacher_map)]
    cosine = float((both[0] * both[1]).sum() / (row_norms(both[0]) * row_norms(both[1])))
    assert found.similarity == pytest.approx(cosine, abs=1e-5)
    assert found.null_pairs == (NULL_SAMPLES + 1) * NULL_SAMPLES
    assert -1 <= found.null_median < found.null_p95 <= 1
    own = OpenPair(pair.run, pair.step, pair.checkpoint, pair.data,
                   dict.fromkeys(("student", "teacher"), pair.models["teacher"]))  # fmt: skip
    twin = own.explain(int(ids[3]))
    assert twin.similarity == pytest.approx(1, abs=1e-5)
    assert twin.null_p95 < 1, "a model is like itself on the same sample only"


def test_a_sample_of_the_null_is_not_compared_with_itself(pair, ids):
    first = pair.explain(int(ids[0]))  # the null is drawn from the first to the last
    assert first.null_pairs == (NULL_SAMPLES + 1) * NULL_SAMPLES
    np.testing.assert_array_equal(first.student_map, pair.explain(int(ids[0])).student_map)


def test_progress_counts_every_map_once_and_what_it_raises_ends_the_work(store, run, ids):
    told: list[tuple[int, int]] = []
    pair = OpenPair.of(store, run)
    pair.explain(int(ids[1]), told=lambda done, of: told.append((done, of)))
    assert told[-1] == (2 * (NULL_SAMPLES + 2),) * 2
    assert [done for done, _ in told] == sorted({done for done, _ in told})

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair.explain(int(ids[1]), method="saliency", told=stop)


def test_a_model_without_gradient_is_named_and_occlusion_still_answers(pair, ids):
    class Stepped(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return pair.models["student"](inputs.detach().round())

    blind = OpenPair(pair.run, pair.step, pair.checkpoint, pair.data,
                     {**pair.models, "student": Stepped()})  # fmt: skip
    with pytest.raises(RefusedCommand, match=r"student gives no gradient.*`occlusion`"):
        blind.explain(int(ids[2]))
    assert np.abs(blind.explain(int(ids[2]), method="occlusion").student_map).max() > 0


def test_what_is_no_sample_method_or_class_is_refused_by_name(pair, ids):
    unseen = int(pair.data.split_ids("test")[0])
    with pytest.raises(BadInput, match=rf"sample {unseen} is not one of the {len(ids)} probe"):
        pair.explain(unseen)
    with pytest.raises(UnknownName, match=r"attribution method 'salience'.*'saliency'"):
        pair.explain(int(ids[0]), method="salience")
    with pytest.raises(UnknownName, match=r"class to ask about 'eleven'"):
        pair.explain(int(ids[0]), target="eleven")
    with pytest.raises(BadInput, match=r"target 10: the data has classes 0 to 9"):
        pair.explain(int(ids[0]), target=10)


def test_a_run_explains_itself_in_python_from_the_nearest_checkpoint(store, run, pair, ids):
    found = Run(run, store).explain(int(ids[4]), method="saliency", step=3)
    assert found.step == pair.step == SMALL["stages"]["main"]["steps"]
    assert found.plain()["similarity"] == pytest.approx(found.similarity)
    assert found.student_map.shape == found.teacher_map.shape == found.input.shape == (1, 8, 8)


def test_a_run_without_a_checkpoint_says_when_there_will_be_one(store):
    waiting = accept(store, ExperimentSpec.parse(SMALL), base=Path.cwd(), threads=1)
    with pytest.raises(RefusedCommand, match=r"no checkpoint.*10 s after training begins"):
        Run(waiting, store).explain(0)


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_rows_of_a_table_count_from_the_mean_of_each_feature(store, tables, method):
    pair = OpenPair.of(store, tables)
    sample = int(pair.data.split_ids("probe")[0])
    found = pair.explain(sample, method=method)
    assert found.baseline == "the mean of each feature"
    assert found.student_map.shape == found.input.shape == (13,)
    model = pair.models["teacher"]
    row = torch.from_numpy(found.input)[None]
    with torch.no_grad():
        here = model(row)[0, found.target]
        if method == "occlusion":
            without = row.clone()
            without[0, 5] = model.mean[0, 5]
            assert found.teacher_map[5] == pytest.approx(
                float(here - model(without)[0, found.target]), abs=1e-5
            )
        else:
            moved = float(here - model(model.mean)[0, found.target])
            assert float(found.teacher_map.sum()) == pytest.approx(moved, rel=0.02, abs=0.02)


@pytest.fixture(scope="module")
def tables(store):
    network = {"use": "mlp"}
    return trained(store, data={"use": "wine"}, student=network,
                   teacher={**network, "train": {"steps": 20}})  # fmt: skip
