"""When a run is looked at: first and last step, a grid of twelve, and what each look leaves."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from workbench.models.weights import weights_hash
from workbench.registries import PROBES
from workbench.training.meter import Meter
from workbench.training.probing import BudgetCadence, HeadlineProber, StudentProber

ALL = ["cka", "trilateral", "calibration", "loyalty"]


class Memory:
    """A recorder that keeps what it is told."""

    def __init__(self):
        self.snapshots, self.rows, self.fields = {}, {}, {}

    def update(self, **fields):
        self.fields |= fields

    def snapshot(self, step, arrays, facts):
        self.snapshots[step] = (arrays, json.loads(json.dumps(facts, allow_nan=False)))

    def metrics(self, series, columns, steps, values, **fields):
        for step, row in zip(steps.tolist(), values.tolist(), strict=True):
            self.rows[step] = dict(zip(columns, row, strict=True))

    def last_step(self, series):
        return max(self.rows, default=-1)


def refuse(step, row):
    raise AssertionError((step, row))


def measured(name, scene):
    """One probe on its own."""
    kind = PROBES.get(name).model_validate({"use": name})
    return kind.build(scene.pair).measure(scene.student_look)


@pytest.fixture
def prober(scene):
    def make(names=ALL, steps=240):
        kinds = [PROBES.get(name).model_validate({"use": name}) for name in names]
        recorder = Memory()
        looking = StudentProber(
            scene.student,
            scene.rows,
            kinds,
            class_names=scene.data.class_names,
            cadence=BudgetCadence(steps),
            recorder=recorder,
        )
        looking.teach(scene.pair.teacher, scene.teacher.facts.layers)
        return recorder, looking

    return make


@pytest.mark.parametrize("steps", [12, 13, 100, 1001, 50_000])
def test_without_time_to_spare_a_run_has_its_first_its_last_and_twelve_even_snapshots(steps):
    cadence = BudgetCadence(steps, share=0.0)
    cadence.took(1.0)
    due = [step for step in range(steps + 1) if cadence.due(step)]
    assert due[0] == 0 and due[-1] == steps and len(due) == 13
    assert max(np.diff(due)) - min(np.diff(due)) <= 1


def test_a_run_shorter_than_the_grid_is_looked_at_at_every_step():
    cadence = BudgetCadence(5, share=0.0)
    assert [step for step in range(6) if cadence.due(step)] == list(range(6))


def test_where_the_planned_end_moves_the_grid_moves_with_it():
    end = [24]
    cadence, due = BudgetCadence(lambda: end[0], share=0.0), []
    cadence.took(1.0)
    for step in range(121):
        if step == 9:
            end[0] = 120  # as a smaller batch does
        if cadence.due(step):
            due.append(step)
    assert due == [0, 2, 4, 6, 8, *range(10, 121, 10)]


def test_between_grid_steps_looks_stay_below_their_share_of_the_clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("workbench.training.probing.time.perf_counter", lambda: clock[0])
    cadence, looks = BudgetCadence(100_000, share=0.03), 0
    for step in range(1, 60_000):
        clock[0] += 0.001
        if cadence.due(step):
            clock[0] += 0.05
            cadence.took(0.05)
            looks += 1
    assert cadence.share <= 0.032
    assert looks > 2 * 12  # the budget is used, not only the grid


def test_a_part_that_is_set_beside_another_looks_where_that_one_did_and_on_the_grid(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("workbench.training.probing.time.perf_counter", lambda: clock[0])
    cadence = BudgetCadence(120, among=[3, 10, 57, 58])
    due = []
    for step in range(121):
        clock[0] += 1.0
        if cadence.due(step):
            due.append(step)
            cadence.took(0.001)
    assert due == sorted({*range(0, 121, 10), 3, 57, 58})


def test_a_snapshot_holds_every_probe_as_measured_on_its_own(prober, scene):
    recorder, looking = prober()
    looking.at(0, Meter(recorder, ["loss"], refuse))
    arrays, facts = recorder.snapshots[0]
    assert set(facts) == set(ALL)
    for name in ALL:
        alone = measured(name, scene)
        for key, values in alone.arrays.items():
            np.testing.assert_array_equal(arrays[f"{name}.{key}"], values)
        assert (facts[name]["split"], facts[name]["step"]) == ("probe", 0)
    answers = [key for key in arrays if key.startswith("answers.")]
    np.testing.assert_array_equal(arrays["answers.ids"], scene.rows.ids.numpy())
    of_probes = sum(len(measured(name, scene).arrays) for name in ALL)
    assert len(arrays) == of_probes + len(answers)


def test_the_headline_is_accuracy_and_nll_on_the_probe_split(prober, scene):
    recorder, looking = prober([])
    looking.at(0, Meter(recorder, ["loss"], refuse))
    logits = scene.student_look.logits.double().numpy()
    labels = scene.rows.labels.numpy()
    accuracy = (logits.argmax(1) == labels).mean()
    log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    nll = (log_sum - logits[np.arange(len(labels)), labels]).mean()
    assert recorder.rows[0]["accuracy"] == accuracy == looking.accuracy
    assert recorder.rows[0]["nll"] == pytest.approx(nll, rel=1e-9)


def test_a_look_that_is_not_due_is_not_taken_unless_forced(prober, monkeypatch):
    recorder, looking = prober(["loyalty"])
    meter = Meter(recorder, ["loss"], refuse)
    looking.at(0, meter)
    looking.at(1, meter)  # twenty steps from the grid, and no time has passed
    assert list(recorder.snapshots) == [0]
    looking.at(1, meter, force=True)
    assert list(recorder.snapshots) == [0, 1]


def test_probing_leaves_the_student_and_the_random_state_as_they_were(prober, scene):
    student = scene.student
    recorder, looking = prober()
    student.train()
    before, state = weights_hash(student), torch.get_rng_state()
    looking.at(0, Meter(recorder, ["loss"], refuse))
    assert weights_hash(student) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in student.modules())


def test_a_resumed_run_writes_no_headline_twice(scene):
    recorder = Memory()
    looking = HeadlineProber(
        scene.student, scene.rows, cadence=BudgetCadence(24), recorder=recorder
    )
    meter = Meter(recorder, ["loss"], refuse)
    recorder.rows[4] = {"accuracy": 0.5, "nll": 1.0}
    looking.at(4, meter)
    assert recorder.rows == {4: {"accuracy": 0.5, "nll": 1.0}}
    looking.at(6, meter)
    assert set(recorder.rows) == {4, 6}
