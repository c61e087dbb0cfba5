"""Every stage is checked before anything trains, not the last alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from workbench.errors import FailedChecks
from workbench.functional.metadata import Pull
from workbench.registries import TERMS
from workbench.runs.draft.checks import _path
from workbench.runs.draft.draft import Draft
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.terms.term import TermContext, TermKind, TermValue
from workbench.training.before import looked_ahead

from ..runs.touched import Hand, untouched_torch
from ..small import SMALL

MAIN = SMALL["stages"]["main"]
STAGED: dict[str, Any] = {
    **SMALL,
    "name": "stages checked",
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 60}},
    "stages": {
        "first": {**copy.deepcopy(MAIN), "start": "fresh", "steps": 3},
        "main": {**copy.deepcopy(MAIN), "start": "first", "steps": 4},
    },
}


class OverTheBatch(TermKind):
    """A classical bug: softmax over the wrong axis."""

    summary: ClassVar[str] = "Made for a test."
    paper: ClassVar[str] = "none"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits")
    pull: ClassVar[Pull] = "teacher"

    def build(self, context: TermContext) -> Any:
        return Built()


class Built:
    student_taps = target_taps = ()
    module = None

    def __call__(self, student: Any, target: Any, batch: Any, values: Any) -> TermValue:
        mine, theirs = (taps["logits"].log_softmax(0) for taps in (student, target))
        return TermValue((theirs.exp() * (theirs - mine)).sum(-1))


@pytest.fixture
def over_the_batch(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    TERMS.names()
    monkeypatch.setattr(TERMS, "_entries", dict(TERMS._entries))
    TERMS.register("over-the-batch")(OverTheBatch)
    yield {"use": "over-the-batch"}


def spec_with(**terms: dict[str, Any]) -> ExperimentSpec:
    """The staged experiment with terms added, or changed, in its first stage."""
    plain = copy.deepcopy(STAGED)
    plain["stages"]["first"]["terms"].update(terms)
    return ExperimentSpec.parse(plain)


def test_a_bug_in_an_earlier_stage_stops_the_run_before_a_teacher_trains(tmp_path, over_the_batch):
    store = Store(str(tmp_path / "workbench.db"))
    spec = spec_with(mine=over_the_batch)
    with pytest.raises(FailedChecks, match=r"stages\.first\.terms\.mine: .*softmax.*batch"):
        looked_ahead(spec, StoreKeeper(store, ""), base=Path.cwd())
    told = looked_ahead(spec, StoreKeeper(store, ""), base=Path.cwd(), refuse=False)
    (found,) = told["checks"]["found"]
    assert (found["check"], found["subject"]) == ("wrong-axis", "stages.first.terms.mine")
    assert "wrong-axis" not in told["checks"]["passed"]
    assert told["estimate"] is None
    allowed = spec.replace({"allow": ["wrong-axis"]})
    told = looked_ahead(allowed, StoreKeeper(store, ""), base=Path.cwd())
    assert [one["severity"] for one in told["checks"]["found"]] == ["warn"]
    assert told["estimate"]["parts"]["stages"] > 0
    store.close()


def test_a_term_that_hardly_pulls_in_an_earlier_stage_is_warned_of_by_its_path(
    tmp_path, monkeypatch
):
    store = Store(str(tmp_path / "workbench.db"))
    spec = spec_with(ce={"use": "ce", "weight": 1e-7})
    with untouched_torch():
        hand = Hand(store, monkeypatch)
        run = hand.train(accept(store, spec, base=Path.cwd(), threads=1))
    found = hand.row(run).protocol["checks"]["found"]
    ours = [one for one in found if one["subject"].startswith("stages.")]
    assert [(one["check"], one["subject"]) for one in ours] == [("share", "stages.first.terms.ce")]
    store.close()


def test_a_finding_leads_to_its_field_whatever_stage_the_form_shows():
    draft = Draft(copy.deepcopy(STAGED), "a test", STAGED, chosen="first")
    assert _path(draft, "terms.kd") == "stages.main.terms.kd"
    assert _path(draft, "stages.first.terms.kd") == "stages.first.terms.kd"
    assert _path(draft, "student") == "student"
