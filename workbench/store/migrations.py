"""From an older version of the schema to today's: the whole way in one transaction, or not at all.

A step is written in plain SQL, never with the tables of ``schema.py``: those are today's, and a
step must do in ten years what it did when it was written. The old file is kept beside the store.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, select

from workbench.atomic import disk_full, says_full
from workbench.errors import BadStore, WorkbenchError
from workbench.store.faults import FULL
from workbench.store.schema import META, VERSION

Migration = Callable[[Connection], None]
_FIND_VERSION = select(META.c.value).where(META.c.key == "version")


def _a_fork_knows_its_step(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN forked_at BIGINT")


def _runs_of_several_seeds_know_each_other(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN cohort TEXT")
    connection.exec_driver_sql("CREATE INDEX runs_by_cohort ON runs (cohort)")


def _runs_wait_in_one_queue(connection: Connection) -> None:
    for column in ("turn", "called_ns", "calls"):
        connection.exec_driver_sql(f"ALTER TABLE runs ADD COLUMN {column} BIGINT")
    connection.exec_driver_sql("CREATE INDEX runs_by_turn ON runs (turn)")


def _a_process_says_which_file_it_writes(connection: Connection) -> None:
    for column in ("machine", "store_file"):
        connection.exec_driver_sql(f"ALTER TABLE runs ADD COLUMN {column} TEXT")


MIGRATIONS: tuple[Migration, ...] = (
    _a_fork_knows_its_step,
    _runs_of_several_seeds_know_each_other,
    _runs_wait_in_one_queue,
    _a_process_says_which_file_it_writes,
)
"""The first takes version 1 to 2, the next 2 to 3, and so on."""


def version_of(connection: Connection) -> int | None:
    """Version of the schema as the store says it; None if it says nothing one can count."""
    row = connection.execute(_FIND_VERSION).first()
    return int(row.value) if row is not None and str(row.value).isdecimal() else None


def migrate(path: Path, write: Callable[[], AbstractContextManager[Connection]]) -> None:
    """Bring an older store up to date; returns at once if another process has done it meanwhile.

    All steps and the new version are one transaction, so nobody ever sees, copies or goes on from
    a version in between: whoever waits finds the store as it was or as it is to be. The file is
    copied to ``NAME.v1.bak`` (its version) before the first step.

    Args:
        path: The SQLite file.
        write: Opens a transaction that holds the writer's lock from its beginning.

    Raises:
        BadStore: If the copy cannot be written, or the store has no version that can be migrated.
        DiskFull: If there is no space for the copy or for the steps; the store is as it was.
    """
    with write() as connection:
        version = version_of(connection)
        if version is None or version < 1:
            raise BadStore(f"Store {path} has no version that can be migrated.")
        if version >= VERSION:
            return
        keep_copy(path, path.with_name(f"{path.name}.v{version}.bak"))
        for step in MIGRATIONS[version - 1 :]:
            step(connection)
        connection.execute(META.update().where(META.c.key == "version").values(value=str(VERSION)))


def keep_copy(path: Path, target: Path) -> None:
    """Copy a store with SQLite's backup, which sees what is still in the log; whole or not at all.

    A copy of that name, left by an attempt that failed, is replaced.

    Raises:
        BadStore: If ``target`` cannot be written.
        DiskFull: If there is no space for it.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            source.backup(copy)
        temporary.replace(target)
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise _in_words(error, path, target) from None
    finally:
        temporary.unlink(missing_ok=True)


def _in_words(error: OSError | sqlite3.Error, path: Path, target: Path) -> WorkbenchError:
    full = says_full(error) or getattr(error, "sqlite_errorcode", None) in FULL
    if full:
        return disk_full(target, path.stat().st_size)
    return BadStore(
        f"Store {path} is of an older version and its copy {target} cannot be written ({error}), "
        "so it was left as it is. Give the store a folder that you can write."
    )


def _sync_folder(folder: Path) -> None:
    """So that a power cut after the migration cannot take the copy away."""
    if os.name != "posix":  # a folder cannot be opened elsewhere
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
