"""What SQLite says of a lock, a disk or a file, in our words; a mistake of ours stays its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from workbench.atomic import disk_full
from workbench.errors import BadStore, StoreLocked, WorkbenchError

PAGE_BYTES = 4096
"""SQLite writes whole pages."""
FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""No space, and (the others) more than the process may write into one file."""
LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def code_of(error: DBAPIError | sqlite3.Error) -> int:
    """SQLite's extended result code; 0 where it is not SQLite that speaks."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return int(getattr(cause, "sqlite_errorcode", None) or 0)


def in_words(error: DBAPIError | sqlite3.Error, path: Path, asked: int) -> WorkbenchError | None:
    """What happened and what to do, or None where it is a mistake of ours.

    Args:
        error: From SQLite.
        path: The store.
        asked: Bytes that the transaction was to write; a lower bound, 0 where not known.
    """
    code = code_of(error)
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    if code in FULL:
        return disk_full(path, -(-asked // PAGE_BYTES) * PAGE_BYTES)
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(
                f"Store {path} is locked by another process. Try again when it is done, or end it; "
                "a program that has the file open (a database browser, a backup) may hold it."
            )
        case sqlite3.SQLITE_READONLY:
            return BadStore(
                f"Store {path} cannot be written any more ({said}). Was the file moved, or the "
                "file system made read-only? What was written before stays as it was."
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return BadStore(
                f"Store {path} cannot be opened ({said}). Give a SQLite file you can write, or a "
                "path where none exists yet; a damaged store may be mended with `sqlite3 "
                "FILE .recover`."
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM:
            return BadStore(
                f"Store {path} cannot be opened ({said}). Give a SQLite file you can write, or a "
                "path where none exists yet."
            )
    if "no such table" in said or "no such column" in said:
        return BadStore(
            f"Store {path} is not whole ({said}): another program has changed it. Go back to a "
            "copy of it, or give another place with --store."
        )
    return None


def is_locked(error: DBAPIError | sqlite3.Error) -> bool:
    """Whether another process holds a lock, so that asking again later may help."""
    return code_of(error) & 0xFF in LOCKED
