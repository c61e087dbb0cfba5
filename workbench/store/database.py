"""Opening a store: where it lies, what version it has, how transactions start.

One SQLite file in WAL mode, two engines on it: ``durable`` (synchronous FULL: commands, events,
checkpoints' rows, statuses) and ``fast`` (NORMAL: metrics; a process crash loses nothing, a power
cut may lose the last commits). Transactions are short, so reading never blocks training. Whatever
SQLite can say about a disk, a lock or a file is said in our words, never as its own error.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from workbench.errors import BadStore
from workbench.store.faults import in_words, is_locked
from workbench.store.migrations import migrate, version_of
from workbench.store.schema import META, METADATA, VERSION

BUSY_MS = 5000
"""For which SQLite itself waits for a lock."""
MIGRATION_SECONDS = 60.0
"""For which an opener waits while another process migrates the store and copies it."""
_RETRY_SECONDS = 0.02
"""Before asking again for a lock that SQLite refused without waiting."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""Of a URL, also of one with too few slashes; a single letter is a drive."""

FILE = "workbench_file"
"""Under which a connection's ``info`` says which file it has open."""

Found = TypeVar("Found")


class Database:
    """Connections to one store file.

    Args:
        path: The SQLite file; made with its folder if absent, brought up to date if older.

    Attributes:
        read_only: Whether file or folder cannot be written; reading works all the same.
        patience: Seconds to wait for a lock that another process holds.
        told: Gets a line when waiting gets long, and one when it is over.

    Raises:
        BadStore: If it cannot be opened, is no store, or was written by a newer workbench.
        StoreLocked: If another process holds it.
        DiskFull: If there is no space to make it or to bring it up to date.
    """

    _file: tuple[int, int] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self.patience = BUSY_MS / 1000
        self.told: Callable[[str], None] | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise BadStore(
                    f"Store {path} is no regular file. Give a SQLite file, a folder, or a path "
                    "where nothing exists yet."
                )
        except OSError as error:
            raise BadStore(
                f"Store folder {self.folder} cannot be made ({error.strerror}). "
                "Give another place with --store, or set WORKBENCH_HOME."
            ) from None
        self.read_only = path.exists() and not (_may_write(path) and _may_write(self.folder))
        self._fast = _engine(path, "NORMAL", read_only=self.read_only)
        self._durable = _engine(path, "FULL", read_only=self.read_only)
        try:
            self._prepare()
            self._file = _identity(path)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Look first, so that opening a store to read it writes nothing; make what is not there."""
        version = self._version()
        if version is None:
            self._make()
        elif version < VERSION:
            self._refuse_read_only(f"has version {version} and must be brought to {VERSION}")
            migrate(self.path, lambda: self._transaction("BEGIN IMMEDIATE", MIGRATION_SECONDS))
            self._version()  # a newer workbench may have been quicker

    def _make(self) -> None:
        """Tables of a store in an empty file; two processes may do it at once."""
        with self._in_our_words():
            self._patiently(lambda: _use_log(self._durable), self.patience)
        with self._transaction("BEGIN IMMEDIATE", self.patience) as connection:
            METADATA.create_all(connection)
            if version_of(connection) is None:  # else another process has made it meanwhile
                connection.execute(META.insert().values(key="version", value=str(VERSION)))

    def _version(self) -> int | None:
        """Version of the store in the file; None for a file without tables.

        Raises:
            BadStore: If it is a newer store, or somebody else's database.
        """
        with self.read() as connection:
            tables = set(inspect(connection).get_table_names())
            if not tables:
                return None
            version = version_of(connection) if "meta" in tables else None
        if version is None:
            raise BadStore(
                f"{self.path} is a database of another program (tables: "
                f"{', '.join(sorted(tables)[:5])}). Give another place with --store."
            )
        if version > VERSION:
            raise BadStore(
                f"Store {self.path} has version {version}, this workbench knows {VERSION}. "
                "Update workbench, or give another store with --store."
            )
        return version

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short read transaction: one state of the store from its beginning to its end.

        Raises:
            StoreLocked: If another process keeps even readers out for longer than we wait.
            BadStore: If the file is damaged, gone or cannot be read.
        """
        with self._transaction("BEGIN", self.patience, durable=False) as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """A write transaction that takes the lock at once.

        Raises:
            StoreLocked: If another process holds the lock for longer than we wait.
            DiskFull: If the file system has no space for it; nothing of it is kept.
            BadStore: If the store cannot be written.
        """
        self._refuse_read_only("is read-only: its runs can be looked at, not started or changed")
        with self._transaction("BEGIN IMMEDIATE", self.patience, durable=durable) as connection:
            self.refuse_moved()  # the system lets us write on into the old file
            yield connection

    def refuse_moved(self) -> None:
        """Raise if another file, or none, lies under the name since it was opened; one ``stat``.

        Raises:
            BadStore: Says so. Whoever only reads goes on in the old file without this.
        """
        if self._is_another():
            raise self._moved()

    def watch(self) -> Watch:
        """A cheap way to ask whether another connection has committed since the last look."""
        return Watch(self._fast, self.path)

    def close(self) -> None:
        """Close all connections."""
        self._fast.dispose()
        self._durable.dispose()

    def _is_another(self) -> bool:
        """Whether another file, or none, lies under the name since it was opened."""
        return self._file is not None and _identity(self.path) != self._file

    def _moved(self) -> BadStore:
        return BadStore(
            f"Store {self.path} was moved, deleted or replaced while it was open; what is "
            "written now could not be found again. Put it back, or start anew."
        )

    def _refuse_read_only(self, what: str) -> None:
        if self.read_only:
            raise BadStore(
                f"Store {self.path} {what}; file or folder cannot be written. "
                "Give another place with --store, or set WORKBENCH_HOME."
            )

    @contextmanager
    def _transaction(
        self, begin: str, patience: float, *, durable: bool = True
    ) -> Iterator[Connection]:
        engine = self._durable if durable else self._fast
        with self._in_our_words():
            connection, transaction = self._patiently(lambda: _begun(engine, begin), patience)
        try:
            with self._in_our_words(connection), transaction:
                yield connection
        finally:
            connection.close()

    def _patiently(self, attempt: Callable[[], Found], patience: float) -> Found:
        """Try until no other process holds the lock, or until patience is at its end."""
        began, waiting = time.monotonic(), False
        while True:
            try:
                found = attempt()
            except (DBAPIError, sqlite3.Error) as error:
                waited = time.monotonic() - began
                if not is_locked(error) or waited >= patience:
                    raise
                if not waiting:
                    self._tell(f"is locked by another process; waiting up to {patience:.0f} s.")
                    waiting = True
                time.sleep(_RETRY_SECONDS)
            else:
                if waiting:
                    waited = time.monotonic() - began
                    self._tell(f"is free again after {waited:.1f} s.")
                return found

    def _tell(self, words: str) -> None:
        if self.told is not None:
            self.told(f"Store {self.path} {words}")

    @contextmanager
    def _in_our_words(self, connection: Connection | None = None) -> Iterator[None]:
        """SQLite's word about a lock, a disk or a file becomes ours; our own mistakes stay."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            size = 0 if connection is None else connection.info.get("asked", 0)
            words = in_words(error, self.path, size)
            if isinstance(words, BadStore) and self._is_another():
                words = self._moved()  # a connection made since found nothing under the name
            if words is None:
                raise
            raise words from None


class Watch:
    """Tells whether the store has changed, in microseconds (``PRAGMA data_version``)."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._path = path
        self._connection = engine.raw_connection()
        self._connection.detach()  # as long as the watch lives: the pool must not run dry
        self._seen: Any = None

    def changed(self) -> bool:
        """True at the first look and whenever another connection has committed since.

        Raises:
            StoreLocked: If another process keeps even readers out.
            BadStore: If the file is damaged, gone or cannot be read.
        """
        try:
            row = _driver(self._connection).execute("PRAGMA data_version").fetchall()
        except sqlite3.Error as error:
            words = in_words(error, self._path, 0)
            if words is None:
                raise
            raise words from None
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
    scheme = _SCHEME.match(url)
    if url.lower().startswith("sqlite:"):
        rest = url[len("sqlite:") :]
        if not rest.startswith("///") or rest == "///":
            raise BadStore(
                f"Store URL {url!r} names no file; write sqlite:///relative or sqlite:////absolute."
            )
        path = Path(rest[len("///") :])
    elif scheme is not None:
        raise BadStore(
            f"Store URL of kind {scheme[1]!r} is not supported; give a path or sqlite:///PATH."
        )
    else:
        path = Path(url)
    path = path.expanduser()
    return (path / "workbench.db").absolute() if path.is_dir() else path.absolute()


def now_ns() -> int:
    """UTC now in nanoseconds."""
    return time.time_ns()


def _engine(path: Path, synchronous: str, *, read_only: bool) -> Engine:
    url = URL.create("sqlite", database=str(path))  # not text: a path may hold ? or %
    if read_only:  # opened anew each time: a writer elsewhere may come and go
        engine = create_engine(url, creator=lambda: _open_to_read(path), poolclass=NullPool)
    else:
        engine = create_engine(
            url, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}
        )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN itself, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()
        record.info[FILE] = _identity(path)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options().get("workbench_begin", "BEGIN")
        connection.info["asked"] = 0
        driver = _driver(connection.connection)
        driver.execute(begin)
        if begin == "BEGIN":  # take the lock of a reader now, where waiting for it is possible
            driver.execute("PRAGMA schema_version").fetchall()

    @event.listens_for(engine, "before_cursor_execute")
    def _count(connection: Connection, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        connection.info["asked"] = connection.info.get("asked", 0) + _bytes_of(values)

    return engine


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the index of the log.

    SQLite cannot read a file in WAL mode without that index unless it is told that nobody writes,
    which is so where there is no log: a writer makes one.
    """
    log = path.with_name(f"{path.name}-wal")
    alone = not _may_write(path.parent) and not (log.exists() and log.stat().st_size)
    uri = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if alone else ''}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000, check_same_thread=False)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies under a name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begun(engine: Engine, begin: str) -> tuple[Connection, RootTransaction]:
    """A connection and its transaction, which has its lock."""
    connection = engine.connect().execution_options(workbench_begin=begin)
    try:
        return connection, connection.begin()
    except BaseException:
        connection.close()
        raise


def _use_log(engine: Engine) -> None:
    """A file keeps this mode; no transaction may be open."""
    connection = engine.raw_connection()
    try:
        _driver(connection).execute("PRAGMA journal_mode=WAL").fetchall()
    finally:
        connection.close()


def _driver(connection: Any) -> sqlite3.Connection:
    """SQLite's own connection behind one of the pool."""
    found: sqlite3.Connection = connection.dbapi_connection
    return found


def _bytes_of(values: Any) -> int:
    """What a statement brings into the store, in bytes."""
    if isinstance(values, (bytes, str)):
        return len(values)
    return sum(map(_bytes_of, values)) if isinstance(values, (tuple, list)) else 8
