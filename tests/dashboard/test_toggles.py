"""What is toggled in the views: read from an address, held there, opened by who pastes it."""

from __future__ import annotations

import re

import pytest
from workbench_widgets import curves
from workbench_widgets.frame import Frame
from workbench_widgets.since import bases, control

from workbench.dashboard.address import Place
from workbench.dashboard.live import Sent, pack
from workbench.dashboard.toggles import settle_toggles

BINS = {"name": "bins", "options": [{"value": "width"}, {"value": "mass"}]}
SINCE = {"name": "since", "options": [{"value": 0}, {"value": 1}]}
MARKS = {
    "name": "since",
    "options": [{"value": k, "name": name} for k, name in enumerate(("start", "mark-3", "mark-4"))],
}
CLASSES = {"name": "label", "word": "class", "of": "class_names"}


def sent(*controls: dict, step: int = 40) -> dict[str, Sent]:
    """A view with these controls, and curves that wait."""
    frame = Frame(
        *("calibration", step, "", (), (), "", ""),
        controls=controls,
        facts={"class_names": ["zero", "one", "two"]},
    )
    waits = curves.frame({}, {"steps_total": 100})
    return {"calibration": Sent(step, pack(frame)), "curves": Sent(waits.step, pack(waits))}


def test_an_address_holds_the_toggles_of_each_view_and_is_read_back():
    place = Place("demo-1", 120, toggles=(("cka", "mode:change"), ("calibration", "bins:mass")))
    assert place.address == "/?run=demo-1&step=120&cka=mode:change&calibration=bins:mass"
    asked = {
        *(("run", b"demo-1"), ("step", b"120")),
        *(("calibration", b"bins:mass"), ("cka", b"mode:change"), ("trilateral", b"")),
    }
    assert Place.read({name: [value] for name, value in asked}) == place


def test_toggles_of_the_run_are_taken_whatever_their_values_are():
    asked = [("calibration", "bins:mass,since:1,label:2")]
    settled = settle_toggles(asked, sent(BINS, SINCE, CLASSES))
    assert settled == {
        "views": {"calibration": {"bins": "mass", "since": "1", "label": "2"}},
        "words": "",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bins:huge", "`calibration=bins:huge` in the address .* `bins` may be width, mass"),
        ("label:3", "`label` may be 0, 1, 2"),
        ("bin:mass", "There are bins, label"),
        ("bins", "`calibration=bins` in the address is no toggle. Allowed: `NAME:VALUE`"),
        ("bins:mass,", "is no toggle"),
        ("bins:<b>:x", "is no toggle"),
        ("bins:" + "m" * 400, "`calibration=bins:m{35}…` in the address is no toggle"),
    ],
)
def test_what_the_run_has_not_is_refused_in_words(text, said):
    settled = settle_toggles([("calibration", text)], sent(BINS, CLASSES))
    assert settled["views"] == {}
    assert re.search(said, settled["words"])


@pytest.mark.parametrize("text", ["since:mark-4", "since:2"])
def test_a_mark_is_taken_by_its_number_and_from_older_links_by_its_place(text):
    settled = settle_toggles([("calibration", text)], sent(MARKS))
    assert settled == {"views": {"calibration": {"since": "mark-4"}}, "words": ""}


def test_a_mark_that_can_no_longer_be_chosen_is_no_other_mark():
    settled = settle_toggles([("calibration", "since:mark-1")], sent(MARKS))
    assert settled["views"] == {}
    assert "`since` may be start, mark-3, mark-4." in settled["words"]


def test_at_a_past_step_the_marks_of_that_step_can_be_chosen():
    then = control(bases([0, 10, 20, 30], [{"step": 12, "number": 1}]))
    asked = [("calibration", "since:mark-1")]
    found = settle_toggles(asked, sent(MARKS), since=then)
    assert found == {"views": {"calibration": {"since": "mark-1"}}, "words": ""}
    later = settle_toggles([("calibration", "since:mark-4")], sent(MARKS), since=then)
    assert later["views"] == {}
    assert "`since` may be start, mark-1." in later["words"]


def test_one_refused_toggle_takes_no_other_along():
    settled = settle_toggles([("calibration", "bins:mass,scaling:cold")], sent(BINS))
    assert settled["views"] == {"calibration": {"bins": "mass"}}
    assert "`calibration=scaling:cold`" in settled["words"]


def test_a_view_that_waits_keeps_its_toggles_until_the_data_come():
    settled = settle_toggles([("curves", "x:time")], sent(BINS))
    assert settled == {"views": {"curves": {"x": "time"}}, "words": ""}


def test_arguments_that_name_no_view_say_nothing():
    assert settle_toggles([("run", "a:b")], sent(BINS)) == {"views": {}, "words": ""}
