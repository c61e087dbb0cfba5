"""Further pre-training with self-distillation: MAE, restart, hint, fine-tuning, at smoke scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workbench.data.images import build_data
from workbench.errors import BadInput
from workbench.export import export_run
from workbench.recipes import open_experiment
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.terms.views import Masked
from workbench.training.before import looked_ahead
from workbench.training.build import new_student, student_part
from workbench.training.journal import STAGE

from ..runs.touched import Hand, assert_same, killed, untouched_torch

CPU = torch.device("cpu")
STAGES = ("pretrain", "further", "restart")


def smoke(**changes: object) -> ExperimentSpec:
    """At smoke scale on fewer rows."""
    spec, _, _ = open_experiment("further-pretraining")
    fewer = {"data.limit": 400, "stages.pretrain.data.count": 200, "device": "cpu"}
    return spec.at_scale("smoke").replace({**fewer, **changes})


def trained(hand: Hand, **changes: object) -> str:
    """Train it without another look before step 0; returns its id."""
    accepted = accept(hand.store, smoke(**changes), base=Path.cwd(), threads=1)
    return hand.train(accepted, checks=False)


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    with (
        closing(Store(str(tmp_path_factory.mktemp("further") / "wb.db"))) as store,
        pytest.MonkeyPatch.context() as patch,
        untouched_torch(),
    ):
        yield Hand(store, patch)


@pytest.fixture(scope="module")
def run(hand: Hand) -> str:
    """The recipe at smoke scale with its control."""
    return hand.train(accept(hand.store, smoke(), base=Path.cwd(), threads=1))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory):
    """A batch of digits, the student, and its part under MAE alone."""
    spec = smoke(**{"stages.main.terms": {"mae": {"use": "mae"}}, "stages.main.rows": {}})
    path = tmp_path_factory.mktemp("network") / "workbench.db"
    with closing(Store(str(path))) as store, untouched_torch():
        data = build_data(spec.data, base=Path.cwd(), seed=0, device=CPU)
        model = new_student(spec, data, StoreKeeper(store, ""), CPU, None)
        yield model, student_part(spec, data, model, None, CPU)


# -- the recipe is the paper's ----------------------------------------------------------------


def test_its_knobs_are_those_of_the_paper():
    spec, _, _ = open_experiment("further-pretraining")
    for name in STAGES:
        stage = spec.stages[name]
        optimiser = stage.optimiser
        assert stage.terms["mae"].mask_ratio == 0.75
        assert (optimiser.beta1, optimiser.beta2, optimiser.weight_decay) == (0.9, 0.95, 0.01)
        assert stage.batch_size == 64 and stage.schedule.given().get("warmup", 0) == 0
    assert spec.stages["further"].steps == spec.stages["restart"].steps
    hint = spec.stages["restart"].terms["hint"]
    assert (hint.weight, hint.layer, hint.token) == (1.0, "norm", 0)
    assert [spec.start_of(name) for name in (*STAGES, "main")] == [
        None, "pretrain", "pretrain", "restart",
    ]  # fmt: skip
    paper = spec.at_scale("paper")
    assert paper.stages["further"].steps == paper.stages["restart"].steps == 20_000
    main = paper.stages["main"]
    assert (main.steps, main.batch_size, main.optimiser.lr) == (10_000, 32, 1e-4)
    assert paper.stages["restart"].optimiser.lr == 1.5e-4
    assert spec.control == {"stages.main.start": "further"}


def test_the_recipe_survives_the_round_trip_through_yaml(tmp_path):
    from workbench.specs.files import dump_yaml, read_yaml

    spec, _, _ = open_experiment("further-pretraining")
    for scale in ("demo", "smoke", "paper"):
        path = tmp_path / f"{scale}.yaml"
        path.write_text(dump_yaml(spec.at_scale(scale).given()), "utf-8")
        again = ExperimentSpec.parse(read_yaml(path))
        assert again == spec.at_scale(scale)
        assert again.full() == spec.at_scale(scale).full()


# -- the mechanism ----------------------------------------------------------------------------


def test_which_patches_stay_hangs_on_seed_step_and_sample_alone(network):
    model, part = network
    view = Masked("masked", ratio=0.75)
    batch = part.batch(0)
    order = torch.arange(len(batch.ids)).flip(0)[:20]  # other neighbours, other places
    other = replace(batch, ids=batch.ids[order], inputs=batch.inputs[order])
    keep = view(model, batch, 3, 5)["keep"]
    assert keep.shape == (32, 4), "a quarter of 16 patches"
    torch.testing.assert_close(view(model, other, 3, 5)["keep"], keep[order], rtol=0, atol=0)
    for seed, step in ((3, 6), (4, 5)):
        assert (view(model, batch, seed, step)["keep"] != keep).any()


def test_mae_leaves_the_classifier_without_a_gradient_and_moves_everything_else(network):
    model, part = network
    part.train_mode()
    _, found = part.forward(part.batch(0), 0)
    part.optimiser.zero_grad(set_to_none=True)
    found.total.backward()
    silent = {name for name, value in model.network.named_parameters() if value.grad is None}
    assert silent == {"classifier.weight", "classifier.bias"}
    assert all(
        bool((value.grad != 0).any())
        for name, value in model.network.named_parameters()
        if name not in silent
    )
    before = model.network.classifier.weight.detach().clone()
    part.set_rate(0)
    part.optimiser.step()
    torch.testing.assert_close(model.network.classifier.weight, before, rtol=0, atol=0)


def test_weights_that_mae_does_not_use_are_a_warning_and_no_stop(hand):
    spec = smoke(**{"stages.main.terms": {"mae": {"use": "mae"}}, "control": False})
    keeper = StoreKeeper(hand.store, "")
    checks = looked_ahead(spec, keeper, base=Path.cwd())["checks"]
    (found,) = [item for item in checks["found"] if item["check"] == "unused-weights"]
    assert found["severity"] == "warn" and "classifier.weight" in found["message"]


def test_the_target_of_the_restart_is_the_further_pre_trained_network(hand, run):
    """At weight 0 the hint is gone, and the restart is the further pre-training once more."""
    changes = {"stages.restart.terms.hint.weight": 0.0, "control": False}
    other = trained(hand, **changes)
    made = told(hand, other)
    assert made["restart"]["weights"] == made["further"]["weights"]
    assert told(hand, run)["restart"]["weights"] != told(hand, run)["further"]["weights"]


def test_student_and_control_are_fine_tuned_from_the_two_networks(hand, run):
    other = trained(hand, **{"stages.main.start": "further", "control": False})
    metrics = hand.row(run).result["metrics"]
    assert hand.row(other).result["metrics"]["student"] == metrics["control"]
    assert metrics["control"] != metrics["student"]
    rows = hand.store.runs.list(roles=None, group=other)
    assert {row.role for row in rows} == {"student"}, "all stages came from the cache"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": {"use": "cnn-small", "train": {"steps": 1}},
          "stages.main.terms": {"hint": {"use": "token-hint"}}},
         "token-hint: both networks need the layer 'norm'.*Take two vision transformers"),
        ({"stages.restart.terms.hint.token": 17},
         r"token-hint: token 17 of 'norm'.*\(17, 48\).*\(17, 48\)"),
        ({"stages.restart.terms.hint.layer": "logits"}, "token-hint: token 0 of 'logits'"),
        ({"student": {"use": "cnn-tiny"}}, "mae: the student has no layer of tokens.*vit-micro"),
    ],
)  # fmt: skip
def test_networks_without_such_tokens_are_refused_before_anything_trains(hand, changes, said):
    keeper = StoreKeeper(hand.store, "")
    with pytest.raises(BadInput, match=said):
        looked_ahead(smoke(**{**changes, "control": False}), keeper, base=Path.cwd())


# -- the same bits, however it comes about ----------------------------------------------------


@pytest.mark.parametrize("at", [("stage restart", 2), ("student", 4)])
def test_stopped_in_its_middle_and_resumed_it_ends_with_the_same_weights(hand, run, at, tmp_path):
    with closing(Store(str(tmp_path / "wb.db"))) as store, pytest.MonkeyPatch.context() as patch:
        fresh = Hand(store, patch)
        stopped = accept(store, smoke(), base=Path.cwd(), threads=1)
        part, step = at
        keep = (part, step - 1)
        acts = {keep: lambda: fresh.send(stopped, "checkpoint"), at: killed}
        fresh.train(stopped, checks=False, at=acts)
        assert fresh.row(stopped).status == "interrupted"
        fresh.train(stopped, checks=False)
        assert fresh.weights(stopped) == hand.weights(run)
        assert fresh.row(stopped).result["metrics"] == hand.row(run).result["metrics"]
        assert told(fresh, stopped) == told(hand, run)


def test_a_run_that_pauses_by_itself_and_one_that_does_not_are_the_same(hand, run):
    paused = accept(hand.store, smoke(), base=Path.cwd(), threads=1, pause_at=5)
    resume = lambda: hand.send(paused, "resume")  # noqa: E731
    hand.train(paused, checks=False, pause_at=5, paused=resume)
    assert_same(hand, paused, run, parts=("", "-control"))


def test_a_replay_is_equal(hand, run):
    found = hand.replay(run)
    assert found.equal, found.first_difference
    assert found.weights == hand.weights(run)


def test_the_exported_script_finds_the_same_numbers_in_another_process(hand, run, python, tmp_path):
    script = export_run(hand.store, run, "script", tmp_path / "further.py")
    done = python(script, "--check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bit for bit" in done.stdout


def told(hand: Hand, run: str) -> dict[str, dict[str, object]]:
    """What the journal says of each stage."""
    return {
        event.payload["stage"]: dict(event.payload)
        for event in hand.store.journal.events(run)
        if event.kind == STAGE
    }
