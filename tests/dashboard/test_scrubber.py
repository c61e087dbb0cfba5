"""The past of a run as data: what the bar shows, what a link means, what the page is sent."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from workbench.dashboard.address import Place
from workbench.dashboard.pull import pull
from workbench.dashboard.scrubber import messages, nearest, scrubber, settle
from workbench.errors import UnknownRun
from workbench.recipes import open_experiment
from workbench.runs.frames import SNAPSHOT_VIEWS, Frames
from workbench.runs.history import History
from workbench.runs.launch import accept
from workbench.store import Store
from workbench.training.grid import grid
from workbench.training.journal import Event

from ..waiting import PATIENCE
from .conftest import copied


def bar(store, run):
    history = History.load(store, run)
    return scrubber(history, Frames(history).spec, store.snapshot_steps(run))


def opened(sent):
    """What a page makes of messages: step to its pieces, each put together again."""
    before: dict[str, bytes] = {}
    found = {}
    for message in sent:
        start = 4 + int.from_bytes(message[:4], "little")
        head = json.loads(message[4:start])
        pieces = {}
        for name, kept, fresh in head["pieces"]:
            pieces[name] = before.get(name, b"")[:kept] + message[start : start + fresh]
            start += fresh
        assert start == len(message)
        before = pieces
        found[head["step"]] = pieces
    return found


def frame_of(pieces, view):
    """JSON part and arrays of a view, as ``Frame.payload`` gives them."""
    content = json.loads(pieces[f"{view}/frame"])
    content["skeleton"] = json.loads(pieces[f"{view}/skeleton"])
    return content, [pieces[f"{view}/{one['name']}"] for one in content["arrays"]]


@pytest.fixture(scope="module")
def steps(finished):
    return finished.store.snapshot_steps(finished.run)


@pytest.fixture(scope="module")
def sent(finished, steps):
    return list(messages(finished.store, finished.run, set(steps)))


def test_an_ended_run_shows_every_snapshot_its_phases_and_nothing_to_come(finished, steps):
    found = bar(finished.store, finished.run)
    assert found["snapshots"] == steps and found["to_come"] == []
    assert (found["steps"], found["active"], found["goes"]) == (steps[-1], False, "the run is done")
    assert found["phases"] == [["cosine decay", 0, steps[-1]]]


def test_a_running_run_shows_the_grid_that_is_still_to_come(finished, store, steps):
    spec, recipe, base = open_experiment("quickstart")
    run = accept(store, spec.at_scale("smoke"), recipe=recipe, base=base)
    planned = sorted(grid(store.runs.get(run).steps))
    assert (bar(store, run)["snapshots"], bar(store, run)["to_come"]) == ([], planned)
    recorder = store.recorder(run)
    for snapshot in finished.store.snapshots(finished.run)[:3]:
        recorder.snapshot(snapshot.step, snapshot.arrays, snapshot.facts)
    found = bar(store, run)
    assert found["snapshots"] == steps[:3]
    assert found["to_come"] == [step for step in planned if step > steps[2]]


def test_the_bar_has_its_end_before_the_first_step_and_no_number_before_that(store):
    spec, recipe, base = open_experiment("quickstart")
    run = accept(store, spec.at_scale("smoke"), recipe=recipe, base=base)
    assert bar(store, run)["ticks"] == []
    store.recorder(run).update(status="preparing", activity="Preparing the teacher", steps=30)
    found = bar(store, run)
    assert (found["steps"], found["snapshots"]) == (30, [])
    assert found["ticks"][0] == [0, "0"] and found["ticks"][-1][0] <= 30
    assert Frames(History.load(store, run)).curves("Waits.").figure().layout.xaxis.range[1] > 30


def test_a_snapshot_that_is_newer_than_what_was_read_waits_for_the_next_look(finished):
    history = History.load(finished.store, finished.run)
    stored = [*history.steps, history.steps[-1] + 1]
    assert scrubber(history, None, stored)["snapshots"] == history.steps


def test_the_frames_of_the_last_step_are_those_of_the_live_page(finished, steps, sent):
    history = History.load(finished.store, finished.run)
    frames = Frames(history)
    pieces = opened(sent)[steps[-1]]
    for view, frame in frames.of_snapshot(None).items():
        content, buffers = frame_of(pieces, view)
        assert (content, buffers) == (json.loads(json.dumps(frame.payload()[0])), buffers)
        assert buffers == frame.payload()[1]
    assert json.loads(pieces["pull"]) == pull(history, frames.spec, None)


def test_the_frames_of_a_step_show_its_own_numbers_and_nothing_that_came_later(finished, sent):
    found = opened(sent)
    for index, snapshot in enumerate(finished.store.snapshots(finished.run)):
        pieces = found[snapshot.step]
        assert {frame_of(pieces, view)[0]["step"] for view in SNAPSHOT_VIEWS} == {snapshot.step}
        shape = snapshot.arrays["cka.unbiased"].shape
        cells = np.frombuffer(pieces["cka/unbiased"], "<f4").reshape(shape)
        np.testing.assert_array_equal(cells, snapshot.arrays["cka.unbiased"].astype("<f4"))
        assert len(np.frombuffer(pieces["loyalty/steps"], "<i4")) == index + 1
        assert json.loads(pieces["pull"])["footer"].endswith(f"step {snapshot.step}")


def test_what_does_not_change_is_sent_once(sent):
    heads = [json.loads(m[4 : 4 + int.from_bytes(m[:4], "little")])["pieces"] for m in sent]
    fresh = [{name: new for name, _, new in head} for head in heads]
    assert fresh[0]["trilateral/ids"] > 0
    assert all(head["trilateral/ids"] == 0 for head in fresh[1:])
    cell = fresh[0]["cka/history"]
    assert [head["cka/history"] for head in fresh] == [cell] * len(fresh), "histories only grow"


def test_only_the_snapshots_that_were_asked_for_are_sent_and_a_lost_one_is_left_out(
    finished, steps
):
    asked = {steps[2], steps[5], steps[5] + 10_000}
    found = opened(messages(finished.store, finished.run, asked))
    assert list(found) == [steps[2], steps[5]]
    alone = opened(messages(finished.store, finished.run, {steps[5]}))
    assert alone[steps[5]] == found[steps[5]], "a frame does not depend on what else was asked"


def test_an_earlier_picture_has_no_mark_of_a_later_change(finished, steps, tmp_path):
    store = Store(str(copied(finished, tmp_path / "copy")))
    path = "stages.main.terms.kd.temperature"
    payload = {"path": path, "before": 4.0, "after": 2.0, "set": {path: 2.0}}
    store.journal.write(finished.run, Event(steps[6], "set", "ada", payload))
    assert [mark["step"] for mark in bar(store, finished.run)["marks"]] == [steps[6]]
    found = opened(messages(store, finished.run, {steps[5], steps[6], steps[7]}))
    marked = [b"ada" in found[step]["cka/skeleton"] for step in steps[5:8]]
    assert marked == [False, False, True], "a snapshot is of what stood before the change"
    store.close()


def test_a_run_that_is_not_there_is_named(finished):
    with pytest.raises(UnknownRun, match="nobody"):
        list(messages(finished.store, "nobody", {0}))


def test_the_server_sends_snapshots_gzipped_and_refuses_what_it_cannot_read(
    finished, served, steps, sent
):
    url = f"{served.url}/snapshots?run={finished.run}&steps={','.join(map(str, steps))}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        packed = answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
    body = gzip.decompress(packed)
    assert body == b"".join(len(m).to_bytes(4, "little") + m for m in sent)
    assert len(packed) < len(body) / 3
    for asked, code in (("run=nobody&steps=0", 404), (f"run={finished.run}&steps=1,x", 400)):
        with pytest.raises(urllib.error.HTTPError, match=str(code)) as refused:
            urllib.request.urlopen(f"{served.url}/snapshots?{asked}", timeout=PATIENCE)
        refused.value.close()


@pytest.mark.parametrize(
    "place",
    [Place(), Place("demo-1"), Place("demo-1", 0), Place("demo-1", 120), Place("a b&c=ü", 7)],
)
def test_a_place_survives_the_way_through_its_address(place):
    query = parse_qs(urlsplit(place.address).query)
    assert Place.read({name: [v.encode() for v in values] for name, values in query.items()}) == (
        place
    )


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "1e3", " 7", "٣", "9" * 5000, "<b>"])
def test_a_step_that_is_none_keeps_the_run_and_says_so(text):
    place = Place.read({"run": [b"demo"], "step": [text.encode()]})
    assert (place.run, place.step) == ("demo", None)
    assert place.words.startswith(f"`step={text[:20]}") and len(place.words) < 80


def test_a_step_without_a_run_and_empty_values_are_the_start_page():
    assert Place.read({"step": [b"7"]}) == Place()
    assert Place.read({"run": [b""], "step": [b""]}) == Place()


def test_a_link_opens_its_snapshot_or_the_nearest_below_in_words(finished, steps):
    row = finished.store.runs.get(finished.run)
    assert settle(Place("run"), row, steps) is None
    assert settle(Place("run", steps[3]), row, steps) == {"step": steps[3], "words": ""}
    between = settle(Place("run", steps[3] + 1), row, steps)
    assert between["step"] == steps[3]
    assert between["words"] == f"No snapshot at step {steps[3] + 1}: this is the nearest below."
    beyond = settle(Place("run", 10**9 - 1), row, steps)
    assert beyond["step"] == steps[-1] and "nearest below" in beyond["words"]
    first = settle(Place("run", 1), row, [5, 10])
    assert first["step"] == 5 and "nearest above" in first["words"]
    assert settle(Place("run", 3), row, [])["words"] == "No snapshot yet; you see the live run."
    bad = settle(Place("run", words="`step=x` in the address is no step."), row, steps)
    assert bad["step"] is None and f"from 0 to {row.steps}" in bad["words"]


@pytest.mark.parametrize(("step", "expected"), [(0, 0), (4, 0), (5, 5), (99, 9), (-3, 0)])
def test_nearest_is_the_last_one_not_beyond(step, expected):
    assert nearest(step, [0, 5, 9]) == expected
