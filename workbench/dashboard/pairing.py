"""Two layers paired on the map: a feature term is added for them, or one that exists moves there.

Unusual here: the same panel does it in the running run, journalled as every change is, or by a fork
at the step that is shown; which of the two can be is the experiment's own rule
(``specs/interventions``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.dashboard.carrier import Part
from workbench.dashboard.controls import TOUCHABLE
from workbench.errors import BadInput, WorkbenchError
from workbench.registries import TERMS
from workbench.runs.fork import fork
from workbench.runs.launch import Starter, ask_to_set
from workbench.runs.objects import as_it_stands
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store
from workbench.terms.layers import LayerTerm
from workbench.terms.term import TermKind

OFFERED_FIRST: Final = "hint"
NEW: Final = ""
"""What a panel names instead of a term when a new one is wanted."""


class Pairing:
    """The panel of one page.

    Args:
        store: Where the run lies.
        run: Its id.
        part: Draws the panel.
        starter: Starts forks.
        go: Called with the id of a fork that the page should show.
        who: For the journal.
    """

    DOES: Final = frozenset({"pair", "unpair"})

    def __init__(
        self,
        store: Store,
        run: str,
        part: Part,
        starter: Starter,
        go: Callable[[str], None],
        *,
        who: str,
    ) -> None:
        self._store, self._run, self._part = store, run, part
        self._starter, self._go, self.who = starter, go, who
        self._sent: int | None = None

    def propose(self, event: Mapping[str, Any]) -> None:
        """Open the panel for a cell of the map, ``x`` of the student and ``y`` of the teacher."""
        if event.get("kind") != "pair":
            return
        student, teacher = self._layers()
        x, y = event.get("x"), event.get("y")
        if not (isinstance(x, int) and isinstance(y, int)):
            return
        if not (0 <= x < len(student) and 0 <= y < len(teacher)):
            return
        row, spec = self._store.runs.get(self._run), as_it_stands(self._store, self._run)
        self._sent = None
        told = {
            "pair": {"student": student[x], "teacher": teacher[y]},
            "students": student,
            "teachers": teacher,
            "terms": [[name, kind.summary] for name, kind in offered().items()],
            "moves": [
                [name, f"{kind.teacher_tap} → {kind.student_tap}"] for name, kind in _paired(spec)
            ],
            "live": row.status in TOUCHABLE,
            "at": min(row.step, max(self._store.metrics.last_step(self._run, "train"), 0)),
            "opened": int(self._part.told.get("opened", 0)) + 1,
        }
        self._part.tell(told)

    def act(self, asked: Mapping[str, Any]) -> None:
        """Follow the panel's buttons; what is refused is said in it."""
        if asked.get("do") == "unpair":
            self._part.tell({"opened": self._part.told.get("opened", 0)})
            return
        try:
            self._follow(asked)
        except WorkbenchError as error:
            self._say(error.message, bad=True)

    def told(self) -> None:
        """The run has moved on: say what became of the change that was asked for."""
        if self._sent is None:
            return
        answer = self._store.journal.answer(self._sent)
        if answer.state == "waiting":
            return
        self._sent = None
        if answer.state == "refused":
            self._say(answer.reason or "Refused.", bad=True)
        else:
            self._say(f"In force from step {answer.step} on; it has its mark in the journal.")

    def _follow(self, asked: Mapping[str, Any]) -> None:
        spec = as_it_stands(self._store, self._run)
        path, value = change(spec, asked)
        if asked.get("fork"):
            at = asked.get("at")
            if not isinstance(at, int) or isinstance(at, bool):
                raise BadInput("A fork needs the step at which it begins.")
            if at >= self._store.runs.get(self._run).steps:
                raise BadInput(
                    f"The run ends at step {at}, so a fork would train nothing there. Look back at "
                    "an earlier snapshot; it begins at the one that is shown."
                )
            child = fork(self._store, self._run, at, {path: value}, who=self.who)
            self._starter.start(self._store, child)
            self._go(child)
            return
        self._sent = ask_to_set(self._store, self._run, path, value, who=self.who)
        self._say("At the next step.", sent=True)

    def _say(self, words: str, *, bad: bool = False, sent: bool = False) -> None:
        self._part.tell({**self._part.told, "words": words, "bad": bad, "sent": sent})

    def _layers(self) -> tuple[list[str], list[str]]:
        """Layers of the newest map, student's and teacher's; none before the first snapshot."""
        steps = self._store.snapshot_steps(self._run)
        for snapshot in self._store.snapshots(self._run, after=steps[-1] - 1) if steps else ():
            facts = snapshot.facts.get("cka") or {}
            return list(facts.get("student_layers", ())), list(facts.get("teacher_layers", ()))
        return [], []


def offered() -> dict[str, type[TermKind]]:
    """Registered terms that read one layer of each network, the usual one first."""
    names = sorted(TERMS.names(), key=lambda name: (name != OFFERED_FIRST, name))
    kinds = {name: TERMS.get(name) for name in names}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, LayerTerm)}


def change(spec: ExperimentSpec, asked: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Path and value of what the panel asks for.

    Args:
        spec: The experiment as it stands.
        asked: ``student`` and ``teacher`` (layers), and either ``move`` (name of a term of the
            experiment) or ``use`` (kind of a new one) with ``weight`` (as typed).

    Raises:
        BadInput: If a name is none that the panel offers, or the weight is no number.
    """
    taps = {"student_tap": str(asked.get("student")), "teacher_tap": str(asked.get("teacher"))}
    terms = f"stages.{spec.stage_name}.terms"
    move = str(asked.get("move") or NEW)
    if move != NEW:
        kinds = dict(_paired(spec))
        if move not in kinds:
            raise BadInput(
                f"{move!r} is no feature term of this run: {', '.join(kinds) or 'none'}."
            )
        return f"{terms}.{move}", {**kinds[move].given(), **taps}
    use = str(asked.get("use"))
    if use not in offered():
        raise BadInput(f"{use!r} reads no pair of layers. Those that do: {', '.join(offered())}.")
    try:
        weight = float(str(asked.get("weight")))
    except ValueError:
        raise BadInput(f"weight: needs a number ≥ 0, got {asked.get('weight')!r}.") from None
    return f"{terms}.{_free(use, spec)}", {"use": use, "weight": weight, **taps}


def _free(use: str, spec: ExperimentSpec) -> str:
    """A name that no term of the experiment has."""
    taken, name, number = spec.stage.terms, use, 2
    while name in taken:
        name, number = f"{use}-{number}", number + 1
    return name


def _paired(spec: ExperimentSpec) -> list[tuple[str, LayerTerm]]:
    """Terms of the experiment that read one layer of each network."""
    return [(name, kind) for name, kind in spec.stage.terms.items() if isinstance(kind, LayerTerm)]
