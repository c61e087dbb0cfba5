"""What lies in a store's folder that nothing needs: listed first, freed on request.

Never touched: rows, journals and metrics of runs, results, the store's own file and the copies that
migrations made of it, and anything of a run that a process works on. Each thing is looked at again
in the moment in which it goes.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from workbench.store.budget import Drop, let_go, surplus
from workbench.store.runs import RunRow
from workbench.store.schema import EVENTS, TEACHERS
from workbench.store.store import Store
from workbench.store.thinning import SPREAD

TEMPORARY_SECONDS = 3600.0
"""Age from which a temporary file that no run owns counts as left behind."""
RUN = re.compile(r"[a-z0-9][a-z0-9-]*-[a-z2-9]{6}(-[a-z_]+(-[A-Za-z0-9_-]+)?)?")
KEY = re.compile(r"[0-9a-f]{32}")
OF_A_RUN = frozenset(
    {"experiment.yaml", "log.txt", "snapshots", "checkpoints", "weights", "ballast"}
    | {"student.safetensors", "student.json", "selection.safetensors"}
)
OF_A_TEACHER = frozenset({"weights.safetensors", "weights.json"})
SQLITE = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Waste:
    """Something that can go.

    Attributes:
        kind: ``folder``, ``teacher``, ``temporary``, ``ballast``, ``left-over``, ``snapshot`` or
            ``checkpoint``.
        path: File or folder.
        bytes: On the disk, all files together.
        why: One sentence.
        run: The row that it belongs to, where there is one.
        step: Likewise.
    """

    kind: str
    path: Path
    bytes: int
    why: str
    run: str | None = None
    step: int | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "bytes": self.bytes,
            "why": self.why,
            "run": self.run,
            "step": self.step,
        }


def survey(store: Store, budget: int) -> list[Waste]:
    """All that could be freed, in the order of kinds; nothing is changed.

    Args:
        store: Whose folder.
        budget: Bytes that one run's snapshots and checkpoints may take.
    """
    rows = store.runs.list(roles=None)
    found: list[Waste] = []
    if not neighbours(store):
        found += _orphans(store, rows)
        found += _teachers(store, rows)
    found += _temporary(store, rows)
    for row in rows:
        if not row.active:
            found += _left_over(store, row)
    for row in rows:
        if row.role == "student" and not row.active:
            found += [_over(drop) for drop in surplus(store.database, row.id, budget)]
    return found


def free(store: Store, found: Iterable[Waste], budget: int) -> int:
    """Free what a survey found, as far as it still is as it was then; returns the bytes.

    Args:
        store: As surveyed.
        found: All of the survey, or some.
        budget: Of that survey.
    """
    wanted = {(item.kind, item.path) for item in found}
    freed = 0
    for item in survey(store, budget):  # what has become needed meanwhile is not listed any more
        if (item.kind, item.path) in wanted:
            _free(store, item)
            freed += item.bytes
    return freed


def neighbours(store: Store) -> list[Path]:
    """Other stores in the same folder: its runs and teachers may be theirs."""
    return [
        path
        for path in sorted(store.folder.iterdir())
        if path != store.path and path.suffix != ".bak" and path.is_file() and _is_sqlite(path)
    ]


def _free(store: Store, item: Waste) -> None:
    if item.kind in ("snapshot", "checkpoint"):
        drop = Drop(item.kind, str(item.run), int(item.step or 0), item.path, item.bytes)
        let_go(store.database, [drop])
        return
    if item.kind == "teacher":
        with store.database.write() as connection:
            connection.execute(delete(TEACHERS).where(TEACHERS.c.key == item.path.name))
    if item.path.is_dir():
        shutil.rmtree(item.path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # listed again the next time
            item.path.unlink(missing_ok=True)


def _over(drop: Drop) -> Waste:
    why = f"over the run's budget, or of more than {SPREAD} checkpoints by the clock"
    return Waste(drop.kind, drop.path, drop.bytes, why, drop.run, drop.step)


def _orphans(store: Store, rows: list[RunRow]) -> Iterator[Waste]:
    known = {row.id for row in rows}
    for path in _folders(store.folder / "runs"):
        if path.name not in known and _ours(path, RUN, OF_A_RUN):
            yield Waste("folder", path, size_of(path), "the store has no run of that name")


def _teachers(store: Store, rows: list[RunRow]) -> Iterator[Waste]:
    """Cached teachers that no run was taught by; none while a run has not told its own yet."""
    if any(row.active and not _taught_by(row) for row in rows if row.role == "student"):
        return
    used = {found for row in rows for found in _taught_by(row)} | _took_over(store)
    with store.database.read() as connection:
        weights = {row.key: row.weights for row in connection.execute(select(TEACHERS))}
    for path in _folders(store.folder / "teachers"):
        if not _ours(path, KEY, OF_A_TEACHER):
            continue
        if path.name not in used and weights.get(path.name) not in used:
            why = "no run was taught by it; it can be trained again to the same bits"
            yield Waste("teacher", path, size_of(path), why)


def _taught_by(row: RunRow) -> set[str]:
    """Key and hash of a run's teacher, as far as they are told."""
    told = ((row.protocol or {}).get("teacher") or {}).get("hash")
    return {found for found in (row.teacher, told) if found}


def _took_over(store: Store) -> set[str]:
    """Hashes of teachers that took over in mid-run, and of models that earlier stages made."""
    named = {"set": "teacher", "stage": "weights"}
    query = select(EVENTS.c.kind, EVENTS.c.payload).where(EVENTS.c.kind.in_(named))
    with store.database.read() as connection:
        lines = connection.execute(query).all()
    found = {json.loads(row.payload).get(named[row.kind]) for row in lines}
    return {weights for weights in found if isinstance(weights, str)}


def _temporary(store: Store, rows: list[RunRow]) -> Iterator[Waste]:
    """Files of writes that never ended; those of a run at work only when they are old."""
    idle = {row.id for row in rows if not row.active}
    places = [
        *store.folder.glob(f".{glob.escape(store.path.name)}.*.tmp"),
        *(file for path in _folders(store.folder / "runs") for file in _half(path, RUN)),
        *(file for path in _folders(store.folder / "teachers") for file in _half(path, KEY)),
    ]
    for path in sorted(places):
        inside = path.relative_to(store.folder).parts
        owned = inside[0] == "runs" and len(inside) > 2 and inside[1] in idle
        if path.is_file() and (owned or _age(path) > TEMPORARY_SECONDS):
            yield Waste("temporary", path, size_of(path), "a write that never ended")


def _left_over(store: Store, row: RunRow) -> Iterator[Waste]:
    """Files of an idle run that no row names: of steps that were trained again, or thinned."""
    folder = store.runs.folder(row.id)
    if (folder / "ballast").is_file():
        path = folder / "ballast"
        yield Waste("ballast", path, size_of(path), "space kept for a run that has ended", row.id)
    files: dict[str, Callable[[], set[str]]] = {
        "snapshots": lambda: {f"{step:010d}.safetensors" for step in store.snapshot_steps(row.id)},
        "checkpoints": lambda: {Path(item.file).name for item in store.checkpoints(row.id)},
    }
    for name, known in files.items():
        place = folder / name
        listed = sorted(place.glob("*.safetensors")) if place.is_dir() else []
        named = known() if listed else set()
        for path in listed:
            if path.name not in named:
                yield Waste("left-over", path, size_of(path), "no row names it", row.id)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        with contextlib.suppress(OSError):
            if not file.is_symlink() and file.is_file():
                total += file.stat().st_size
    return total


def _ours(folder: Path, name: re.Pattern[str], content: frozenset[str]) -> bool:
    """Whether a folder is one that a store makes: a store may lie among files of its user."""
    return name.fullmatch(folder.name) is not None and all(
        path.name in content or path.match(".*.tmp") for path in folder.iterdir()
    )


def _half(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """Temporary files in a folder of ours."""
    return list(folder.rglob(".*.tmp")) if name.fullmatch(folder.name) else []


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:  # it has just been renamed: it was no left-over
        return 0.0


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:
        return True  # not ours to read, so not ours to judge
