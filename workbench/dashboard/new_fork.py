"""A fork on the page New experiment: what its address asks for, its choices, and its start.

Unusual here: the step belongs to the draft (:class:`workbench.runs.draft.draft.Parent`), so undo
takes a change of it back; whether the child stands paused and repeats what was done to its parent
later are choices of the page, as a sweep is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench_widgets.words import count

from workbench.dashboard.address import LONGEST, STEP, first_of
from workbench.errors import BadInput
from workbench.runs.draft import Draft
from workbench.runs.draft.checks import Row
from workbench.runs.draft.draft import Parent
from workbench.runs.draft.forked import (
    AT,
    draft_of_fork,
    fork_changes,
    fork_rows,
    has_other_stages,
    last_step,
    later,
    moved,
    start_of,
)
from workbench.runs.estimate import of_rest
from workbench.runs.fork import fork
from workbench.store.store import Store

PAUSED: Final = "fork.paused"
LATER: Final = "fork.later"


@dataclass(frozen=True)
class ForkAsked:
    """What an address asks for: ``/?fork=RUN&at=120&paused=1&later=0``.

    Attributes:
        run: The parent.
        at: The step; None for the last one.
        words: Why the step could not be read; empty if it could.
        paused: Whether the child stands paused at the step.
        later: Whether what was done to the parent after the step is repeated; None leaves it to
            the page.
    """

    run: str
    at: int | None = None
    words: str = ""
    paused: bool = False
    later: bool | None = None

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> ForkAsked | None:
        """From the arguments of a request; None where it asks for no fork."""
        if "fork" not in arguments:
            return None
        step, late = first_of(arguments, "at"), first_of(arguments, "later")
        known = STEP.fullmatch(step)
        told = step if len(step) <= LONGEST else f"{step[:LONGEST]}…"
        return cls(
            first_of(arguments, "fork"),
            int(step) if known else None,
            f"`at={told}` in the address is no step." if step and not known else "",
            first_of(arguments, "paused") == "1",
            late == "1" if late in ("0", "1") else None,
        )


class Forking:
    """The fork that one page writes.

    Args:
        store: Where the parent lies.
        asked: What the address asks for.

    Raises:
        UnknownRun: If the store has no such run.
    """

    def __init__(self, store: Store, asked: ForkAsked) -> None:
        self._store, self.run = store, asked.run
        row = store.runs.get(asked.run)
        self._asked = asked
        self._paused = asked.paused
        # What was done before a failure is what broke it: its fork begins without that.
        self._later = row.status != "failed" if asked.later is None else asked.later

    def draft(self) -> Draft:
        """The parent's experiment as it stands at the step that was asked for.

        Raises:
            RefusedCommand: If the run is no student's.
            NotSendable: If it holds a Python object that no file can.
        """
        asked = self._asked.at
        at = last_step(self._store, self.run) if asked is None else asked
        return draft_of_fork(self._store, self.run, at)

    def follow(self, draft: Draft, path: str, value: str) -> Draft | None:
        """Take one of the fork's own choices; None where the path is the experiment's.

        Raises:
            BadInput: If the step is no whole number from 0 on.
        """
        if path == AT:
            if not STEP.fullmatch(value.strip()):
                raise BadInput(
                    f"step {value[:LONGEST]!r}: a whole number from 0 to "
                    f"{last_step(self._store, self.run)} is needed."
                )
            return moved(draft, self._store, int(value))
        if path == PAUSED:
            self._paused = value == "true"
        elif path == LATER:
            self._later = value == "true"
        else:
            return None
        return draft

    def rows(self, draft: Draft) -> Iterable[Row]:
        """What stands between the fork and its start."""
        return fork_rows(draft, self._store)

    def priced(self, draft: Draft, told: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What is known of the draft, with the cost of what is left of it from its step on."""
        if told is None:
            return None
        left = of_rest(told.get("estimate"), start_of(self._store, _parent_of(draft)))
        return {**told, "estimate": left}

    def part(self, draft: Draft) -> dict[str, Any]:
        """What the page shows of it, as JSON."""
        parent = _parent_of(draft)
        after = 0 if has_other_stages(draft) else later(self._store, parent)
        return {
            "run": self.run,
            "at": parent.at,
            "reached": last_step(self._store, self.run),
            "href": f"/?run={self.run}&step={parent.at}",
            "paused": self._paused,
            "later": self._later,
            "after": after,
            "after_words": f"{count(after)} {'change' if after == 1 else 'changes'}",
            "words": self._words(draft, parent),
        }

    def pairs(self, draft: Draft) -> list[tuple[str, str]]:
        """The same as arguments of an address."""
        found = [("fork", self.run), ("at", str(_parent_of(draft).at))]
        if self._paused:
            found.append(("paused", "1"))
        usual = self._store.runs.get(self.run).status != "failed"
        if self._later != usual:
            found.append(("later", str(int(self._later))))
        return found

    def start(self, draft: Draft, *, who: str) -> str:
        """Accept the child; returns its id. Its worker is not started yet.

        Raises:
            RefusedCommand: If the run has not come so far, or a path can change at step 0 only.
            InvalidExperiment: If a value is not allowed.
        """
        return fork(
            self._store,
            self.run,
            _parent_of(draft).at,
            fork_changes(draft),
            who=who,
            keep_later=self._later,
            pause=self._paused,
        )

    def _words(self, draft: Draft, parent: Parent) -> str:
        """How much is trained, and what time and disk are of."""
        steps, start = self._steps(draft), start_of(self._store, parent)
        left = "" if steps is None else f"The fork trains {count(max(steps - parent.at, 0))} steps"
        if not start:
            again = f" more, and again those before {count(parent.at)}" if parent.at else ""
            return f"{left}{again}; time and disk are of a whole run." if left else ""
        spec = draft.spec
        anew = spec is not None and (spec.control or spec.plain_kd)
        controls = "; controls train from step 0" if anew else ""
        priced = f"Time and disk are of what is left from step {count(start)} on{controls}."
        return f"{left} more. {priced}" if left else priced

    def _steps(self, draft: Draft) -> int | None:
        """Steps of the whole run; None where the draft gives them in epochs of its own."""
        spec = draft.spec
        if spec is None or spec.stage.steps is not None:
            return None if spec is None else spec.stage.steps
        changed = {path.rpartition(".")[2] for path in draft.changed()}
        if changed & {"epochs", "batch_size", "labels_per_class"}:
            return None
        return self._store.runs.get(self.run).steps


def _parent_of(draft: Draft) -> Parent:
    """What it forks: a file that was opened in its place forks nothing.

    Raises:
        BadInput: If it is no fork.
    """
    if draft.parent is None:
        raise BadInput("This experiment forks no run; start it from step 0 under New experiment.")
    return draft.parent
