"""The control's map beside the student's: when it is offered, which it is, what is said without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from workbench.recipes import open_experiment
from workbench.runs.beside import Beside, with_control
from workbench.runs.history import History
from workbench.store import Store
from workbench.training.journal import Event

LAYERS = {"teacher_layers": ["t.0", "t.1"], "student_layers": ["s.0"]}
FACTS = {**LAYERS, "step": 38, "n": 64}


def maps(*steps: int) -> Beside:
    """Maps of a control in which every cell is the step in thousandths."""
    made = {step: np.full((2, 2, 1), step / 1000, np.float32) for step in steps}
    return Beside(tuple(LAYERS.values()), made)


def told(
    beside: Beside,
    *,
    control: Any = True,
    active: bool = False,
    events: tuple[Event, ...] = (),
    **facts: Any,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    experiment = {"seed": 4, "control": control}
    row = SimpleNamespace(id="quick-1", experiment=experiment, active=active)
    history = cast(History, SimpleNamespace(row=row, beside=beside, events=list(events)))
    spec, _, _ = open_experiment("quickstart")
    return with_control(history, spec, {}, {**FACTS, **facts})


def test_the_map_of_the_same_step_and_its_line_up_to_there() -> None:
    arrays, facts = told(maps(0, 20, 38, 60))
    assert arrays["control"].tolist() == [[pytest.approx(0.038)]] * 2
    assert arrays["control_null_p95"].shape == (2, 1)
    assert arrays["control_steps"].tolist() == [0, 20, 38]
    assert arrays["control_history"].shape == (3, 2, 1)
    assert facts["control"] == {
        "run": "quick-1-control",
        "label": "vs CE",
        "words": "CE only",
        "seed": 4,
    }


def test_a_step_that_the_control_was_not_looked_at_names_the_nearest() -> None:
    arrays, facts = told(maps(0, 30, 45, 900))
    assert "control" not in arrays and arrays["control_steps"].tolist() == [0, 30]
    assert facts["control"]["why"] == (
        "The control has no snapshot at step 38; the nearest are at 30 and 45."
    )


def test_while_the_student_trains_it_says_that_the_control_comes_after() -> None:
    for known in (Beside(), maps(0, 20)):
        _, facts = told(known, active=True)
        assert facts["control"]["why"].startswith("The control trains after the student")
    _, facts = told(maps(0, 60), active=True)
    assert "the nearest are at" in facts["control"]["why"], "its turn at this step is over"


def test_nothing_is_offered_where_there_is_none() -> None:
    swapped = Event(20, "set", "you", {"path": "teacher", "before": "a", "after": "b"})
    other = Beside((["t.0"], ["s.0"]), {38: np.zeros((2, 1, 1))})
    for found in (
        told(Beside()),
        told(Beside(), control=False, active=True),
        told(Beside(), active=True, events=(swapped,)),
        told(other, active=True),
    ):
        assert found == ({}, FACTS)


def test_a_control_that_is_listed_is_not_called_ce() -> None:
    _, facts = told(maps(38), control={"stages.main.terms.kd.weight": 0.1})
    assert (facts["control"]["label"], facts["control"]["words"]) == (
        "vs control",
        "changed as listed",
    )


def test_what_is_new_is_read_and_a_snapshot_without_layers_passed_over(store: Store) -> None:
    run = store.runs.create(name="q", experiment={}, options={}, role="control")
    recorder, known = store.recorder(run), Beside()
    for step in (0, 38, 75):
        cells = np.full((2, 1), step, np.float32)
        arrays = {"cka.unbiased": cells, "cka.null_p95": cells / 10, "cka.biased": cells}
        recorder.snapshot(step, arrays, {"cka": LAYERS})
        known.read(store, run)
        assert list(known.maps) == [other for other in (0, 38, 75) if other <= step]
    recorder.snapshot(80, {"other": np.zeros(1)}, {})
    known.read(store, run)
    assert list(known.maps) == [0, 38, 75] and known.layers == tuple(LAYERS.values())
    np.testing.assert_array_equal(known.maps[38][:, 0, 0], np.float32([38, 3.8]))
