"""Opening a store: where it lies, what version it has, how transactions start.

One SQLite file in WAL mode, two engines on it: ``durable`` (synchronous FULL: commands, events,
checkpoints' rows, statuses) and ``fast`` (NORMAL: metrics; a process crash loses nothing, a power
cut may lose the last commits). Transactions are short, so reading never blocks training.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from workbench.atomic import disk_full
from workbench.errors import BadStore, WorkbenchError
from workbench.store.schema import META, METADATA, VERSION

BUSY_MS = 5000
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})
"""No space, and (the second) more than the process may write into one file."""
_FIND_VERSION = select(META.c.value).where(META.c.key == "version")


class Database:
    """Connections to one store file.

    Args:
        path: The SQLite file; made with its folder if absent.

    Raises:
        BadStore: If it cannot be opened, is no store, or was written by a newer workbench.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadStore(
                f"Store folder {self.folder} cannot be made ({error.strerror}). "
                "Give another place with --store, or set WORKBENCH_HOME."
            ) from None
        self._fast = _engine(path, "NORMAL")
        self._durable = _engine(path, "FULL")
        try:
            self._prepare()
        except WorkbenchError:
            self.close()
            raise
        except DatabaseError as error:
            self.close()
            raise BadStore(
                f"Store {path} cannot be opened ({_plain(error)}). "
                "Give a SQLite file you can write, or a path where none exists yet."
            ) from None

    def _prepare(self) -> None:
        """Look first, so that opening a store to read it writes nothing; make what is not there."""
        if self._is_ours():
            return
        raw = self._durable.raw_connection()  # a file keeps this mode; no transaction may be open
        raw.cursor().execute("PRAGMA journal_mode=WAL")
        raw.close()
        with self.write() as connection:
            METADATA.create_all(connection)
            row = connection.execute(_FIND_VERSION).first()
            if row is None:  # else another process has made it meanwhile
                connection.execute(META.insert().values(key="version", value=str(VERSION)))

    def _is_ours(self) -> bool:
        """Whether the file is a store of this version; False for a file without tables.

        Raises:
            BadStore: If it is a newer store, or somebody else's database.
        """
        with self.read() as connection:
            tables = set(inspect(connection).get_table_names())
            if not tables:
                return False
            row = connection.execute(_FIND_VERSION).first() if "meta" in tables else None
        if row is None or not str(row.value).isdecimal():
            raise BadStore(
                f"{self.path} is a database of another program (tables: "
                f"{', '.join(sorted(tables)[:5])}). Give another place with --store."
            )
        if int(row.value) > VERSION:
            raise BadStore(
                f"Store {self.path} has version {row.value}, this workbench knows {VERSION}. "
                "Update workbench, or give another store with --store."
            )
        return True

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short read transaction."""
        with self._fast.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A write transaction that takes the lock at once.

        Raises:
            DiskFull: If the file system has no space for it; nothing of it is kept.
        """
        engine = self._durable if durable else self._fast
        try:
            with engine.connect() as connection:
                connection = connection.execution_options(workbench_begin="BEGIN IMMEDIATE")
                with connection.begin():
                    yield connection
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) in _FULL:
                raise disk_full(self.path, 0) from None
            raise

    def watch(self) -> Watch:
        """A cheap way to ask whether another connection has committed since the last look."""
        return Watch(self._fast)

    def close(self) -> None:
        """Close all connections."""
        self._fast.dispose()
        self._durable.dispose()


class Watch:
    """Tells whether the store has changed, in microseconds (``PRAGMA data_version``)."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.raw_connection()
        self._connection.detach()  # as long as the watch lives: the pool must not run dry
        self._seen: Any = None

    def changed(self) -> bool:
        """True at the first look and whenever another connection has committed since."""
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        row = cursor.fetchone()
        cursor.close()
        seen, self._seen = self._seen, row
        return bool(seen != row)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def store_path(url: str | None) -> Path:
    """The file behind ``--store``: a path, ``sqlite:///PATH``, or the default place.

    Raises:
        BadStore: If the URL is of a database that this version cannot use.
    """
    if url is None:
        home = os.environ.get("WORKBENCH_HOME")
        return (Path(home) if home else Path.home() / ".workbench") / "workbench.db"
    if not url.strip():
        raise BadStore("--store is empty; give a path or sqlite:///PATH, or leave it out.")
    if url.startswith("sqlite://"):
        rest = url.removeprefix("sqlite://")
        if not rest.startswith("/") or rest == "/":
            raise BadStore(
                f"Store URL {url!r} names no file; write sqlite:///relative or sqlite:////absolute."
            )
        path = Path(rest[1:])
    elif "://" in url:
        scheme = url.split("://", 1)[0]
        raise BadStore(
            f"Store URL of kind {scheme!r} is not supported; give a path or sqlite:///PATH."
        )
    else:
        path = Path(url)
    path = path.expanduser()
    return (path / "workbench.db").absolute() if path.is_dir() else path.absolute()


def now_ns() -> int:
    """UTC now in nanoseconds."""
    return time.time_ns()


def _engine(path: Path, synchronous: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # not text: a path may hold ? or %
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN itself, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("workbench_begin", "BEGIN"))

    return engine


def _plain(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error))
