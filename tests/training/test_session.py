"""Laws of a whole run: what may change its bits, and what may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.data.images import ImageData
from workbench.errors import BadData, BadInput, BadModel, InvalidExperiment
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.models.weights import read_tensors, weights_hash
from workbench.targets.teacher import FrozenTeacher
from workbench.training import probing, session
from workbench.training.meter import Meter
from workbench.training.part import Part

TERMS = "stages.main.terms"
KD = f"{TERMS}.kd"


def test_the_same_run_twice_has_equal_weights_series_and_metrics(train, plain):
    again = train()
    assert again.weights == plain.weights
    np.testing.assert_array_equal(again.series().values, plain.series().values)
    assert again.metrics == plain.metrics


def test_the_stored_student_has_the_recorded_weights(plain):
    stored = read_tensors(plain.store.runs.folder(plain.run) / "student.safetensors")
    assert weights_hash(stored) == plain.weights


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"stages.main.optimiser.lr": 0.0101},
        {f"{KD}.temperature": 4.1},
        {f"{TERMS}.ce.weight": 0.11},
        {"data.labels_per_class": 5},
        {"data.augment": "shift"},
        {"stages.main.batch_size": 31},
        {"student.width": 5},
        {"teacher.train.steps": 21},
    ],
    ids=lambda changes: next(iter(changes)).rpartition(".")[2],
)
def test_everything_that_should_matter_changes_the_weights(train, plain, changes):
    assert train(changes).weights != plain.weights


def test_a_run_says_step_steps_and_a_row_a_step(plain):
    series = plain.series()
    assert series.columns == ("loss", "kd", "ce", "lr")
    assert series.steps.tolist() == list(range(1, 15))
    assert (plain.row.step, plain.row.steps, plain.row.status) == (14, 14, "finished")
    assert plain.store.snapshot_steps(plain.run) == plain.series("probe").steps.tolist()
    assert len(plain.store.snapshot_steps(plain.run)) >= 13
    assert {0, 14} <= set(plain.store.snapshot_steps(plain.run))
    total = series.column("kd") + series.column("ce")
    np.testing.assert_allclose(series.column("loss"), total, rtol=1e-6)


# Law 6: what is not there does not show


def test_a_run_knows_its_end_before_its_teacher_is_made(train, monkeypatch):
    monkeypatch.setattr(session, "prepare_teacher", lambda *asked, **more: None)  # it is stopped
    assert train().row.steps == 14


def test_a_term_of_constant_weight_zero_equals_the_term_left_out(train, plain):
    extra = {f"{TERMS}.hint": {"use": "hint", "weight": 0.0}}
    with_zero = train(extra)
    assert with_zero.weights == plain.weights
    np.testing.assert_array_equal(with_zero.series().values, plain.series().values)


def test_a_term_whose_weight_is_zero_only_for_now_is_built_and_counts_later(train, plain):
    ramp = {"use": "linear", "start": 0.0, "end": 1.0}
    later = train({f"{TERMS}.dist": {"use": "dist", "weight": ramp}})
    assert later.series().column("dist")[0] == 0.0
    assert later.weights != plain.weights


def test_a_run_without_a_term_left_is_refused_before_it_trains(train):
    with pytest.raises(BadInput, match=r"stages\.main\.terms: every term .*has weight 0"):
        train({f"{KD}.weight": 0, f"{TERMS}.ce.weight": 0})


# Looking, waiting and slow motion stay out of the maths


def test_probing_at_every_step_leaves_the_weights(train, plain, monkeypatch):
    monkeypatch.setattr(probing, "GRID", 10_000)
    looked = train({"probes": ["cka", "trilateral", "calibration", "loyalty"]})
    assert len(plain.store.snapshot_steps(looked.run)) == 15
    assert looked.weights == plain.weights
    np.testing.assert_array_equal(looked.series().values, plain.series().values)


def test_slow_motion_stretches_steps_and_leaves_the_weights(train, plain):
    slow = train({"stages.main.steps": 14}, pace=0.02)
    assert slow.row.ended_ns - slow.row.started_ns > 14 * 0.02e9
    assert slow.weights == plain.weights


def test_whoever_else_draws_random_numbers_leaves_the_weights(train, monkeypatch):
    """Between two steps, and in the target before the student's dropout is drawn."""
    step, answer = Part.set_rate, FrozenTeacher.__call__

    def steps_and_draws(part: Part, at: int) -> float:
        torch.rand(at + 1)
        return step(part, at)

    def answers_and_draws(target: FrozenTeacher, batch: Batch, *asked: Any) -> Taps:
        torch.rand(len(batch.ids) + 3)
        return answer(target, batch, *asked)

    dropout = {"student": {"use": "timm/test_resnet", "drop_rate": 0.3}, "stages.main.steps": 3}
    quiet = train(dropout)
    monkeypatch.setattr(Part, "set_rate", steps_and_draws)
    monkeypatch.setattr(FrozenTeacher, "__call__", answers_and_draws)
    assert train(dropout).weights == quiet.weights


# Student and control


def seen_by(train, monkeypatch, changes):
    """Initial weights and batches of each training of a run, in order."""
    starts: list[str] = []
    batches: list[list[Batch]] = []
    make, show = Part.__init__, Part.batch

    def started(part: Part, *args, **kwargs) -> None:
        make(part, *args, **kwargs)
        starts.append(weights_hash(part.model))
        batches.append([])

    def fetched(part: Part, step: int) -> Batch:
        batch = show(part, step)
        batches[-1].append(batch)
        return batch

    monkeypatch.setattr(Part, "__init__", started)
    monkeypatch.setattr(Part, "batch", fetched)
    ended = train(changes)
    monkeypatch.undo()
    return ended, starts, batches


def test_the_control_starts_from_the_students_weights_and_sees_its_batches(
    train, plain, monkeypatch
):
    changes = {"control": True, "data.augment": "shift", "teacher.train.steps": 3}
    ended, starts, batches = seen_by(train, monkeypatch, changes)
    teacher, student, control = -3, -2, -1
    assert starts[student] == starts[control] != starts[teacher]
    for mine, theirs in zip(batches[student], batches[control], strict=True):
        for field in ("ids", "inputs", "labels"):
            assert torch.equal(getattr(mine, field), getattr(theirs, field))
    assert ended.series(part="control").columns == ("loss", "ce", "lr")
    assert ended.metrics["control"] != ended.metrics["student"]


def test_the_control_leaves_the_student_as_it_is(train, plain):
    ended = train({"control": True})
    assert ended.weights == plain.weights
    assert ended.metrics["student"] == plain.metrics["student"]


def test_the_control_is_the_student_trained_with_labels_alone(train):
    """Another truth: the same file without its target terms, run on its own."""
    alone = train({TERMS: {"ce": {"use": "ce", "weight": 0.1}}})
    ended = train({"control": True})
    assert ended.metrics["control"] == alone.metrics["student"]
    np.testing.assert_array_equal(ended.series(part="control").values, alone.series().values)


def test_the_control_is_compared_with_the_teacher_where_the_student_was_looked_at(train):
    """Another truth: the student trained with labels alone, compared as any student is."""
    asked = {"probes": ["cka", "loyalty"]}
    alone = train({TERMS: {"ce": {"use": "ce", "weight": 0.1}}, **asked})
    ended = train({"control": True, "plain_kd": True, **asked})
    control = f"{ended.run}-control"
    assert ended.store.snapshot_steps(f"{ended.run}-plain_kd") == [], "only the first stands beside"
    steps = ended.store.snapshot_steps(control)
    assert steps == ended.series("probe", part="control").steps.tolist()
    assert set(steps) <= set(ended.store.snapshot_steps(ended.run)) and {0, 14} <= set(steps)
    for theirs in ended.store.snapshots(control):
        (mine,) = alone.store.snapshots(alone.run, after=theirs.step - 1, upto=theirs.step)
        assert set(theirs.facts) == {"cka"}, "what is shown beside is kept, and no more"
        for name, values in theirs.arrays.items():
            np.testing.assert_array_equal(values, mine.arrays[name], err_msg=name)
    (first,) = ended.store.snapshots(ended.run, upto=0)
    (same,) = ended.store.snapshots(control, upto=0)
    np.testing.assert_array_equal(first.arrays["cka.unbiased"], same.arrays["cka.unbiased"])


def test_looking_at_training_rows_moves_nothing_and_keeps_which(train, plain):
    ended = train({"probes": [{"use": "loyalty", "train": True}]})
    assert ended.weights == plain.weights
    found = ended.store.snapshots(ended.run)
    rows = [snapshot.arrays["loyalty.train_ids"].tolist() for snapshot in found]
    assert all(one == rows[0] for one in rows) and len(rows) >= 13
    assert found[-1].facts["loyalty"]["train"]["n"] == len(rows[0])


def test_a_control_is_not_compared_where_no_layers_are_looked_at(train):
    ended = train({"control": True, "probes": ["loyalty"]})
    assert ended.store.snapshot_steps(f"{ended.run}-control") == []
    assert len(ended.series("probe", part="control").steps) >= 13, "its curve is there all the same"


def test_a_control_that_changes_nothing_is_the_student_bit_for_bit(train):
    ended = train({"control": {"name": "the same"}})
    np.testing.assert_array_equal(ended.series(part="control").values, ended.series().values)
    assert ended.metrics["control"] == ended.metrics["student"]


def test_what_the_control_changes_takes_effect(train):
    ended = train({"control": {"data.labels_per_class": 2}})
    mine, theirs = ended.series(), ended.series(part="control")
    np.testing.assert_array_equal(mine.column("kd")[:1], theirs.column("kd")[:1])
    assert not np.array_equal(mine.column("ce"), theirs.column("ce"))


def test_a_control_may_not_change_the_splits_or_the_teacher(train):
    with pytest.raises(BadData, match="changes the data's splits: "):
        train({"control": {"data.split_seed": 3}, "stages.main.steps": 1})
    with pytest.raises(InvalidExperiment, match="control: changes `teacher`"):
        train({"control": {"teacher.width": 5}})


# Unlabelled rows, the test split


def test_the_student_never_sees_a_label_that_is_withheld(train, monkeypatch):
    _, _, batches = seen_by(train, monkeypatch, {"stages.main.steps": 12})
    shown = {int(row) for batch in batches[-1] for row in batch.ids[batch.labelled].tolist()}
    assert 0 < len(shown) <= 40


def test_the_test_rows_are_read_only_when_the_student_has_ended(train, monkeypatch):
    happened: list[str] = []
    fetch, kept = ImageData._batch, Meter.add

    def fetched(data: ImageData, ids, labels, **more: bool) -> Batch:
        batch = fetch(data, ids, labels, **more)
        if np.isin(batch.ids.numpy(), data.splits.test).any():
            happened.append("test")
        return batch

    def stepped(meter: Meter, *step: Any) -> None:
        happened.append("step")
        kept(meter, *step)

    monkeypatch.setattr(ImageData, "_batch", fetched)
    monkeypatch.setattr(Meter, "add", stepped)
    train({"control": True})
    assert happened == ["step"] * 14 + ["test"] * 2 + ["step"] * 14 + ["test"]


# Families and terms together


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"student": {"use": "timm/test_resnet", "drop_rate": 0.2}}, id="batchnorm"),
        pytest.param({f"{TERMS}.hint": {"use": "hint", "weight": 0.5}}, id="projector"),
        pytest.param(
            {f"{TERMS}.cka": {"use": "cka", "weight": 0.5}, "stages.main.batch_size": 3},
            id="cka-of-batches-too-small",
        ),
        pytest.param(
            {
                "teacher": {"use": "timm/test_vit", "train": {"steps": 2}},
                f"{TERMS}.hint": {"use": "hint", "weight": 0.5, "teacher_tap": "stage1"},
            },
            id="vit-teaches-cnn",
        ),
        pytest.param({"student": {"use": "timm/test_vit"}}, id="cnn-teaches-vit"),
    ],
)
def test_any_pair_trains_and_repeats_bit_for_bit(train, changes):
    short = {**changes, "stages.main.steps": 4}
    first, second = train(short), train(short)
    assert first.weights == second.weights
    assert np.isfinite(first.series().values).all()


def test_a_learned_projector_moves_with_the_student(train, monkeypatch):
    parts: list[Part] = []
    make = Part.__init__

    def kept(part: Part, *args, **kwargs) -> None:
        make(part, *args, **kwargs)
        parts.append(part)
        part.__dict__["before"] = {
            name: weights_hash(module) for name, module in part.objective.modules().items()
        }

    monkeypatch.setattr(Part, "__init__", kept)
    train({f"{TERMS}.hint": {"use": "hint", "weight": 0.5}, "stages.main.steps": 2})
    student = parts[-1]
    (projector,) = student.objective.modules().values()
    assert weights_hash(projector) != student.__dict__["before"]["hint"]


def test_the_teacher_never_changes(train, monkeypatch):
    taught: list[tuple[ModelAdapter, str]] = []
    import workbench.training.session as session

    real = session.prepare_teacher

    def kept(*args, **kwargs):
        teacher = real(*args, **kwargs)
        taught.append((teacher.model, weights_hash(teacher.model)))
        return teacher

    monkeypatch.setattr(session, "prepare_teacher", kept)
    train({f"{TERMS}.hint": {"use": "hint"}, "probes": ["cka"]})
    model, before = taught[0]
    assert weights_hash(model) == before
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


# What a protocol says


def test_the_protocol_names_what_the_numbers_stand_on(plain):
    protocol = plain.row.protocol
    assert protocol["seed"] == 0
    assert protocol["splits"]["test"]["rows"] > 0
    assert set(protocol["splits"]) == {"train", "val", "test", "probe", "meta"}
    assert protocol["probes"]["steps"] == plain.store.snapshot_steps(plain.run)
    assert protocol["data"]["visible_labels"] == 40
    assert len(protocol["teacher"]["hash"]) == 64
    assert protocol["threads"] == 1


def test_metrics_are_the_tasks_numbers_recomputed_from_the_stored_weights(plain):
    """Another truth: numpy on the stored tensors of a 2-conv network."""
    from pathlib import Path

    from workbench.data.images import build_data
    from workbench.models.facts import ModelContext
    from workbench.models.weights import load_weights
    from workbench.specs.experiment import ExperimentSpec

    spec = ExperimentSpec.parse(plain.row.experiment)
    data = build_data(spec.data, base=Path.cwd(), seed=0)
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=9, open_run=None)
    student = spec.student.build(context).eval()
    load_weights(student.network, plain.store.runs.folder(plain.run) / "student.safetensors")
    batch = data.fetch_full(data.split_ids("test"))
    with torch.no_grad():
        logits = student(batch.inputs).double().numpy()
    logits -= logits.max(1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    labels = batch.labels.numpy()
    accuracy = float((logits.argmax(1) == labels).mean())
    nll = float(-log_probs[np.arange(len(labels)), labels].mean())
    assert plain.metrics["student"]["accuracy"] == pytest.approx(accuracy)
    assert plain.metrics["student"]["nll"] == pytest.approx(nll, rel=1e-5)


# A stored run as teacher


def test_a_stored_student_teaches(train, plain):
    taught = train({"teacher": f"run:{plain.run}@last", "stages.main.steps": 2})
    assert taught.row.protocol["teacher"]["hash"] == plain.weights


def test_a_teacher_that_has_seen_the_test_rows_is_refused(train, plain):
    with pytest.raises(BadModel, match=rf"run {plain.run} was trained on \d+ of this run's"):
        train({"teacher": f"run:{plain.run}@last", "data.split_seed": 1})


def test_an_untrained_teacher_is_refused(train):
    with pytest.raises(BadModel, match="starts from random weights and would teach noise"):
        train({"teacher": {"use": "cnn-small"}})


def test_a_tap_that_is_not_there_is_refused_before_the_teacher_trains(train, monkeypatch):
    import workbench.training.teacher as teacher

    monkeypatch.setattr(teacher, "train", lambda *_, **__: pytest.fail("the teacher was trained"))
    changes = {f"{TERMS}.hint": {"use": "hint", "student_tap": "stage9"}, "teacher.train.steps": 5}
    with pytest.raises(BadModel, match=r"cnn-tiny: no tap 'stage9'. Did you mean 'stage"):
        train(changes)
