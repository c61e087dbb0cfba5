"""A student that is searched: watched, stopped, killed, journalled; then nobody searches again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from workbench.builders.builder import choice_of
from workbench.cli.main import main
from workbench.dashboard.wording import journal
from workbench.errors import BadModel
from workbench.runs.fork import fork
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.training import building
from workbench.training.building import SEARCH
from workbench.training.choice import BUILT, MEASURED, chosen

from ..runs.touched import Hand, killed, untouched_torch
from ..small import SMALL

STAGE = {"widths": [4, 8], "kernels": [1, 3], "depths": [1]}
SEARCHED: dict[str, Any] = {
    **SMALL,
    "name": "searched",
    "student": {
        "use": "search",
        "space": [STAGE, STAGE, STAGE],
        "iterations": 5,
        "population": 3,
        "batch_size": 32,
        "max_parameters": 4000,
        "measure": 4,
    },
    "control": {"student.score": "parameters"},
    "stages": {"main": {**SMALL["stages"]["main"], "steps": 6}},
    "probes": [],
    "device": "cpu",
}


def searched(changes: dict[str, Any] | None = None) -> ExperimentSpec:
    return ExperimentSpec.parse(copy.deepcopy(SEARCHED)).replace(changes or {})


def lines(hand: Hand, run: str, kind: str) -> list[dict[str, Any]]:
    return [dict(e.payload) for e in hand.store.journal.events(run) if e.kind == kind]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    with closing(Store(str(tmp_path / "wb.db"))) as store, untouched_torch():
        yield Hand(store, monkeypatch)


def accepted(hand: Hand, changes: dict[str, Any] | None = None) -> str:
    return accept(hand.store, searched(changes), base=Path.cwd(), threads=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hand, str]]:
    """Trained in one go: search, measuring, student, and a control with a search of its own."""
    folder = tmp_path_factory.mktemp("whole")
    with (
        closing(Store(str(folder / "wb.db"))) as store,
        pytest.MonkeyPatch.context() as patch,
        untouched_torch(),
    ):
        hand = Hand(store, patch)
        yield hand, hand.train(accepted(hand), checks=False)


def test_the_search_is_a_row_of_its_own_with_a_curve_and_its_choice_is_journalled(whole):
    hand, run = whole
    student, control = lines(hand, run, BUILT)
    assert [student["for"], control["for"]] == ["student", "control"]
    assert student["parameters"] <= 4000 >= control["parameters"]
    assert student["latency_ms"] > 0 and student["budget"]["max_parameters"] == 4000
    row = hand.row(f"{run}-stage-search")
    assert (row.status, row.step, row.steps) == ("finished", 5, 5)
    curve = hand.store.metrics.read(row.id, SEARCH)
    assert list(curve.steps) == [1, 2, 3, 4, 5]
    assert max(curve.column("score")) == curve.column("best_score")[-1] == student["score"]
    assert max(curve.column("parameters")) <= 4000


def test_what_the_scores_are_worth_is_measured_and_journalled(whole):
    hand, run = whole
    (found,) = lines(hand, run, MEASURED)
    assert found["n"] == 4
    assert {"diswot", "relation", "semantic", "parameters"} <= set(found["spearman"])
    assert all(0 <= item["accuracy"] <= 1 for item in found["candidates"])
    assert hand.row(f"{run}-stage-measure").status == "finished"


def test_student_and_control_are_what_the_journal_says(whole):
    hand, run = whole
    student, control = (choice_of(line).given() for line in lines(hand, run, BUILT))
    spec = chosen(searched(), hand.store.journal.events(run))
    assert spec.student.given() == student
    assert spec.control == {"student": control}
    result = hand.row(run).result["metrics"]
    assert set(result) == {"teacher", "student", "control"}


def test_a_replay_searches_nothing_and_is_equal(whole, monkeypatch):
    hand, run = whole

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a replay searched")

    monkeypatch.setattr(building, "_driven", never)
    assert hand.replay(run).equal


def test_a_fork_starts_from_the_choice(whole, monkeypatch):
    hand, run = whole
    child = fork(hand.store, run, at=3, changes={"control": False}, who="ada")
    assert lines(hand, child, BUILT)[0] == lines(hand, run, BUILT)[0]
    hand.train(child, checks=False)
    assert hand.weights(child) == hand.weights(run)
    rows = {row.role for row in hand.store.runs.list(roles=None, group=child)}
    assert "stage-search" not in rows


def test_the_stored_student_opens_by_name(whole):
    hand, run = whole
    spec = ExperimentSpec.parse(
        {**copy.deepcopy(SMALL), "teacher": f"run:{run}@6", "probes": [], "device": "cpu"}
    )
    child = hand.train(accept(hand.store, spec, base=Path.cwd(), threads=1), checks=False)
    assert hand.row(child).status == "finished"


@pytest.mark.parametrize(
    ("part", "step"), [("stage search", 3), ("stage measure", 2), ("student", 2)]
)
def test_killed_anywhere_it_goes_on_to_the_same_student(alone, whole, part, step):
    run = accepted(alone)
    save = (part, step - 1)
    alone.train(
        run,
        checks=False,
        at={save: lambda: alone.send(run, "checkpoint"), (part, step): killed},
    )
    assert alone.row(run).status == "interrupted"
    alone.train(run, checks=False)
    hand, other = whole
    assert alone.weights(run) == hand.weights(other)
    timeless = ("student", "score", "scores", "evaluated", "rejected", "parameters", "macs")
    mine, theirs = (lines(h, r, BUILT) for h, r in ((alone, run), (hand, other)))
    assert [{k: line[k] for k in timeless} for line in mine] == [
        {k: line[k] for k in timeless} for line in theirs
    ]
    assert lines(alone, run, MEASURED) == lines(hand, other, MEASURED)


@pytest.mark.parametrize("part", ["stage search", "stage measure"])
def test_a_stop_ends_the_run_and_a_pause_waits(alone, part):
    run = accepted(alone)
    alone.train(
        run,
        checks=False,
        at={
            (part, 1): lambda: alone.send(run, "pause"),
            (part, 2): lambda: alone.send(run, "stop"),
        },
        paused=lambda: alone.send(run, "resume"),
    )
    assert alone.row(run).status == "stopped"
    assert alone.row(f"{run}-{part.replace(' ', '-')}").status == "stopped"
    assert len(lines(alone, run, BUILT)) == (0 if part == "stage search" else 1)


def test_a_budget_that_nothing_meets_is_refused_before_anything_is_done(alone):
    run = accepted(alone, {"student.max_parameters": 10})
    with pytest.raises(BadModel, match=r"no candidate meets the budget max_parameters=10.*Raise"):
        alone.train(run, checks=False)
    assert alone.row(run).step == 0
    assert lines(alone, run, BUILT) == []
    assert not list((alone.store.folder / "runs").glob("*-stage-*"))


def test_a_term_that_no_student_could_serve_is_refused_before_the_search(alone):
    hint = {"use": "hint", "teacher_tap": "stage9"}
    run = accepted(alone, {"stages.main.terms.hint": hint})
    with pytest.raises(BadModel, match="no tap 'stage9'"):
        alone.train(run)
    assert not list((alone.store.folder / "runs").glob("*-stage-*")), "nothing was searched"
    assert alone.row(run).teacher is None


def test_checks_before_the_search_change_no_bit(whole, alone):
    """They score two candidates and build a student in vain."""
    hand, run = whole
    checked = alone.train(accepted(alone))
    assert lines(alone, checked, BUILT)[0]["student"] == lines(hand, run, BUILT)[0]["student"]
    assert alone.weights(checked) == hand.weights(run)


def test_a_search_that_is_not_finished_shows_how_far_it_is(alone):
    run = accepted(alone)
    told: list[tuple[str | None, float | None]] = []
    row = alone.row
    alone.train(
        run,
        checks=False,
        at={("stage search", 3): lambda: told.append((row(run).activity, row(run).progress))},
    )
    assert told == [("Searching a student", pytest.approx(3 / 5))]


def test_what_was_found_is_told_in_words_on_page_and_shell(whole, capsys):
    hand, run = whole
    words = "\n".join(str(line) for line in journal(hand.store.journal.events(run)))
    assert "Found for the student: cnn-cells, " in words and " ms a batch of 64; score " in words
    assert "Rank correlation with accuracy, n = 4: relation " in words
    with pytest.raises(SystemExit) as left:
        main(["journal", run, "--store", f"sqlite:///{hand.store.path}"])
    assert left.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "student found" in told and "rank correlation, n = 4" in told
