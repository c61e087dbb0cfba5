"""Opening a store: where it lies, what version it has, how transactions start.

One SQLite file in WAL mode, two engines on it: ``durable`` (synchronous FULL: commands, events,
checkpoints' rows, statuses) and ``fast`` (NORMAL: metrics; a process crash loses nothing, a power
cut may lose the last commits). Transactions are short, so reading never blocks training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from workbench.errors import BadStore, DiskFull
from workbench.store.schema import META, METADATA, VERSION

BUSY_MS = 5000


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
        except (DatabaseError, OperationalError) as error:
            self.close()
            raise BadStore(
                f"Store {path} cannot be opened ({_plain(error)}). "
                "Give a SQLite file you can write, or a path where none exists yet."
            ) from None

    def _prepare(self) -> None:
        with self.write() as connection:
            METADATA.create_all(connection)
            row = connection.execute(select(META.c.value).where(META.c.key == "version")).first()
            if row is None:
                connection.execute(META.insert().values(key="version", value=str(VERSION)))
            elif int(row.value) > VERSION:
                raise BadStore(
                    f"Store {self.path} has version {row.value}, this workbench knows {VERSION}. "
                    "Update workbench, or give another store with --store."
                )

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
            if "full" in str(error.orig).lower():
                raise DiskFull(
                    f"No space left for the store {self.path}; free some and resume the run."
                ) from None
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
        f"sqlite:///{path}", connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN itself, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("workbench_begin", "BEGIN"))

    return engine


def _plain(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error))
