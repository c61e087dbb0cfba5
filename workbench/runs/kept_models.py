"""Every network that the store keeps: teachers by hash, and the students of runs, last and best.

Unusual here: nothing is opened. What stands here was written down when the file was made, so a list
costs no torch; a number that nobody measured is None, never made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from workbench_widgets.words import count

from workbench.store import RunRow, Store
from workbench.store.listing import KeptState, KeptTeacher, kept_states, kept_teachers

OF_ALL: Final = ("loyalty", "calibration", "trilateral")
"""Probes that look at all probe rows."""


@dataclass(frozen=True)
class Score:
    """How good a network was found to be, and on what.

    Attributes:
        accuracy: In [0, 1].
        ece: Expected calibration error in [0, 1]; None where it was not measured.
        split: Of which rows.
        n: How many; None until the run has written it down at its end.
    """

    accuracy: float
    ece: float | None
    split: str
    n: int | None

    @property
    def of(self) -> str:
        """The split and how many rows it has, in words."""
        if self.n is None:
            return f"{self.split}, n is told at the run's end"
        return f"{self.split}, n = {count(self.n)}"


@dataclass(frozen=True)
class KeptModel:
    """A network on disk.

    Attributes:
        id: What it is asked for by: ``run:RUN@last``, ``run:RUN@best`` or ``teacher:KEY``.
        use: What an experiment names it by.
        role: ``teacher`` or ``student``.
        name: Architecture as the experiment names it.
        options: Of the architecture.
        which: ``last``, ``best`` or, of a teacher, ``cached``.
        step: After which it was kept; None for a teacher.
        hash: SHA-256 of its tensors; empty where only the file's is known.
        file_hash: SHA-256 of its file, where that was written down.
        parameters: How many weights; None where nobody counted.
        bytes: Of its file.
        data: Data set that it was trained on.
        score: How good it is; None where nobody measured.
        run: It is from; empty if that run was removed.
        used_by: Runs that it taught.
        created_ns: When its run was accepted, or it was kept.
    """

    id: str
    use: str
    role: str
    name: str
    options: Mapping[str, Any]
    which: str
    step: int | None
    hash: str
    file_hash: str
    parameters: int | None
    bytes: int
    data: str
    score: Score | None
    run: str
    used_by: tuple[str, ...]
    created_ns: int

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def kept_models(store: Store) -> list[KeptModel]:
    """All whose file is there: teachers, then students, newest first in each."""
    rows = store.runs.list()
    states = kept_states(store.database)
    taught: dict[str, list[RunRow]] = {}
    for row in reversed(rows):
        if row.teacher:
            taught.setdefault(row.teacher, []).append(row)
    stored: dict[str, list[str]] = {}
    for row in rows:
        name = _named(row.experiment.get("teacher"))[0]
        if name.startswith("run:"):
            stored.setdefault(_with_which(name), []).append(row.id)
    teachers = [_teacher(kept, taught.get(kept.key, ())) for kept in kept_teachers(store.database)]
    students = [
        model for row in rows for model in _students(store, row, states.get(row.id, ()), stored)
    ]
    return [model for model in (*teachers, *students) if model is not None]


def _teacher(kept: KeptTeacher, rows: Sequence[RunRow]) -> KeptModel | None:
    size = _size(kept.path)
    if size is None:
        return None
    name, options = _named(kept.facts.get("model"))
    told = [found for row in rows if (found := (row.protocol or {}).get("teacher"))]
    known = next((found for found in told if found.get("accuracy") is not None), None)
    score = None
    if known is not None:
        row = next(row for row in rows if (row.protocol or {}).get("teacher") is known)
        score = Score(known["accuracy"], known.get("ece"), "test", _rows(row, "test"))
    return KeptModel(
        id=f"teacher:{kept.key}",
        use=f"path:{kept.path}",
        role="teacher",
        name=name,
        options=options,
        which="cached",
        step=None,
        hash=kept.weights,
        file_hash="",
        parameters=next((found["parameters"] for found in told if found.get("parameters")), None),
        bytes=size,
        data=str(kept.facts.get("data", "")),
        score=score,
        run=rows[0].id if rows else "",
        used_by=tuple(row.id for row in rows),
        created_ns=kept.created_ns,
    )


def _students(
    store: Store, row: RunRow, states: Sequence[KeptState], stored: Mapping[str, Sequence[str]]
) -> list[KeptModel]:
    """The last weights of a run, and the best if they are others."""
    folder = store.runs.folder(row.id)
    final = folder / "student.safetensors"
    size = _size(final)
    found = []
    if size is not None:
        numbers = ((row.result or {}).get("metrics") or {}).get("student")
        score = None
        if numbers:
            n = _rows(row, "test")
            score = Score(numbers["accuracy"], numbers.get("ece"), "test", n)
        weights = str((row.result or {}).get("weights") or "")
        found.append(_student(row, "last", row.step, size, score, weights, "", stored))
    elif states and (size := _size(states[0].path)) is not None:
        found.append(_of_state(store, row, "last", states[0], size, stored))
    scored = [state for state in states if state.accuracy is not None]
    best = max(scored, key=lambda state: state.accuracy or 0.0, default=None)
    if best is not None and not (found and best.step == found[0].step):
        size = _size(best.path)
        if size is not None:
            found.append(_of_state(store, row, "best", best, size, stored))
    return found


def _of_state(
    store: Store,
    row: RunRow,
    which: str,
    state: KeptState,
    size: int,
    stored: Mapping[str, Sequence[str]],
) -> KeptModel:
    score = None
    if state.accuracy is not None:
        n = _rows(row, "probe") or _looked_at(store, row.id)
        score = Score(state.accuracy, None, "probe", n)
    return _student(row, which, state.step, size, score, "", state.sha256, stored)


def _student(
    row: RunRow,
    which: str,
    step: int,
    size: int,
    score: Score | None,
    weights: str,
    file_hash: str,
    stored: Mapping[str, Sequence[str]],
) -> KeptModel:
    name, options = _named(row.experiment.get("student"))
    use = f"run:{row.id}@{which}"
    return KeptModel(
        id=use,
        use=use,
        role="student",
        name=name,
        options=options,
        which=which,
        step=step,
        hash=weights,
        file_hash=file_hash,
        parameters=((row.protocol or {}).get("student") or {}).get("parameters"),
        bytes=size,
        data=_named(row.experiment.get("data"))[0],
        score=score,
        run=row.id,
        used_by=tuple(stored.get(use, ())),
        created_ns=row.created_ns,
    )


def _named(value: Any) -> tuple[str, dict[str, Any]]:
    """Name and options of a model or of data as an experiment gives them."""
    if isinstance(value, Mapping):
        options = {key: item for key, item in value.items() if key not in ("use", "train")}
        return str(value.get("use", "object")), options
    return str(value or ""), {}


def _with_which(name: str) -> str:
    return name if "@" in name else f"{name}@last"


def _rows(row: RunRow, split: str) -> int | None:
    """How many rows a split has; None before the run's protocol is written."""
    found = ((row.protocol or {}).get("splits") or {}).get(split) or {}
    return found.get("rows")


def _looked_at(store: Store, run: str) -> int | None:
    """Probe rows of a run that has not come to its end, from its newest snapshot."""
    last = store.last_snapshot(run)
    told = {} if last is None else last.facts
    return next((told[probe]["n"] for probe in OF_ALL if probe in told), None)


def _size(path: Path) -> int | None:
    """Bytes of a file; None if it is gone: a run thins itself."""
    try:
        return path.stat().st_size
    except OSError:
        return None
