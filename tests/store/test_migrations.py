"""An older store is brought up to date whole or not at all, once, and its old file is kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import BadStore, DiskFull
from workbench.store import database, migrations
from workbench.store.migrations import MIGRATIONS, keep_copy
from workbench.store.schema import VERSION
from workbench.store.store import Store

from ..waiting import PATIENCE
from .conftest import dump, sound

VERSION_1 = Path(__file__).with_name("version1.sql").read_text("utf-8")
"""A store as version 1 left it: three runs, their journal, metrics, a checkpoint, a teacher."""
RUN = "it-s-quoted-n-code-7k2p9x"


@pytest.fixture
def old(tmp_path) -> Path:
    """A version-1 file in WAL mode, as its writer closed it."""
    return make_old(tmp_path / "workbench.db")


def make_old(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return path


def version(path: Path) -> str:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("select value from meta where key = 'version'").fetchone()
    connection.close()
    return str(found)


def columns(path: Path, table: str) -> set[tuple[object, ...]]:
    """Name, type, not null, default and key of each column; their order does not matter."""
    connection = sqlite3.connect(path)
    found = {row[1:] for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    return found


def rows(path: Path, table: str) -> list[dict[str, object]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(f"select * from {table} order by 1, 2")]  # noqa: S608
    connection.close()
    return found


TABLES = ("runs", "commands", "events", "blocks", "snapshots", "checkpoints", "teachers")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_is_one_step_from_each_version_to_the_next():
    assert len(MIGRATIONS) == VERSION - 1


def test_the_fixture_is_what_version_1_was(old):
    assert version(old) == "1"
    assert "forked_at" not in {column[0] for column in columns(old, "runs")}
    assert all(rows(old, table) for table in TABLES)


def test_every_row_of_an_old_store_is_there_after_it_is_opened(old):
    before = {table: rows(old, table) for table in TABLES}
    Store(str(old)).close()
    assert version(old) == str(VERSION)
    assert sound(old)
    for table in TABLES:
        now = rows(old, table)
        if table == "runs":
            for column in (
                "forked_at", "cohort", "turn", "called_ns", "calls", "machine", "store_file"
            ):  # fmt: skip
                assert [row.pop(column) for row in now] == [None] * len(now)
        assert now == before[table], table


def test_an_old_store_reads_and_goes_on_as_a_new_one_does(old):
    store = Store(str(old))
    row = store.runs.get(RUN)
    assert (row.name, row.status, row.step) == ('It\'s "quoted", ünïcode', "finished", 5)
    assert store.metrics.read(RUN, "train").column("loss").tolist() == [k / 3 for k in range(1, 6)]
    assert [event.kind for event in store.journal.events(RUN)] == ["started", "pause"]
    assert store.runs.get("fork-m3n4p5").parent == RUN
    number = store.journal.send(RUN, "pause", who="ada")
    assert [command.id for command in store.journal.waiting(RUN)] == [number - 1, number]
    store.close()


def test_a_migrated_store_has_the_tables_and_indices_of_a_new_one(old, tmp_path):
    new = tmp_path / "new.db"
    for path in (old, new):
        Store(str(path)).close()
    for table in (*TABLES, "meta"):
        assert columns(old, table) == columns(new, table), table

    def indices(path: Path) -> set[tuple[str, str]]:
        connection = sqlite3.connect(path)
        found = connection.execute("select name, sql from sqlite_master where type = 'index'")
        kept = {(name, " ".join((sql or "").split())) for name, sql in found}
        connection.close()
        return kept

    assert indices(old) == indices(new)


def test_the_old_file_is_kept_beside_the_store_and_nothing_else(old):
    before = dump(old)
    Store(str(old)).close()
    copy = old.with_name("workbench.db.v1.bak")
    assert names(old.parent) == ["workbench.db", "workbench.db.v1.bak"]
    assert dump(copy) == before
    assert version(copy) == "1"
    assert sound(copy)
    stamp = copy.stat().st_mtime_ns
    Store(str(old)).close()
    assert copy.stat().st_mtime_ns == stamp, "a store of today is copied again"


def test_what_is_only_in_the_log_is_in_the_copy_too(old):
    """A store whose writer was killed: its last commits are not in the file itself."""
    writer = sqlite3.connect(old)
    writer.execute("insert into meta values ('late', 'yes')")
    writer.commit()
    assert old.with_name("workbench.db-wal").stat().st_size > 0
    Store(str(old)).close()
    writer.close()
    for path in (old, old.with_name("workbench.db.v1.bak")):
        assert {"key": "late", "value": "yes"} in rows(path, "meta")


def test_a_step_that_fails_in_the_middle_leaves_the_old_version_and_every_row(old, monkeypatch):
    before = dump(old)

    def breaks(connection):
        connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN forked_at BIGINT")
        connection.exec_driver_sql("DELETE FROM blocks")
        raise BadStore("the step broke")

    monkeypatch.setattr(migrations, "MIGRATIONS", (breaks,))
    with pytest.raises(BadStore, match="the step broke"):
        Store(str(old))
    assert dump(old) == before
    assert sound(old)
    monkeypatch.undo()
    Store(str(old)).close()
    assert version(old) == str(VERSION)


KILLED = """
import os, sys
from workbench.store import migrations
def dies(connection):
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN forked_at BIGINT")
    connection.exec_driver_sql("DELETE FROM runs")
    os.kill(os.getpid(), 9)
migrations.MIGRATIONS = (dies,)
from workbench.store.store import Store
Store(sys.argv[1])
"""


def python(script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_killed_in_the_middle_leaves_the_old_version_and_every_row(old):
    before = dump(old)
    killed = python(KILLED, str(old))
    killed.communicate(timeout=PATIENCE)
    assert killed.returncode == -9
    assert version(old) == "1"
    assert dump(old) == before
    assert sound(old)
    Store(str(old)).close()
    assert version(old) == str(VERSION)


def test_steps_go_in_order_from_the_stores_version_all_or_none(old, monkeypatch):
    done: list[str] = []

    def step(name: str, *, fails: bool = False):
        def take(connection):
            done.append(name)
            connection.exec_driver_sql(f"CREATE TABLE {name} (x INTEGER)")
            if fails:
                raise BadStore(f"{name} broke")

        return take

    before = dump(old)
    for module in (migrations, database):
        monkeypatch.setattr(module, "VERSION", 4)
    broken = (step("first"), step("second"), step("third", fails=True))
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    with pytest.raises(BadStore, match="third broke"):
        Store(str(old))
    assert (version(old), done) == ("1", ["first", "second", "third"])
    assert dump(old) == before
    monkeypatch.setattr(migrations, "MIGRATIONS", (*broken[:2], step("third")))
    Store(str(old)).close()
    assert (version(old), done[3:]) == ("4", ["first", "second", "third"])
    assert names(old.parent) == ["workbench.db", "workbench.db.v1.bak"]
    for module in (migrations, database):
        monkeypatch.setattr(module, "VERSION", 5)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, step("fourth")))
    Store(str(old)).close()
    assert (version(old), done[6:]) == ("5", ["fourth"])
    assert names(old.parent) == ["workbench.db", "workbench.db.v1.bak", "workbench.db.v4.bak"]


SLOW = """
import sys
from workbench.store import migrations
real = migrations.MIGRATIONS
def waits(connection):
    print("migrating", flush=True)
    sys.stdin.readline()
    real[0](connection)
migrations.MIGRATIONS = (waits, *real[1:])
from workbench.store.store import Store
Store(sys.argv[1]).close()
"""
QUICK = """
import sys
from workbench.store import database
database.BUSY_MS = 20  # so that it must ask again, many times
database.Database._tell = lambda self, words: print(words, flush=True)
from workbench.store.store import Store
Store(sys.argv[1]).close()
"""


def test_of_two_openers_one_migrates_and_the_other_waits_and_sees_the_new_version(old):
    first = python(SLOW, str(old))
    assert first.stdout is not None
    assert first.stdout.readline() == "migrating\n"
    second = python(QUICK, str(old))
    assert second.stdout is not None
    assert "locked by another process; waiting up to 60 s" in second.stdout.readline()
    assert version(old) == "1"
    _, first_said = first.communicate("go\n", timeout=PATIENCE)
    _, second_said = second.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (0, 0), first_said + second_said
    assert version(old) == str(VERSION)
    assert sound(old)
    assert names(old.parent) == ["workbench.db", "workbench.db.v1.bak"]


def test_many_openers_at_once_all_get_the_new_version(old):
    wait = "import sys; from workbench.store.store import Store; sys.stdin.readline()\n"
    openers = [python(wait + "Store(sys.argv[1]).runs.list()", str(old)) for _ in range(4)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        _, said = opener.communicate(timeout=PATIENCE)
        assert opener.returncode == 0, said
    assert version(old) == str(VERSION)
    assert names(old.parent) == ["workbench.db", "workbench.db.v1.bak"]
    assert sound(old)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (49152, 49152))  # the index of the log takes 32768
from workbench.errors import WorkbenchError
from workbench.store.store import Store
try:
    Store(sys.argv[1])
except WorkbenchError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(os.name != "posix", reason="the size of files can be limited on POSIX only")
def test_without_space_for_the_copy_the_store_is_left_as_it_is_and_the_bytes_are_named(old):
    before = dump(old)
    refused = python(LIMITED, str(old))
    said, errors = refused.communicate(timeout=PATIENCE)
    assert refused.returncode == DiskFull.exit_code, errors
    assert f"[WB202] {old}.v1.bak: no space for {old.stat().st_size} bytes" in said
    assert dump(old) == before
    assert version(old) == "1"
    assert names(old.parent) == ["workbench.db"]


def test_an_old_store_that_cannot_be_written_is_refused_with_both_versions(bound, locked_up, old):
    locked_up(old.parent)
    script = "import sys; from workbench.cli.main import main; main(['runs', '--store', {!r}])"
    done = bound("-c", script.format(str(old)))
    assert done.returncode == 2
    assert f"has version 1 and must be brought to {VERSION}; file or folder cannot" in done.stderr
    assert "Traceback" not in done.stderr
    assert version(old) == "1"


def test_a_copy_that_cannot_be_written_is_refused_and_leaves_nothing(old, tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "file").touch()
    with pytest.raises(BadStore, match=r"of an older version and its copy .* cannot be written"):
        keep_copy(old, target)
    assert not list(tmp_path.glob(".*.tmp"))
