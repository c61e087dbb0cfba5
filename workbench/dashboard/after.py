"""What a finished run offers next: further seeds, Compare, a replay bit for bit; and its queue.

Unusual here: a replay trains the run once more in a process of its own and writes nothing; the
server keeps what it found for as long as it lives, for every page that shows the run.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from workbench_widgets.words import count, number

from workbench.dashboard import wording
from workbench.errors import RefusedCommand, UnknownRun, WorkbenchError
from workbench.runs.launch import Starter, replay_in_fresh_process
from workbench.runs.more_seeds import FURTHER, more_seeds, seconds_of_more
from workbench.runs.queue import queue
from workbench.store import RunRow, Store

DOES: Final = frozenset({"more_seeds", "replay"})
"""What a page may ask of it."""
LOG = logging.getLogger(__name__)
WORKING: Final[Mapping[str, str]] = {"state": "working", "words": "Replaying, bit for bit…"}


class After:
    """One for a server: further seeds and replays of finished runs.

    Args:
        store: Where runs lie.
        starter: Starts workers.
    """

    def __init__(self, store: Store, starter: Starter) -> None:
        self._store, self._starter = store, starter
        self._lock = threading.Lock()
        self._replays: dict[str, Mapping[str, str]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        """That replays, or has replayed last."""

    def of(self, run: str) -> dict[str, Any] | None:
        """What :meth:`told` says of a run; None for one that was removed."""
        try:
            return self.told(self._store.runs.get(run))
        except UnknownRun:
            return None

    def told(self, row: RunRow) -> dict[str, Any] | None:
        """What the card of a run shows below its numbers; None while it has not finished."""
        if row.role != "student" or row.status != "finished":
            return None
        mine = row.cohort or row.id
        waits = [one for one in queue(self._store) if one.cohort == mine]
        others = self._store.runs.cohort(row.id)
        trains = any(one.active and one.pid is not None for one in others)
        seconds = seconds_of_more(row)
        about = "" if seconds is None else wording.duration(seconds).removeprefix("about ")
        with self._lock:
            replay = self._replays.get(row.id)
        return {
            "more": "" if waits or trains else f"Run {FURTHER} more seeds",
            "about": f"about {about}" if about else "",
            "queue": _queue_words(len(waits), trains),
            "compare": ",".join(one.id for one in others),
            "group": group_words(others),
            "replay": dict(replay) if replay is not None else None,
        }

    def act(self, run: str, do: str, heard: Callable[[], object], *, who: str) -> None:
        """Follow a press of a button.

        Args:
            run: The finished run.
            do: One of :data:`DOES`.
            heard: Called when there is something new to show, perhaps from another thread.
            who: For the journals of new runs.

        Raises:
            RefusedCommand: If the run has not finished, another replay is under way, or seeds of
                its group wait or train.
        """
        if do == "more_seeds":
            self._refuse_more(run)
            more_seeds(self._store, run, self._starter, who=who)
            heard()
        elif do == "replay":
            self._begin(run)
            threading.Thread(target=self._replay, args=(run, heard), daemon=True).start()
            heard()

    def _refuse_more(self, run: str) -> None:
        """Two presses, or those of two tabs, mean the same seeds."""
        told = self.told(self._store.runs.get(run))
        if told is not None and not told["more"]:
            raise RefusedCommand(f"{told['queue']} More can be asked for once those have ended.")

    def _begin(self, run: str) -> None:
        row = self._store.runs.get(run)
        if row.status != "finished":
            raise RefusedCommand(f"Run {run} is {row.status}; only a finished run is replayed.")
        with self._lock:
            busy = next((key for key, one in self._replays.items() if one is WORKING), None)
            if busy is not None:
                raise RefusedCommand(f"Run {busy} is being replayed; one at a time.")
            self._replays[run] = WORKING

    def close(self) -> None:
        """The server ends: nobody waits for a replay any more."""
        with self._lock:
            process = self._process
        if process is not None:
            process.kill()  # nothing happens to one that has ended

    def _began(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = process

    def _replay(self, run: str, heard: Callable[[], object]) -> None:
        try:
            found = replay_words(replay_in_fresh_process(self._store, run, self._began))
        except WorkbenchError as error:
            found = {"state": "refused", "words": error.message}
        except Exception as error:  # the boundary of the thread: else no replay could begin again
            LOG.exception("The replay of run %s broke.", run)
            found = {"state": "refused", "words": f"It broke: {type(error).__name__}, {error}."}
        with self._lock:
            self._replays[run] = found
        heard()


def replay_words(found: Mapping[str, Any]) -> dict[str, str]:
    """What a replay found, in a sentence."""
    if found["equal"]:
        compared = found.get("compared")
        values = f"{count(compared)} logged values" if isinstance(compared, int) else "all values"
        return {
            "state": "equal",
            "words": f"Equal bit for bit: {values} and the weights, {count(found['steps'])} steps.",
        }
    first = found.get("first_difference") or {}
    where = ", ".join(f"{name} {_plain(value)}" for name, value in first.items() if value != "")
    because = "; ".join(found.get("environment") or ())
    return {
        "state": "differs",
        "words": f"It differs, first at {where or 'its weights'}."
        + (f" {because[:1].upper()}{because[1:]}." if because else ""),
    }


def _plain(value: Any) -> str:
    return number(value, 6) if isinstance(value, float) else str(value)


def group_words(rows: Sequence[RunRow]) -> str:
    """What a run's group is: ``5 seeds``, ``8 runs of its sweep``; empty for a run alone."""
    if len(rows) < 2:
        return ""
    seeds = len({row.experiment.get("seed", 0) for row in rows}) == len(rows)
    return f"{count(len(rows))} {'seeds' if seeds else 'runs of its sweep'}"


def _queue_words(waiting: int, trains: bool) -> str:
    """How far the other seeds of its group are; empty if all have ended."""
    if waiting:
        seeds = "seed of it waits for its" if waiting == 1 else "seeds of it wait for their"
        return f"{count(waiting)} more {seeds} turn."
    return "Another seed of it trains." if trains else ""
