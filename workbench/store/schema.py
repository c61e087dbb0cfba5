"""Tables of the store, portable between SQLite and PostgreSQL.

Times are UTC nanoseconds in BigInteger (SQLite loses time zones); free text is Text; NaN lives in
blobs only, never in JSON or Float columns (SQLite turns it into NULL, PostgreSQL refuses it).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

VERSION = 5
"""Of this schema; raised with each change, together with a migration in ``migrations.py``."""

METADATA = MetaData()
_SERIAL = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys

META = Table(
    "meta", METADATA, Column("key", Text, primary_key=True), Column("value", Text, nullable=False)
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),  # student, teacher, control, plain_kd or stage-NAME
    Column("group", Text, nullable=False),  # id of the student's run that this row belongs to
    Column("parent", Text),  # run it was forked from
    Column("forked_at", BigInteger),  # step at which it left its parent
    Column("recipe", Text),
    Column("status", Text, nullable=False),
    Column("step", BigInteger, nullable=False, default=0),
    Column("steps", BigInteger, nullable=False, default=0),
    Column("activity", Text),  # what it does now, in words ("training the teacher")
    Column("progress", Float),  # of that activity, 0 to 1
    Column("rate", Float),  # steps a second, lately
    Column("probe_share", Float),  # share of wall-clock spent in probes
    Column("pace", Float),  # seconds a step is stretched to (slow motion); NULL is full speed
    Column("host", Text),
    Column("pid", BigInteger),
    Column("process_started", Float),
    Column("machine", Text),  # where that pid can be looked up: a boot, a namespace of pids
    Column("store_file", Text),  # device and inode of the file that the process writes
    Column("owner", Text),  # token of the process that may write
    Column("heartbeat_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    Column("started_ns", BigInteger),
    Column("ended_ns", BigInteger),
    Column("experiment", Text, nullable=False),  # JSON, as given
    Column("options", Text, nullable=False),  # JSON: scale, pause_at, file base
    Column("teacher", Text),  # key of the teacher in the cache
    Column("protocol", Text),  # JSON
    Column("result", Text),  # JSON: weights and metrics
    Column("error", Text),  # JSON: code, message, and what the page shows
    Column("cohort", Text),  # first of the runs that one experiment started, seed by seed
    Column("turn", BigInteger),  # place in the store's queue, rising; NULL: it trains at once
    Column("called_ns", BigInteger),  # when a worker was last started for its turn
    Column("calls", BigInteger),  # how many were
    Index("runs_by_time", "created_ns"),
    Index("runs_by_group", "group"),
    Index("runs_by_cohort", "cohort"),
    Index("runs_by_turn", "turn"),
)

COMMANDS = Table(
    "commands",
    METADATA,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # waiting, applied or refused
    Column("step", BigInteger),
    Column("reason", Text),
    Index("commands_waiting", "run", "state", "id"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON: path, before, after, note, ...
    Column("command", BigInteger),
    Index("events_of_run", "run", "step", "id"),
)

BLOCKS = Table(
    "blocks",
    METADATA,
    Column("run", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("columns", Text, nullable=False),  # JSON list of names
    Column("data", LargeBinary, nullable=False),  # int64 steps, then float64 columns
    PrimaryKeyConstraint("run", "series", "first_step"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("run", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("file", Text, nullable=False),  # relative to the run's folder
    Column("bytes", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "step"),
)

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("run", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("file", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),  # time, pause, stop or end
    Column("accuracy", Float),  # of the student on probe, last seen before it
    PrimaryKeyConstraint("run", "step"),
)

TEACHERS = Table(
    "teachers",
    METADATA,
    Column("key", Text, primary_key=True),  # content hash of everything that made it
    Column("weights", Text, nullable=False),  # SHA-256 of its tensors
    Column("file", Text, nullable=False),  # relative to the store's folder
    Column("facts", Text, nullable=False),  # JSON: accuracy, nll, ece, recipe
    Column("created_ns", BigInteger, nullable=False),
)
