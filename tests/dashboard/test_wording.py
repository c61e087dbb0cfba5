"""A run in words: its loss, its time, its journal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dashboard import wording
from workbench.recipes import open_experiment
from workbench.store import RunRow
from workbench.training.journal import ACTIVE, Event

NOW = 1_700_000_000.0


@pytest.fixture
def row(store) -> RunRow:
    spec, recipe, _ = open_experiment("quickstart")
    run = store.runs.create(name="a", experiment=spec.given(), options={}, recipe=recipe)
    fresh = store.runs.get(run)
    return replace(
        fresh, status="training", step=100, steps=450, rate=10.0, started_ns=int((NOW - 20) * 1e9)
    )


def test_a_term_wears_the_colour_of_what_it_pulls_towards():
    spec, _, _ = open_experiment("quickstart")
    pieces = wording.expression(spec.stage)
    assert "".join(piece["text"] for piece in pieces) == "0.9 × KD(T=4) + 0.1 × CE"
    assert [piece.get("colour") for piece in pieces] == ["teacher", None, "truth"]


def test_a_weight_of_one_is_not_written_and_a_ramp_shows_both_ends():
    spec, _, _ = open_experiment("quickstart")
    changed = spec.replace(
        {
            "stages.main.terms.kd.weight": 1,
            "stages.main.terms.ce.weight": {"use": "linear", "start": 0.5, "end": 0},
        }
    )
    text = "".join(piece["text"] for piece in wording.expression(changed.stage))
    assert text == "KD(T=4) + 0.5 → 0 × CE"


def test_every_status_has_an_icon_and_a_word():
    ended = {"stopped", "finished", "failed", "interrupted"}
    assert set(wording.CHIPS) == ACTIVE | ended
    assert len({word for _, word in wording.CHIPS.values()}) == len(wording.CHIPS)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (11.4, "11 s"),
        (89, "89 s"),
        (95, "2 min"),
        (3600, "60 min"),
        (7300, "about 2 h"),
    ],
)
def test_durations_grow_coarser(seconds, words):
    assert wording.duration(seconds) == words


def test_time_left_is_steps_left_over_speed(row):
    assert wording.time_left(row, NOW) == "35 s left"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"rate": None},
        {"step": 450},
        {"step": 0},
        {"started_ns": int((NOW - 3) * 1e9)},
    ],
)
def test_time_left_is_empty_while_it_would_be_a_guess(row, change):
    assert wording.time_left(replace(row, **change), NOW) == ""


def test_time_expected_in_slow_motion_is_not_that_of_full_speed(row):
    protocol = {"estimate": {"parts": {"student": 3.0, "probes": 0.5}}}
    fresh = replace(row, rate=None, step=0, steps=450, protocol=protocol)
    assert wording.time_left(fresh, NOW) == "about 4 s left"
    assert wording.time_left(replace(fresh, pace=0.08), NOW) == "about 36 s left"


def test_elapsed_time_stops_at_the_end(row):
    assert wording.elapsed(row, NOW) == "20 s"
    ended = replace(row, status="finished", ended_ns=int((NOW - 5) * 1e9))
    assert wording.elapsed(ended, NOW + 1000) == "15 s"
    gone = replace(row, status="interrupted", heartbeat_ns=int((NOW - 8) * 1e9))
    assert wording.elapsed(gone, NOW + 1000) == "12 s"


def test_the_journal_reads_newest_first_in_words():
    events = [
        Event(0, "started", "worker"),
        Event(1200, "pace", "page", {"before": None, "after": 0.08}, command=1),
        Event(1300, "pace", "mira", {"before": 0.08, "after": None}, command=2),
    ]
    lines = wording.journal(events)
    assert [line["what"] for line in lines] == [
        "Full speed",
        "Slow motion, 80 ms a step",
        "Started",
    ]
    assert [line["step"] for line in lines] == ["1\u2009300", "1\u2009200", "0"]
    assert lines[0]["when"].startswith("mira, ")
    assert lines[1]["when"].startswith("on the page, ")
