"""Where a run keeps its parts: the store behind training's Keeper protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import BadFile, BadModel
from workbench.models.facts import StoredModel
from workbench.store.recorder import StoreRecorder
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.choice import found_for
from workbench.training.journal import KeptTeacher, Recorder, part_words

if TYPE_CHECKING:
    from workbench.data.images import ImageData
    from workbench.training.probing import Cadence

STUDENTS: Final = ("student", "control", "plain_kd")
"""Parts of a run whose network is its student."""


class StoreKeeper:
    """Implements :class:`workbench.training.journal.Keeper` for one run of a store."""

    def __init__(self, store: Store, run: str, token: str | None = None) -> None:
        self._store = store
        self._run = run
        self._token = token
        self._recorders: dict[str, StoreRecorder] = {}

    def recorder(self, role: str) -> StoreRecorder:
        """The recorder of a part; its row is made at the first call and found again on resume."""
        if role not in self._recorders:
            row = self._run if role == "student" else self._part(role)
            self._recorders[role] = self._store.recorder(row, inbox=self._run, token=self._token)
        return self._recorders[role]

    def teacher(self, key: str) -> KeptTeacher | None:
        """A cached teacher by content hash; None too where its file holds other weights by now."""
        found = self._store.teacher(key)
        if found is None or not _holds(found.path, found.weights):
            return None
        return KeptTeacher(found.path, found.weights, found.facts)

    def teacher_path(self, key: str) -> Path:
        """Where its weights belong."""
        return self._store.teacher_path(key)

    def keep_teacher(self, key: str, *, weights: str, facts: Mapping[str, Any]) -> None:
        """Record a teacher whose file is written."""
        self._store.keep_teacher(key, weights=weights, facts=dict(facts))

    def cadence(
        self,
        recorder: Recorder,
        steps: Callable[[], int],
        among: Collection[int] | None = None,
    ) -> Cadence:
        """As often as the budget of probes allows."""
        from workbench.training.probing import BudgetCadence

        return BudgetCadence(steps, among=among)

    def open_run(self, name: str) -> StoredModel:
        """The stored student behind ``RUN@last|best|STEP``."""
        return open_run(self._store, name)

    def learned_from(self, run: str) -> list[ImageData]:
        """What the student of another run was trained on, stage by stage."""
        from workbench.runs.seen import learned_from

        return learned_from(run, self._store)

    def _part(self, role: str) -> str:
        row = self._store.runs.get(self._run)
        name = f"{self._run}-{role}"
        known = {item.id for item in self._store.runs.list(roles=(role,), group=self._run)}
        if name not in known:
            self._store.runs.create(
                name=f"{row.name} ({part_words(role)})",
                experiment=row.experiment,
                options=row.options,
                role=role,
                group=self._run,
                cohort=row.cohort,
                recipe=row.recipe,
            )
        self._store.runs.claim(name, token=self._token)
        return name


def _holds(path: Path, weights: str) -> bool:
    """Whether a file can be read and has the weights of that hash."""
    from workbench.models.weights import read_tensors, weights_hash

    try:
        return weights_hash(read_tensors(path)) == weights
    except BadFile:
        return False


def open_run(store: Store, name: str) -> StoredModel:
    """The stored student behind ``RUN@last``, ``RUN@best`` or ``RUN@STEP``.

    Raises:
        UnknownRun: If the store has no such run.
        BadModel: If the run has no weights for that, or is no student.
    """
    from workbench.models.weights import save_weights
    from workbench.training.checkpoint import read_state

    run, _, which = name.partition("@")
    which = which or "last"
    row = refuse_part(f"run:{name}", store, run)
    student = found_for("student", store.journal.events(run)) or row.experiment["student"]
    spec = {"use": student} if isinstance(student, str) else student
    folder = store.runs.folder(run)
    final = folder / "student.safetensors"
    if which == "last" and final.is_file():
        return StoredModel(spec, final)
    checkpoints = store.checkpoints(run)
    steps = ", ".join(str(item.step) for item in checkpoints) or "none"
    if which == "best":
        scored = [item for item in checkpoints if item.accuracy is not None]
        chosen = max(scored, key=lambda item: item.accuracy, default=None)
    elif which == "last":
        chosen = checkpoints[0] if checkpoints else None
    else:
        chosen = next((item for item in checkpoints if str(item.step) == which), None)
    path = folder / "weights" / f"{which.zfill(10)}.safetensors"
    if chosen is None and which.isdecimal() and path.is_file():
        return StoredModel(spec, path)  # taken out before its checkpoint had to go
    if chosen is None:
        raise BadModel(
            f"run:{name}: run {run} has no weights for {which!r}. "
            f"Allowed: last, best, or a step with a checkpoint ({steps})."
        )
    path = folder / "weights" / f"{chosen.step:010d}.safetensors"
    if not path.is_file():
        state = read_state(folder / chosen.file)
        save_weights(path, state["network"], spec)
    return StoredModel(spec, path)


def refuse_part(who: str, store: Store, run: str) -> RunRow:
    """The row of a student; a run's teacher and its earlier stages have networks of their own.

    Args:
        who: Asks for it; said in the error.
        store: Where it lies.
        run: Its id.

    Raises:
        UnknownRun: If the store has no such run.
        BadModel: If it is no student; says where its weights are.
    """
    row = store.runs.get(run)
    if row.role in STUDENTS:
        return row
    way_out = f"Name its student (run:{row.group}@last), or a file of weights (path:FILE)."
    key = store.runs.get(row.group).teacher if row.role == "teacher" and row.group else None
    kept = store.teacher(key) if key else None
    if kept is not None:
        way_out = f"Its weights are path:{kept.path}."
    raise BadModel(f"{who}: {run} is the {part_words(row.role)} of run {row.group}. {way_out}")
