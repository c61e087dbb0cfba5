"""The views of a run in a notebook: one selection, one step, and figures as files."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import traitlets
from PIL import Image
from workbench_widgets.frame import VIEWS

from workbench.errors import BadFile, BadInput, RefusedCommand, StoreLocked, UnknownName
from workbench.runs import in_cell, live
from workbench.runs.live import LiveViews
from workbench.runs.run import Run

from ..waiting import PATIENCE, until
from .conftest import until_ended

PROBES = ["cka", "trilateral", "calibration", "loyalty"]
CHANGES = {"student": "cnn-tiny", "stages.main.steps": 12, "probes": PROBES, "control": False}
BEGINS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF-", ".html": b"<!doctype html>"}


@pytest.fixture(scope="module")
def trained(store, accepted, workers) -> Run:
    run = accepted(CHANGES)
    workers.start(store, run)
    assert until_ended(store, run).status == "finished"
    return Run(run, store)


@pytest.fixture
def shown(trained) -> Iterator[LiveViews]:
    views = trained.show()
    yield views
    views.close()


def ids_of(run: Run) -> list[int]:
    return [int(sample) for sample in run.arrays("trilateral")[-1][1]["ids"]]


def test_a_selection_set_in_python_is_in_every_view_and_is_told_once(trained, shown):
    one, two = sorted(ids_of(trained)[:2])
    heard = []
    shown.observe(lambda change: heard.append(change["new"]), names="selection")
    shown.selection = [two, one, two]
    assert heard == [(one, two)]
    states = [bytes(view.selected) for view in shown.views.values()]
    assert len(states) == len(VIEWS) and len(set(states)) == 1
    shown.selection = ()
    assert shown.selection == ()
    assert not any(view.selected for view in shown.views.values())


def test_a_selection_made_in_one_view_reaches_the_trait_and_the_others(trained, shown):
    shown.selection = ids_of(trained)[:1]
    drawn = bytes(shown.views["trilateral"].selected)
    shown.selection = ()
    shown.views["trilateral"].selected = drawn
    assert shown.selection == tuple(ids_of(trained)[:1])
    assert bytes(shown.views["calibration"].selected) == drawn


@pytest.mark.parametrize("kind", [np.asarray, set, dict.fromkeys])
def test_a_selection_is_set_from_whatever_holds_ids(trained, shown, kind: Callable[..., Any]):
    ids = sorted(ids_of(trained)[:3])
    shown.selection = kind(ids)
    assert shown.selection == tuple(ids)
    shown.selection = None
    assert shown.selection == ()


def test_ids_that_the_run_does_not_look_at_are_refused_and_named(trained, shown):
    shown.selection = ids_of(trained)[:1]
    with pytest.raises(traitlets.TraitError, match=r"1 of 2 ids .* such as 123456"):
        shown.selection = [*ids_of(trained)[:1], 123456]
    assert shown.selection == tuple(ids_of(trained)[:1])


@pytest.mark.parametrize("wrong", [["zero"], [None], 3, [1.5]])
def test_a_selection_that_is_no_list_of_ids_is_refused_and_the_old_one_stays(shown, wrong):
    before = shown.selection
    with pytest.raises(traitlets.TraitError, match=r"WB100.*sample ids"):
        shown.selection = wrong
    assert shown.selection == before


def test_another_step_turns_all_views_to_the_snapshot_at_or_before_it(trained, shown):
    steps = [step for step, _ in trained.arrays("cka")]
    assert len(steps) > 2
    assert {view.marker for view in shown.views.values()} == {None}, "it follows the run"
    shown.step = steps[2] - 1
    assert {view.marker for view in shown.views.values()} == {steps[1]}
    shown.step = None
    assert {view.marker for view in shown.views.values()} == {None}


def test_the_bar_over_the_views_turns_them_and_its_newest_follows_again(trained, shown):
    steps = [step for step, _ in trained.arrays("cka")]
    bar = shown._bar.widget
    assert (bar.steps, bar.shown, bar.live) == (steps, steps[-1], True)
    bar.asked = {"step": steps[1], "count": 1}  # as the browser does
    assert shown.step == steps[1]
    assert (bar.shown, bar.live) == (steps[1], False) and "looking back" in bar.words
    bar.asked = {"step": None, "count": 2}
    assert shown.step is None
    assert (bar.shown, bar.live) == (steps[-1], True)


def test_the_frames_of_a_past_step_are_those_of_its_snapshot(trained):
    steps = [step for step, _ in trained.arrays("calibration")]
    early, late = (trained.figure("trilateral", step=step) for step in (steps[0], steps[-1]))
    assert early.to_json() != late.to_json()
    assert late.to_json() == trained.figure("trilateral").to_json(), "None is the newest"


def test_one_view_alone_by_name_and_by_method(trained):
    alone = trained.views.loyalty(step=np.int64(0))
    assert list(alone.views) == ["loyalty"] and alone.step == 0
    alone.close()
    with pytest.raises(UnknownName, match="loyalty"):
        trained.show("loyality")
    assert "loyalty()" in repr(trained.views)


def test_the_kept_picture_is_drawn_anew_while_the_run_goes_on(store, accepted, monkeypatch):
    monkeypatch.setattr(live, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(live, "KEEP_SECONDS", 0.0)
    run, drawn = Run(accepted(CHANGES), store), threading.Event()
    shown = run.show("loyalty")
    shown._handle = SimpleNamespace(update=lambda *_, **__: drawn.set())
    run.note("something has happened")
    assert drawn.wait(PATIENCE), "a notebook that is saved now shows the run as it stands"
    shown.close()


def test_a_store_that_is_locked_for_a_while_ends_no_following(store, accepted, monkeypatch):
    run = Run(accepted(CHANGES), store)
    shown = run.show("loyalty")
    refresh, followed = shown._history.refresh, threading.Event()

    def locked(store):
        def again(store):
            refresh(store)
            followed.set()

        monkeypatch.setattr(shown._history, "refresh", again)
        raise StoreLocked("another process holds it")

    monkeypatch.setattr(shown._history, "refresh", locked)
    run.note("something has happened")
    assert followed.wait(PATIENCE), "what has happened meanwhile is shown once it lets go"
    assert shown._thread.is_alive()
    shown.close()


CLAIMS = """
import sys
from workbench.store import Store
Store(sys.argv[1]).runs.claim(sys.argv[2])
print("claimed", flush=True)
sys.stdin.read()
"""


def test_a_worker_that_is_killed_is_noticed_though_it_writes_nothing(store, accepted):
    run = Run(accepted(CHANGES), store)
    words = [sys.executable, "-c", CLAIMS, str(store.path), run.id]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout.readline() == b"claimed\n"
        shown = run.show("loyalty")
        until(lambda: shown._history.row.pid == worker.pid, "it is seen at work")
        worker.kill()
    until(lambda: not shown._thread.is_alive(), "nobody is followed any more")
    assert shown._bar.widget.words == "run interrupted"
    shown.close()


def test_options_that_no_view_has_are_refused_in_one_sentence(trained):
    with pytest.raises(UnknownName, match="Did you mean 'dark'"):
        trained.show(theme="Dark")
    with pytest.raises(BadInput, match=r"`step` is 'last'.* None to follow"):
        trained.show(step="last")
    with pytest.raises(BadInput, match=r"`height` is 'big'.*pixels"):
        trained.show(height="big")


@pytest.fixture
def cell(monkeypatch) -> Callable[[str, str], None]:
    """A kernel's word for which cell runs now, and for which time."""
    monkeypatch.setattr(in_cell, "CELLS", in_cell.Cells())
    return lambda name, time: monkeypatch.setattr(in_cell, "running_cell", lambda: (name, time))


def test_a_cell_that_runs_again_lets_go_of_the_views_that_it_showed(trained, cell, capsys):
    first, again, other = trained.show("loyalty"), trained.show("loyalty"), trained.show("loyalty")
    cell("cell 1", "run 1")
    first._ipython_display_()
    other._ipython_display_()  # a cell may show several
    cell("cell 2", "run 2")
    other._ipython_display_()
    assert all(view.comm is not None for view in (first.views["loyalty"], other.views["loyalty"]))
    cell("cell 1", "run 3")
    again._ipython_display_()
    assert first.views["loyalty"].comm is None and not first._thread.is_alive()
    assert other.views["loyalty"].comm is not None, "another cell shows these"
    with pytest.raises(RefusedCommand, match=r"cell ran again.*`show\(\)`"):
        first._ipython_display_()
    first.selection = ids_of(trained)[:2]  # the reader's own name for them still answers
    again._ipython_display_()
    assert again.views["loyalty"].comm is not None, "the same views, shown twice in a cell"
    for views in (again, other):
        views.close()


def test_views_that_the_reader_has_placed_are_not_let_go(trained, cell):
    placed = trained.show("loyalty")
    assert placed.widget.children
    cell("cell 1", "run 1")
    in_cell.CELLS.show(placed)
    cell("cell 1", "run 2")
    in_cell.CELLS.show(other := trained.show("loyalty"))
    assert placed.views["loyalty"].comm is not None
    for views in (placed, other):
        views.close()


def test_the_kept_picture_is_as_narrow_as_a_cell_on_a_small_screen(trained, shown):
    content, about = in_cell.kept_picture(shown._on_screen())
    wide = about["image/png"]["width"]
    assert wide <= 590, "wider ones are shrunk, and their letters with them"
    drawn = Image.open(io.BytesIO(base64.b64decode(content["image/png"])))
    assert drawn.width == round(1.5 * wide) and drawn.height > 4 * drawn.width * 0.8
    assert "samples" in content["text/plain"]


def test_a_step_of_a_run_without_a_snapshot_is_refused(store, accepted):
    waiting = Run(accepted(CHANGES), store)
    with pytest.raises(RefusedCommand, match="snapshot"):
        waiting.show(step=3)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_saved_in_each_format(trained, tmp_path, view):
    for suffix, begins in BEGINS.items():
        path = trained.save_figure(view, tmp_path / f"{view}{suffix}", scale=1.0)
        assert path.read_bytes().startswith(begins), suffix
    with pytest.raises(BadFile, match="exists"):
        trained.save_figure(view, path)
    with pytest.raises(BadFile, match="ends in"):
        trained.save_figure(view, tmp_path / "figure.jpeg")
