"""What a store's folder holds that can go, what never goes, and what a run is needed for."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from workbench.errors import RefusedCommand
from workbench.store.budget import taken
from workbench.store.housekeeping import free, neighbours, size_of, survey
from workbench.store.needs import needed_by
from workbench.store.store import Store
from workbench.store.thinning import VARIABLE
from workbench.training.grid import grid
from workbench.training.journal import Event

PLENTY = 1 << 40
KEYS = ["11" * 16, "22" * 16, "33" * 16, "44" * 16]


def ended(store, name="done", **fields):
    """A finished run with two files."""
    run = store.runs.create(name=name, experiment=fields.pop("experiment", {}), options={})
    store.runs.update(run, status="finished", steps=120, step=120, **fields)
    recorder = store.recorder(run)
    recorder.snapshot(0, {"x": np.zeros(10)}, {})
    recorder.checkpoint(120, {"step": 120}, reason="end", accuracy=0.5)
    return run


def kinds(found):
    return sorted(item.kind for item in found)


def teacher(store, key, weights):
    path = store.teacher_path(key)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"w" * 100)
    store.keep_teacher(key, weights=weights, facts={})
    return path.parent


def test_a_tidy_store_has_nothing_to_free(store):
    ended(store)
    assert survey(store, PLENTY) == []


def test_a_folder_of_no_run_is_found_and_freed_and_that_of_a_run_stays(store):
    run = ended(store)
    orphan = store.folder / "runs" / "gone-abc234"
    (orphan / "snapshots").mkdir(parents=True)
    (orphan / "snapshots" / "1.safetensors").write_bytes(b"x" * 1000)
    found = survey(store, PLENTY)
    assert [(item.kind, item.path, item.bytes) for item in found] == [("folder", orphan, 1000)]
    assert orphan.is_dir(), "a survey changes nothing"
    assert free(store, found, PLENTY) == 1000
    assert not orphan.exists()
    assert store.runs.folder(run).is_dir()
    assert survey(store, PLENTY) == []


def test_folders_and_files_of_the_user_beside_a_store_are_never_listed(store):
    for place in (
        "runs/Nov24_12-00-00_host/events.out",  # TensorBoard's
        "runs/mine-abc234/notes.txt",  # one of ours, but somebody keeps something there
        "teachers/anna/letter.txt",
        ".notes.tmp",
        "sub/.other.tmp",
    ):
        path = store.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (time.time() - 7200,) * 2)
    assert survey(store, 1) == []


def test_a_teacher_goes_only_when_no_run_was_taught_by_it(store):
    by_key, by_hash, midway, unused = (teacher(store, key, f"hash-{key[:2]}") for key in KEYS)
    ended(store, teacher=KEYS[0])
    run = ended(store, protocol={"teacher": {"hash": "hash-22"}})
    store.journal.write(run, Event(5, "set", "ada", {"path": "teacher", "teacher": "hash-33"}))
    waiting = store.runs.create(name="waits", experiment={}, options={})
    assert kinds(survey(store, PLENTY)) == [], "a run that has not told its teacher may want it"
    store.runs.update(waiting, status="stopped")
    found = survey(store, PLENTY)
    assert [item.path for item in found] == [unused]
    free(store, found, PLENTY)
    assert [path.is_dir() for path in (by_key, by_hash, midway, unused)] == [True] * 3 + [False]
    assert store.teacher(KEYS[3]) is None
    assert store.teacher(KEYS[0]) is not None


def test_what_has_become_needed_since_the_survey_stays(store):
    place = teacher(store, KEYS[0], "hash-11")
    found = survey(store, PLENTY)
    assert kinds(found) == ["teacher"]
    ended(store, teacher=KEYS[0])
    assert free(store, found, PLENTY) == 0
    assert place.is_dir()


def test_writes_that_never_ended_go_at_once_in_idle_runs_and_elsewhere_when_they_are_old(store):
    run = ended(store)
    idle = store.runs.folder(run) / "checkpoints" / ".a.safetensors.123.tmp"
    young, old = (store.folder / f".workbench.db.v1.bak.{name}.tmp" for name in ("new", "old"))
    active = store.runs.create(name="active", experiment={}, options={})
    busy = store.runs.folder(active) / "snapshots" / ".b.safetensors.456.tmp"
    busy.parent.mkdir(parents=True)
    for path in (idle, young, old, busy):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    found = survey(store, PLENTY)
    assert {item.path for item in found} == {idle, old}
    free(store, found, PLENTY)
    assert [path.exists() for path in (idle, young, old, busy)] == [False, True, False, True]


def test_files_that_no_row_names_and_the_ballast_of_an_ended_run_go(store):
    run = ended(store)
    folder = store.runs.folder(run)
    (folder / "ballast").write_bytes(b"x" * 64)
    (folder / "snapshots" / "0000000007.safetensors").write_bytes(b"x" * 32)
    found = survey(store, PLENTY)
    assert sorted((item.kind, item.bytes) for item in found) == [("ballast", 64), ("left-over", 32)]
    free(store, found, PLENTY)
    assert store.snapshot_steps(run) == [0]
    assert (folder / "snapshots" / "0000000000.safetensors").is_file()


def test_a_store_whose_name_reads_as_a_pattern_finds_its_own_half_files(tmp_path):
    store = Store(str(tmp_path / "a[1].db"))
    mine, other = (tmp_path / f".{name}.v1.bak.x.tmp" for name in ("a[1].db", "a1.db"))
    for path in (mine, other):
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    assert [waste.path for waste in survey(store, PLENTY)] == [mine]
    store.close()


def test_another_store_in_the_folder_keeps_its_runs_and_teachers(store, tmp_path):
    other = Store(str(tmp_path / "other.db"))
    run = ended(other)
    teacher(other, KEYS[0], "hash")
    assert neighbours(store) == [tmp_path / "other.db"]
    assert survey(store, PLENTY) == []
    assert other.runs.folder(run).is_dir()
    other.close()


def recorded(store, run, *, looks, marks=()):
    recorder = store.recorder(run)
    store.runs.update(run, steps=120)
    for step in marks:
        store.journal.write(run, Event(step, "set", "ada", {"path": "x", "set": {"x": 1}}))
    for step in range(looks):
        recorder.snapshot(step, {"x": np.zeros(256)}, {})
        recorder.metrics("probe", ["accuracy"], np.asarray([step]), np.ones((1, 1)))
    return recorder


def test_a_run_over_its_budget_thins_itself_while_it_trains(store, run, monkeypatch):
    monkeypatch.setenv(VARIABLE, "60000")
    recorder = recorded(store, run, looks=121, marks=[33])
    recorder.checkpoint(120, {"step": 120}, reason="end", accuracy=0.9)
    left = store.snapshot_steps(run)
    assert taken(store.database, run) <= 60000
    assert (grid(120) | {33, 34}) <= set(left)
    files = {path.name for path in (store.runs.folder(run) / "snapshots").iterdir()}
    assert files == {f"{step:010d}.safetensors" for step in left}
    assert len(store.metrics.read(run, "probe").steps) == 121, "numbers are never thinned"
    assert [event.kind for event in store.journal.events(run)] == ["set"]


def test_what_must_stay_stays_even_above_the_budget(store, run, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    recorder = recorded(store, run, looks=121)
    for step, accuracy in ((30, 0.9), (60, 0.5), (120, 0.7)):
        recorder.checkpoint(step, {"step": step}, reason="pause", accuracy=accuracy)
    assert set(store.snapshot_steps(run)) == grid(120)
    assert [row.step for row in store.checkpoints(run)] == [120, 30]


def test_gc_thins_an_ended_run_to_a_smaller_budget_and_leaves_its_parts_of_use(store, run):
    recorded(store, run, looks=121)
    part = store.runs.create(name="c", experiment={}, options={}, role="control", group=run)
    for step in (40, 80, 120):
        store.recorder(part, inbox=run).checkpoint(step, {"s": step}, reason="time", accuracy=None)
    other = store.runs.create(name="o", experiment={"teacher": f"run:{part}@40"}, options={})
    for one in (run, part, other):
        store.runs.update(one, status="finished")
    assert survey(store, PLENTY) == []
    found = survey(store, 1)
    assert {item.kind for item in found} == {"snapshot", "checkpoint"}
    assert [item.step for item in found if item.kind == "checkpoint"] == [80]
    before = taken(store.database, run)
    freed = free(store, found, 1)
    assert taken(store.database, run) == before - freed
    assert set(store.snapshot_steps(run)) == grid(120)
    assert all(not item.path.exists() for item in found)
    assert survey(store, 1) == []


def test_a_removed_run_leaves_neither_row_nor_file(store, run):
    recorded(store, run, looks=3)
    part = store.runs.create(name="c", experiment={}, options={}, role="plain_kd", group=run)
    (store.runs.folder(part) / "checkpoints").mkdir(parents=True)
    for one in (run, part):
        store.runs.update(one, status="finished")
    store.runs.remove(run)
    assert store.runs.list(roles=("student", "plain_kd")) == []
    assert size_of(store.folder / "runs") == 0
    assert store.journal.events(run) == []
    assert store.metrics.last_step(run, "probe") == -1


def test_an_underscore_in_the_id_of_a_part_stands_for_no_other_letter(store, run):
    experiment = {"teacher": f"run:{run}-stage-a-b@9"}
    pupil = store.runs.create(name="pupil", experiment=experiment, options={})
    with store.database.read() as connection:
        assert needed_by(connection, f"{run}-stage-a_b") == []
        assert needed_by(connection, f"{run}-stage-a-b") == [f"run {pupil} takes a model from it"]


@pytest.mark.parametrize("status", ["queued", "finished"])
def test_a_run_is_not_removed_while_it_works_or_another_needs_it(store, run, status):
    store.runs.update(run, status=status)
    if status == "queued":
        with pytest.raises(RefusedCommand, match="is queued and waits for its worker; stop it"):
            store.runs.remove(run)
        return
    child = store.runs.create(name="child", experiment={}, options={}, parent=run, forked_at=3)
    pupil = store.runs.create(
        name="pupil", experiment={"teacher": {"use": f"run:{run}@best"}}, options={}
    )
    longer = store.runs.create(name="x", experiment={"teacher": f"run:{run}x@last"}, options={})
    swapped = store.runs.create(name="swapped", experiment={}, options={})
    change = {"path": "teacher", "set": {"teacher": {"use": f"run:{run}"}}}
    store.journal.write(swapped, Event(5, "set", "ada", change))
    store.journal.write(run, Event(5, "set", "ada", change))
    with pytest.raises(RefusedCommand) as refused:
        store.runs.remove(run)
    assert f"run {child} was forked from it" in str(refused.value)
    for other in (pupil, swapped):
        assert f"run {other} takes a model from it" in str(refused.value)
    assert longer not in str(refused.value)
    for other in (child, pupil, swapped):
        store.runs.update(other, status="stopped")
        store.runs.remove(other)
    store.runs.remove(run)
    assert [row.id for row in store.runs.list()] == [longer]
