"""The page's selection on the server: its text in the address, the frames of just its samples."""

from __future__ import annotations

import json

import numpy as np
import pytest
from workbench_widgets.frame import VIEWS

from workbench.dashboard.address import Place
from workbench.dashboard.live import Live, unpack
from workbench.dashboard.scrubber import messages
from workbench.dashboard.select_text import LONGEST, MOST, decode, encode
from workbench.dashboard.selection import Selection
from workbench.errors import BadAddress
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.run import Run
from workbench.runs.selected_layers import NOTHING, Known, LayerMap


@pytest.mark.parametrize(
    ("ids", "text"),
    [((), ""), ((5,), "5"), ((7, 3, 8, 9), "3,7-9"), ((0, 1), "0-1"), ((4, 4, 6), "4,6")],
)
def test_a_few_ids_read_as_they_stand(ids, text):
    assert encode(ids) == text
    assert decode(text) == tuple(sorted(set(ids)))


@pytest.mark.parametrize("top", [900, 60_000, 2_000_000])
def test_many_ids_come_back_exactly_and_need_no_escape(top):
    ids = sorted(np.random.default_rng(top).choice(top, 800, replace=False).tolist())
    text = encode(ids)
    assert text.startswith("~") and len(text) < 4 * 800
    assert decode(text) == tuple(ids)
    place = Place("a-run", 120, select=text)
    assert text in place.address
    assert len(encode(range(10_000))) < LONGEST


@pytest.mark.parametrize(
    "text",
    ["<b>", "3,", "3-1", "-4", "3;4", "1e3", "~", "~!!!!", "~gA", "x" * 500, f"0-{MOST + 1}",
     "~" + "_" * 400],
)  # fmt: skip
def test_what_names_no_samples_is_refused_with_what_is_allowed(text):
    with pytest.raises(BadAddress, match=r"`select=.{1,25}` in the address .*\. Allowed: "):
        decode(text)


def test_the_address_carries_a_selection_beside_a_step_that_cannot_be_read():
    place = Place.read({"run": [b"r"], "step": [b"<b>"], "select": [b"3,7-9"]})
    assert place.words and place.select == "3,7-9" and place.step is None
    assert Place("r", 4, select="3,7-9").address == "/?run=r&step=4&select=3,7-9"


@pytest.fixture(scope="module")
def live(finished):
    return Live(finished.store, finished.run)


def said(live, selection):
    """What each view of a page says: its JSON part."""
    return {
        view: unpack(sent.packed)[0] for view, sent in selection.frames(live.shown.views).items()
    }


def words(content):
    return "".join(
        run if isinstance(run, str) else str(run.get("text", "")) for run in content["footer"]
    )


def test_all_views_of_a_page_follow_its_selection_and_another_page_does_not(live):
    mine, other = Selection(live), Selection(live)
    ids = sorted(live.sample_ids)
    mine.ask(encode(ids[10:50]), "box")
    shown = said(live, mine)
    of = len(ids)
    for view in ("trilateral", "calibration", "loyalty", "curves"):
        assert words(shown[view]).startswith(f"n = 40 of {of} selected, probe"), view
        assert shown[view]["facts"]["selected"] == {"n": 40, "of": of}
    note = shown["cka"]["parts"][-1]["text"][0]
    assert note.startswith(f"All {of}, not the 40 selected: ")
    assert {content["step"] for view, content in shown.items() if view != "curves"} == {30}
    assert {shown[view]["selection"] for view in VIEWS} == {mine.text}
    assert other.frames(live.shown.views) == live.shown.views
    mine.ask("", "")
    assert mine.frames(live.shown.views) == live.shown.views and mine.ids == ()


def test_frames_are_made_once_for_a_picture(live):
    selection = Selection(live)
    selection.ask(encode(sorted(live.sample_ids)[:20]), "box")
    first = selection.frames(live.shown.views)
    again = selection.frames(live.shown.views)
    assert all(again[view] is first[view] for view in VIEWS)


class Layers:
    """Stands for what asks the process: keeps what was wanted, knows what it is told."""

    def __init__(self) -> None:
        self.wanted: list = []
        self.known = NOTHING

    def want(self, ids, step, *, follows) -> None:
        assert follows is (step == 30 or not ids)
        self.wanted.append((ids, step))


@pytest.fixture
def found(finished, live):
    """A map of ten samples by the weights of step 25."""
    snapshot = finished.store.snapshots(finished.run)[-1]
    names = ("unbiased", "biased", "null_p95")
    arrays = {name: np.full_like(snapshot.arrays[f"cka.{name}"], 0.25) for name in names}
    facts = {**snapshot.facts["cka"], "n": 10}
    facts = {name: facts[name] for name in facts if name not in ("step", "split")}
    return LayerMap(tuple(sorted(live.sample_ids)[:10]), 25, arrays, facts)


def notes(content):
    parts = [part for part in content["parts"] if part["kind"] == "note"]
    return [
        "".join(r if isinstance(r, str) else str(r.get("text", "")) for r in part["text"])
        for part in parts
    ]


def test_the_map_waits_in_words_then_is_that_of_the_selected_and_names_its_weights(live, found):
    layers = Layers()
    selection = Selection(live, layers)
    selection.ask(encode(found.ids), "box")
    layers.known = Known("working", "Opens both models")
    shown, of = said(live, selection), len(live.sample_ids)
    assert layers.wanted[-1] == (found.ids, 30)
    assert shown["cka"]["facts"]["pending"] == "opens both models"
    assert notes(shown["cka"])[-1] == f"All {of}, not the 10 selected: opens both models."
    before = selection.frames(live.shown.views)
    layers.known = Known("done", found=found)
    after = selection.frames(live.shown.views)
    assert {view for view in VIEWS if after[view] is not before[view]} == {"cka"}
    cka, _ = unpack(after["cka"].packed)
    assert cka["step"] == 30 and cka["facts"]["selected"] == {"n": 10, "of": of}
    assert (
        words(cka).startswith(f"n = 10 of {of} selected, probe") and "pending" not in cka["facts"]
    )
    assert notes(cka)[-1].startswith("Student of step 25, the nearest checkpoint. Change and hist")
    assert f"10 of {of} samples selected, by the student's weights of step 25" in cka["caption"]
    assert set(cka["facts"]["cells"]) == {".25"}
    layers.known = Known("refused", "No teacher.", found)
    selection.ask(encode(sorted(live.sample_ids)[:12]), "box")
    cka = said(live, selection)["cka"]
    assert notes(cka)[-1].startswith("Still the 10 selected before. No teacher. Student of step 25")
    selection.ask("", "")
    assert selection.frames(live.shown.views) == live.shown.views
    assert layers.wanted[-1] == ((), 30), "what was asked is taken back"


def test_fewer_than_unbiased_cka_needs_are_said_and_not_asked(live):
    selection = Selection(live)
    selection.ask(encode(sorted(live.sample_ids)[:3]), "box")
    cka = said(live, selection)["cka"]
    assert cka["waiting"] == "Not defined for n = 3. Unbiased CKA needs 4 samples or more."
    assert cka["step"] == 30 and cka["facts"]["selected"]["n"] == 3
    layout = cka["skeleton"]["layout"]
    assert layout["xaxis"]["ticktext"] and not layout["shapes"], "axes, and no cell to stand on"


def test_for_an_earlier_step_the_map_comes_beside_the_snapshot_and_never_twice_alike(live, found):
    layers = Layers()
    selection = Selection(live, layers)
    assert selection.past is None
    selection.ask(encode(found.ids), "box")
    selection.look(5)
    layers.known = Known("done", found=found)
    sent = selection.past
    content, _ = unpack(sent.packed)
    assert layers.wanted[-1] == (found.ids, 5)
    assert content["step"] <= 5 and content["selection"] == selection.text
    assert content["facts"]["selected"]["n"] == 10 and selection.past is sent
    live_map = said(live, selection)["cka"]
    assert live_map["step"] == 30 and "selected" not in live_map["facts"]
    layers.known = Known("done", found=found)
    assert selection.past.packed != sent.packed
    selection.look(None)
    assert selection.past is None
    assert said(live, selection)["cka"]["facts"]["selected"]["n"] == 10


def test_too_few_samples_show_no_number_and_say_why(live):
    selection = Selection(live)
    selection.ask(encode(sorted(live.sample_ids)[:7]), "box")
    shown = said(live, selection)
    assert shown["calibration"]["waiting"].startswith("Not defined for n = 7.")
    assert shown["calibration"]["step"] == 30 and shown["calibration"]["arrays"] == []
    assert words(shown["calibration"]).startswith(f"n = 7 of {len(live.sample_ids)} selected")
    assert shown["loyalty"]["waiting"] is None


def test_a_link_with_samples_of_another_run_keeps_those_that_there_are(live):
    ids = sorted(live.sample_ids)
    strange = max(ids) + 5
    selection = Selection(live)
    selection.open(encode([*ids[:3], strange]))
    assert selection.ids == tuple(ids[:3])
    told = selection.said["selection"]
    assert told["text"] == encode(ids[:3])
    assert f"1 of 4 samples of the address are not among this run's {len(ids)}" in told["words"]
    bad = Selection(live)
    bad.open("<script>")
    assert bad.ids == () and "All samples are shown." in bad.said["selection"]["words"]


def test_in_python_all_views_of_a_show_follow_the_selection_at_any_step(finished, live):
    ids = sorted(live.sample_ids)[:30]
    shown = Run(finished.run, finished.store).show()
    heard = []
    shown.observe(lambda change: heard.append(change["new"]), names="selection")
    shown.views["calibration"].selected = np.asarray(ids[::-1], "<i4").tobytes()
    assert heard == [tuple(ids)] and shown.selection == tuple(ids)
    for name, view in shown.views.items():
        assert sorted(view.selected_ids.tolist()) == ids
        if name in ("trilateral", "calibration", "loyalty", "curves"):
            assert view.frame["facts"]["selected"] == {"n": 30, "of": len(live.sample_ids)}
    shown.step = 0
    assert shown.views["loyalty"].frame["facts"]["selected"]["n"] == 30
    assert shown.views["loyalty"].frame["step"] == 0
    shown.selection = ()
    assert "selected" not in shown.views["loyalty"].frame["facts"]
    shown.close()


def test_past_snapshots_of_a_selection_are_those_of_its_samples(finished, live):
    store, run = finished.store, finished.run
    ids = sorted(live.sample_ids)[5:60]
    steps = store.snapshot_steps(run)
    made = list(messages(store, run, {steps[2], steps[-1]}, ids))
    assert len(made) == 2
    size = int.from_bytes(made[1][:4], "little")
    assert json.loads(made[1][4 : 4 + size])["step"] == steps[-1]
    frames = Frames(History.load(store, run)).of_snapshot(None, ids)
    table, history = (frames["loyalty"].arrays[name] for name in ("table", "table_history"))
    assert table.sum() == len(ids) and len(history) == len(steps)
    np.testing.assert_array_equal(history[-1], table)
    everything = Frames(History.load(store, run)).of_snapshot(None)["loyalty"].arrays
    rows = np.isin(everything["ids"], ids)
    counted = np.bincount(everything["cell"][rows], minlength=4).reshape(2, 2)
    np.testing.assert_array_equal(counted, table)
    assert "selected" in frames["trilateral"].caption and "selected" not in frames["cka"].caption
