"""Two layers paired on the map: a term is added in the running run, moved, or begun by a fork."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from workbench.dashboard.pairing import Pairing, change, offered
from workbench.errors import BadInput
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.store import Store

from ..waiting import until
from .conftest import copied
from .test_page import press_start

PAIR = {"student": "blocks.1", "teacher": "blocks.2"}
TAPS = {"student_tap": "blocks.1", "teacher_tap": "blocks.2"}


@pytest.fixture(scope="module")
def spec():
    return open_experiment("quickstart")[0]


class Told:
    """Stands in for the piece of the page that draws the panel."""

    def __init__(self):
        self.told = {}

    def tell(self, state):
        self.told = state


class Started:
    """A starter that only remembers."""

    def __init__(self):
        self.runs = []

    def start(self, store, run):
        self.runs.append(run)


def panel(store, run):
    part, starter, went = Told(), Started(), []
    return Pairing(store, run, part, starter, went.append, who="mira"), part, starter, went


def test_only_terms_that_read_one_layer_of_each_are_offered_the_usual_first():
    names = list(offered())
    assert names[0] == "hint"
    assert {"at", "cka", "rkd"} <= set(names)
    assert not {"kd", "ce", "mix"} & set(names)


def test_a_new_term_gets_a_name_of_its_own(spec):
    path, value = change(spec, {**PAIR, "use": "hint", "weight": "0.5"})
    assert path == "stages.main.terms.hint"
    assert value == {"use": "hint", "weight": 0.5, **TAPS}
    again, _ = change(spec.replace({path: value}), {**PAIR, "use": "hint", "weight": "0.5"})
    assert again == "stages.main.terms.hint-2"


def test_a_move_keeps_all_but_the_layers(spec):
    there = {"use": "hint", "weight": 0.2, "projector": "fitnet"}
    path, value = change(
        spec.replace({"stages.main.terms.mine": there}), {**PAIR, "move": "mine", "use": "at"}
    )
    assert path == "stages.main.terms.mine"
    assert value == {**there, **TAPS}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"use": "kd", "weight": "1"}, "'kd' reads no pair of layers. Those that do: hint, at"),
        ({"use": ["hint"], "weight": "1"}, "reads no pair"),
        ({"use": "hint", "weight": "much"}, "weight: needs a number ≥ 0, got 'much'"),
        ({"move": "kd"}, "'kd' is no feature term of this run: none"),
    ],
)
def test_what_the_panel_does_not_offer_is_refused(spec, asked, words):
    with pytest.raises(BadInput, match=re.escape(words)):
        change(spec, {**PAIR, **asked})


def test_of_a_run_that_has_ended_a_fork_begins_at_the_shown_step(finished, tmp_path):
    store = Store(str(copied(finished, tmp_path / "copied")))
    pairing, part, starter, went = panel(store, finished.run)
    pairing.propose({"kind": "pair", "x": 1, "y": 2})
    assert part.told["pair"] == PAIR
    assert (part.told["live"], part.told["moves"]) == (False, [])
    asked = {"do": "pair", **PAIR, "use": "hint", "weight": "0.5"}
    steps = finished.store.runs.get(finished.run).steps
    pairing.act({**asked, "fork": True, "at": steps})
    assert part.told["bad"] and "would train nothing there" in part.told["words"]
    pairing.act({**asked, "fork": False})
    assert "A fork can" in part.told["words"]
    pairing.act({**asked, "fork": True, "at": 0})
    assert went == starter.runs and len(went) == 1
    child = store.runs.get(went[0])
    assert (child.parent, child.forked_at) == (finished.run, 0)
    assert child.experiment["stages"]["main"]["terms"]["hint"]["weight"] == 0.5
    store.close()


@pytest.mark.parametrize(("x", "y"), [(99, 0), (0, -1), ("1", 0), (None, None)])
def test_a_cell_that_the_map_does_not_have_opens_nothing(finished, x, y):
    pairing, part, _, _ = panel(finished.store, finished.run)
    pairing.propose({"kind": "pair", "x": x, "y": y})
    assert part.told == {}


def test_before_the_first_snapshot_nothing_can_be_paired(store: Store):
    spec, recipe, base = open_experiment("quickstart")
    run = accept(store, spec.at_scale("smoke"), recipe=recipe, base=base)
    pairing, part, _, _ = panel(store, run)
    pairing.propose({"kind": "pair", "x": 0, "y": 0})
    assert part.told == {}


def place_of(label) -> dict[str, float]:
    """Where a label stands; a run that draws its next snapshot makes its labels anew."""
    return until(label.bounding_box, "the label is there between two snapshots")


@pytest.mark.browser
@pytest.mark.slow
def test_a_drag_from_label_to_label_adds_a_term_to_the_running_run(quiet_end, page):
    served = quiet_end()
    run = press_start(page, served.url)
    view = page.locator('[data-view="cka"]')
    expect(view).to_have_attribute("data-step", re.compile(r"\d"))
    teacher = place_of(view.locator(".ytick text", has_text="blocks.2").first)
    student = place_of(view.locator(".xtick text", has_text="blocks.1").first)
    page.mouse.move(teacher["x"] + 8, teacher["y"] + 6)
    page.mouse.down()
    page.mouse.move(student["x"] + 8, student["y"] - 40, steps=3)
    page.mouse.move(student["x"] + 8, student["y"] + 6)
    page.mouse.up()
    dialog = page.get_by_role("dialog", name="Pair two layers")
    expect(dialog.get_by_role("combobox", name="Teacher layer")).to_have_value("blocks.2")
    expect(dialog.get_by_role("combobox", name="Student layer")).to_have_value("blocks.1")
    weight = dialog.get_by_role("textbox", name="Weight")
    weight.fill("-1")
    weight.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("≥ 0")
    weight.fill("0.3")
    weight.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("In force from step")
    store = Store(str(served.store))
    (event,) = [event for event in store.journal.events(run) if event.kind == "set"]
    store.close()
    assert event.payload["set"] == {
        "stages.main.terms.hint": {"use": "hint", "weight": 0.3, **TAPS}
    }
    expect(page.locator(".loss")).to_contain_text("0.3 × HINT")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(view).to_be_focused()
