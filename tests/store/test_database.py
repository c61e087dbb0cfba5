"""Opening a store: what is taken, what is refused and in which words, and the bill of a reader."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from workbench.errors import BadStore
from workbench.store.database import Database, store_path
from workbench.store.store import Store


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
    with pytest.raises(BadStore, match=r"WB109.*has version 99, this workbench knows 1.*Update"):
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
