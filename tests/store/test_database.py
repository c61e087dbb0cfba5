"""Opening a store: what is taken, what is refused and in which words, and the bill of a reader."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from workbench.errors import BadStore, StoreLocked
from workbench.recipes import open_experiment
from workbench.store import database
from workbench.store.database import Database, store_path
from workbench.store.schema import VERSION
from workbench.store.store import Store

from ..waiting import PATIENCE
from .conftest import READERS_OUT, WRITERS_OUT, sound


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = {row[0] for row in connection.execute("select name from sqlite_master")}
    connection.close()
    return found


def test_a_new_store_is_made_with_its_folders_and_opens_again(tmp_path):
    path = tmp_path / "deep" / "er" / "workbench.db"
    first = Store(str(path))
    run = first.runs.create(name="x", experiment={}, options={})
    first.close()
    again = Store(f"sqlite:///{path}")
    assert again.runs.get(run).name == "x"
    again.close()


@pytest.mark.parametrize(
    "name", ["with space.db", "what?.db", "50%.db", "a;b'c\".db", "ümlaut#.db"]
)
def test_any_file_name_is_just_a_file_name(tmp_path, name):
    store = Store(str(tmp_path / name))
    store.close()
    assert (tmp_path / name).is_file()
    assert [entry for entry in os.listdir(tmp_path) if not entry.startswith(name)] == []  # noqa: PTH208


def test_a_newer_store_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "workbench.db"
    Store(str(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("update meta set value = '99' where key = 'version'")
    connection.execute("drop table teachers")
    connection.commit()
    connection.close()
    said = rf"WB109.*has version 99, this workbench knows {VERSION}\. Update"
    with pytest.raises(BadStore, match=said):
        Store(str(path))
    assert "teachers" not in tables(path)


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("create table bookmarks (url text)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BadStore, match=r"database of another program \(tables: bookmarks\)"):
        Store(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, bytes(4096)])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(BadStore, match=r"cannot be opened \(.*Give a SQLite file you can write"):
        Store(str(path))
    assert path.read_bytes() == content


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        BadStore, match=r"Store folder .* cannot be made .*--store, or set WORKBENCH"
    ):
        Store(str(tmp_path / "file" / "workbench.db"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that root may not write")
def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(BadStore, match=r"cannot be opened \(unable to open database file"):
        Store("/proc/self/workbench.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "--store is empty"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:/x", r"'sqlite:/x' names no file; write sqlite:///relative or sqlite:////abs"),
        ("sqlite:x", "names no file"),
        ("sqlite://x", "names no file"),
        ("SQLite:/x", "names no file"),
        ("postgresql:/name", "Store URL of kind 'postgresql' is not supported"),
        ("sqlite+pysqlite:///x", r"Store URL of kind 'sqlite\+pysqlite' is not supported"),
        ("postgresql://host/name", "Store URL of kind 'postgresql' is not supported"),
    ],
)
def test_a_url_that_is_no_place_is_refused(url, said):
    with pytest.raises(BadStore, match=said):
        store_path(url)


def test_the_default_place_follows_the_home_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    assert store_path(None) == tmp_path / "home" / "workbench.db"
    monkeypatch.delenv("WORKBENCH_HOME")
    assert store_path(None) == Path.home() / ".workbench" / "workbench.db"


def test_a_folder_and_both_kinds_of_url_name_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = tmp_path / "workbench.db"
    for url in (str(tmp_path), str(wanted), f"sqlite:///{wanted}", "sqlite:///workbench.db"):
        assert store_path(url) == wanted


def test_opening_to_read_writes_nothing(store):
    """A store on a full disk can still be read: its writer's lock is held meanwhile."""
    with store.database.write():
        reader = Database(store.path)
        with reader.read() as connection:
            assert connection.exec_driver_sql("select count(*) from runs").scalar() == 0
        reader.close()


def test_commands_are_fully_durable_and_metrics_are_not_synced(store):
    def synchronous(engine) -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    assert synchronous(store.database._durable) == 2  # FULL
    assert synchronous(store.database._fast) == 1  # NORMAL


def test_a_watch_tells_of_what_others_commit_once(store, run):
    watch = store.watch()
    other = Store(str(store.path))
    assert watch.changed(), "the first look always counts"
    assert not watch.changed()
    other.journal.send(run, "pause", who="ada")
    assert watch.changed()
    assert not watch.changed()
    store.journal.send(run, "pause", who="ada")
    assert watch.changed(), "another connection of the same process counts too"
    watch.close()
    other.close()


def test_many_watches_do_not_keep_a_reader_waiting(store, run):
    watches = [store.watch() for _ in range(40)]
    assert store.runs.get(run).id == run
    for watch in watches:
        watch.close()


# Faults


def expect_no_traceback(done) -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return str(done.stderr)


CLI = "import sys; from workbench.cli.main import main; main(sys.argv[1:])"


def test_a_store_that_cannot_be_written_can_be_read_and_nothing_is_started_in_it(
    bound, locked_up, tmp_path
):
    """Closed well, so there is no log and no index of one: SQLite alone would refuse to read."""
    folder = tmp_path / "kept"
    store = Store(str(folder / "workbench.db"))
    run = store.runs.create(
        name="kept", experiment=open_experiment("quickstart")[0].given(), options={}
    )
    store.runs.update(run, status="finished", result={"steps": 5})
    store.close()
    path = store.path
    locked_up(folder)
    before = {entry: entry.stat().st_mtime_ns for entry in [folder, *folder.rglob("*")]}
    listed = bound("-c", CLI, "runs", "--store", str(path), "--json")
    assert (listed.returncode, expect_no_traceback(listed)) == (0, "")
    assert [row["run"] for row in json.loads(listed.stdout)] == [run]
    shown = bound("-c", CLI, "show", run, "--store", str(path), "--json")
    assert (shown.returncode, json.loads(shown.stdout)["status"]) == (0, "finished")
    started = bound("-c", CLI, "run", "quickstart", "--store", str(path))
    assert started.returncode == 2
    assert f"Store {path} is read-only: its runs can be looked" in expect_no_traceback(started)
    assert "Give another place with --store" in started.stderr
    assert {entry: entry.stat().st_mtime_ns for entry in [folder, *folder.rglob("*")]} == before


def test_a_store_that_cannot_be_written_is_read_with_what_is_still_in_its_log(
    bound, locked_up, tmp_path
):
    """Its writer is alive, or was killed: the newest rows are not in the file itself."""
    store = Store(str(tmp_path / "kept" / "workbench.db"))
    run = store.runs.create(name="kept", experiment={}, options={})
    assert store.path.with_name("workbench.db-wal").stat().st_size > 0
    locked_up(store.folder)
    listed = bound("-c", CLI, "runs", "--store", str(store.path), "--json")
    assert (listed.returncode, expect_no_traceback(listed)) == (0, "")
    assert [row["run"] for row in json.loads(listed.stdout)] == [run]
    store.close()


def test_a_device_is_no_store():
    with pytest.raises(BadStore, match=f"Store {os.devnull} is no regular file"):
        Store(os.devnull)


def test_writers_wait_for_a_lock_and_go_on_when_it_is_free(tmp_path, monkeypatch, hold):
    monkeypatch.setattr(database, "BUSY_MS", 10)
    store = Store(str(tmp_path / "workbench.db"))
    let_go, lines = hold(store.path), []

    def told(line: str) -> None:
        lines.append(line)
        let_go()

    store.database.patience, store.database.told = 60.0, told
    run = store.runs.create(name="x", experiment={}, options={})
    assert store.runs.get(run).name == "x"
    assert lines[0].endswith("workbench.db is locked by another process; waiting up to 60 s.")
    assert re.fullmatch(r"Store .*workbench\.db is free again after \d+\.\d s\.", lines[1])
    store.close()


def test_readers_do_not_wait_for_a_writer(store, run, hold):
    hold(store.path, WRITERS_OUT)
    assert store.runs.get(run).id == run  # the lock is held until this test ends


def test_a_writer_that_has_waited_long_enough_says_who_is_in_the_way(tmp_path, monkeypatch, hold):
    monkeypatch.setattr(database, "BUSY_MS", 10)
    store = Store(str(tmp_path / "workbench.db"))
    store.database.patience = 0.2
    hold(store.path)
    with pytest.raises(StoreLocked, match=r"WB114.*is locked by another process\. Try again"):
        store.runs.create(name="x", experiment={}, options={})
    assert store.runs.list() == []
    store.close()


def test_a_reader_that_is_kept_out_answers_in_words(tmp_path, hold):
    path = tmp_path / "workbench.db"
    Store(str(path)).close()
    let_go = hold(path, READERS_OUT)
    script = f"from workbench.store import database; database.BUSY_MS = 10; {CLI}"
    for words in (["runs"], ["show", "x"], ["run", "quickstart"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words, "--store", str(path)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert f"[WB114] Store {path} is locked by another process" in expect_no_traceback(done)
    let_go()
    Store(str(path)).close()


def test_a_table_that_is_gone_is_told_and_no_error_of_sqlite_is_shown(store, run):
    connection = sqlite3.connect(store.path)
    connection.execute("drop table checkpoints")
    connection.commit()
    connection.close()
    with pytest.raises(BadStore, match=r"is not whole \(no such table: checkpoints\): another"):
        store.checkpoints(run)


def test_a_damaged_page_is_told_and_no_error_of_sqlite_is_shown(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    for number in range(200):
        store.runs.create(name=f"{number}", experiment={"x": "y" * 500}, options={})
    store.close()
    with store.path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * (20 * 4096))
    again = Store(str(store.path))
    with pytest.raises(BadStore, match=r"cannot be opened \(database disk image is malformed\)"):
        again.runs.list()
    again.close()


@pytest.mark.parametrize("put_another", [False, True])
def test_a_file_that_was_taken_away_is_told_and_nothing_is_written_into_it(
    store, run, tmp_path, put_another
):
    """The system would let us write on into a file that nobody can find any more."""
    away = tmp_path / "away"
    away.mkdir()
    for entry in store.folder.glob("workbench.db*"):
        entry.rename(away / entry.name)
    if put_another:
        Store(str(store.path)).close()
    with pytest.raises(BadStore, match=r"WB109.*was moved, deleted or replaced while it was open"):
        store.runs.update(run, name="y")
    moved = Store(str(away / "workbench.db"))
    assert moved.runs.get(run).name == "a run"
    moved.close()


@pytest.mark.parametrize(
    ("statement", "error"),
    [("insert into meta values ('version', '3')", IntegrityError),
     ("select from where", OperationalError)],
)  # fmt: skip
def test_a_mistake_of_ours_is_not_dressed_up_as_a_fault_of_the_store(store, statement, error):
    with pytest.raises(error), store.database.write() as connection:
        connection.exec_driver_sql(statement)


LIMITED = """
import resource, sys
from workbench.errors import DiskFull
from workbench.store.store import Store
store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.journal.send("x", "pause", who="ada", payload={"note": "x" * 300_000})
except DiskFull as error:
    print(error)
print(len(store.journal.waiting("x")))
store.journal.send("x", "stop", who="ada")
"""


@pytest.mark.skipif(os.name != "posix", reason="the size of files can be limited on POSIX only")
def test_without_space_the_bytes_are_named_nothing_is_kept_and_less_still_fits(store):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(store.path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, kept = done.stdout.splitlines()
    found = re.search(r"\[WB202\] .*workbench\.db: no space for (\d+) bytes; \d+ bytes are", told)
    assert found is not None, told
    assert 300_000 <= int(found[1]) < 310_000
    assert kept == "0"
    assert [command.kind for command in store.journal.waiting("x")] == ["stop"]
    assert sound(store.path)


def test_many_processes_may_make_the_same_store_at_once(tmp_path):
    path = tmp_path / "workbench.db"
    script = (
        "import sys; from workbench.store.store import Store; sys.stdin.readline()\n"
        "Store(sys.argv[1]).runs.create(name='x', experiment={}, options={})"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    for maker in makers:
        _, said = maker.communicate(timeout=PATIENCE)
        assert maker.returncode == 0, said
    store = Store(str(path))
    assert len(store.runs.list()) == 5
    store.close()
    assert sound(path)


def test_a_connection_made_after_the_file_has_gone_says_that_it_was_moved(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    (tmp_path / "away").mkdir()
    for file in tmp_path.glob("workbench.db*"):
        file.rename(tmp_path / "away" / file.name)
    store.database.close()  # the pool forgets its connections: the next one opens the name anew
    with pytest.raises(BadStore, match="was moved, deleted or replaced while it was open"):
        store.runs.list()
    store.close()
