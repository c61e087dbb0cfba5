"""Asks for pictures, attributions and layers without computing any: one process, one at a time.

Unusual here: the process starts with the first question and ends with the last reader, so a server
that nobody inspects a sample on pays nothing. Where there is a preloaded process it is forked from
that, else it is a fresh one that has yet to load torch. Its owner loads none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from workbench.errors import WorkbenchError
from workbench.runs.attribution import nearest_checkpoint
from workbench.runs.forked import Forked, Helper
from workbench.store.store import Store

LOG = logging.getLogger(__name__)

KEPT_BYTES: Final = 32 * 2**20
"""Of answers; those not asked for longest are let go."""
MOST_ANSWERS: Final = 500
"""A map of layers has few bytes, so their number is bounded as well."""

Heard = Callable[["Answer"], None]


@dataclass(frozen=True)
class Answer:
    """What is known of a question now.

    Attributes:
        state: ``waits`` for another question's end, ``working``, ``done``, ``refused`` or
            ``cancelled``.
        head: Facts as plain data; ``words`` where something is to be said.
        body: Bytes of a finished answer.
    """

    state: str
    head: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.state not in ("waits", "working")


@dataclass(eq=False)
class Question:
    """One question under way; :meth:`Explainer.cancel` takes it back."""

    asked: Mapping[str, Any]
    heard: Heard
    key: tuple[Any, ...]
    number: int = 0
    cancelled: bool = False
    sent: bool = False


class Explainer:
    """The one place that a server asks at.

    Args:
        store: Where runs lie.
        fork: Gives a process of the store at a path that has loaded torch, or None: then a fresh
            one is started.
    """

    def __init__(self, store: Store, fork: Callable[[Path], Helper | None] | None = None) -> None:
        self._store, self._fork = store, fork
        self._lock = threading.Condition()
        self._waiting: deque[Question] = deque()
        self._current: Question | None = None
        self._process: Helper | None = None
        self._ends = 0
        self._thread: threading.Thread | None = None
        self._readers: set[object] = set()
        self._answers: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()
        self._count = 0
        self._closed = False

    def attach(self, reader: object) -> None:
        """Somebody reads answers from now on."""
        with self._lock:
            self._readers.add(reader)

    def detach(self, reader: object) -> None:
        """One reader less; with the last one process and answers go."""
        with self._lock:
            self._readers.discard(reader)
            if not self._readers:
                self._answers.clear()
                self._end_process()

    @property
    def read(self) -> bool:
        """Whether anybody reads answers."""
        with self._lock:
            return bool(self._readers)

    @property
    def pid(self) -> int | None:
        """Of the living process, or None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def pictures(self, run: str, heard: Heard, ids: Sequence[int] = ()) -> Question:
        """Ask for samples of a run's data; ``heard`` is called from another thread.

        Args:
            run: Its id.
            heard: Called with the answer.
            ids: Of samples in the whole data set; none for all of the probe split.
        """
        asked = {"do": "pictures", "run": run, "samples": list(ids)}
        return self._ask(asked, ("pictures", run, *ids), heard)

    def maps(
        self, run: str, step: int, sample: int, method: str, target: str | int, heard: Heard
    ) -> Question:
        """Ask for the attribution maps of one sample at the checkpoint nearest to a step.

        Args:
            run: Its id.
            step: That is shown.
            sample: Id, of the probe split.
            method: Of attribution.
            target: Class that both models are asked about, or what names one.
            heard: Called with each word of progress and the answer, from another thread, or at
                once if the answer is known.
        """
        asked = {"do": "maps", "run": run, "sample": sample, "method": method, "target": target}
        try:
            found = nearest_checkpoint(self._store, run, step)
        except WorkbenchError as error:
            question = Question(asked, heard, ())
            heard(Answer("refused", {"words": error.message}))
            return question
        key = ("maps", run, str(found.sha256), sample, method, target)
        return self._ask({**asked, "step": int(found.step)}, key, heard)

    def layers(self, run: str, step: int | None, samples: Sequence[int], heard: Heard) -> Question:
        """Ask how alike all layers find some samples, at the checkpoint nearest to a step.

        Args:
            run: Its id.
            step: That is shown; None is the newest.
            samples: Ids, of the probe split.
            heard: As :meth:`maps` calls it.
        """
        asked = {"do": "layers", "run": run, "samples": [int(one) for one in samples]}
        try:
            found = nearest_checkpoint(self._store, run, step)
        except WorkbenchError as error:
            question = Question(asked, heard, ())
            heard(Answer("refused", {"words": error.message}))
            return question
        # a digest: a selection of many samples would weigh more than its answer
        whose = hashlib.sha256(np.asarray(samples, dtype="<i8").tobytes()).hexdigest()
        key = ("layers", run, str(found.sha256), whose)
        return self._ask(
            {**asked, "step": int(found.step)}, key, heard, "Waits for another question"
        )

    def leave(self, question: Question) -> None:
        """Take a question back; one that is worked on ends at its next word, the process stays."""
        with self._lock:
            if question is self._current and not question.cancelled:
                question.cancelled = True
                if question.sent and self._process is not None:
                    _leave(question, self._process)
                return
        self.drop(question)

    def cancel(self, question: Question) -> None:
        """Take a question back; if it is worked on, the process is killed."""
        with self._lock:
            if question is self._current and not question.cancelled:
                question.cancelled = True
                self._end_process()
        self.drop(question)

    def drop(self, question: Question) -> None:
        """Take a question back if nobody works on it yet; else let it end: others may ask it."""
        with self._lock:
            if question not in self._waiting:
                return
            question.cancelled = True
            self._waiting.remove(question)
        question.heard(Answer("cancelled"))

    def close(self) -> None:
        """End process and thread."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._end_process()
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _ask(
        self,
        asked: Mapping[str, Any],
        key: tuple[Any, ...],
        heard: Heard,
        queued: str = "Waits for another sample",
    ) -> Question:
        question = Question(asked, heard, key)
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
            else:
                self._count += 1
                question.number = self._count
                waits = self._current is not None or bool(self._waiting)
                self._waiting.append(question)
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="explainer", daemon=True
                    )
                    self._thread.start()
                self._lock.notify_all()
        if known is not None:
            heard(known)
        else:
            words = "Waits for the process" if self.pid is not None else "Starts a process"
            words = queued if waits else words
            heard(Answer("waits", {"words": words}))
        return question

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closed:
                    self._lock.wait()
                if self._closed:
                    return
                self._current = question = self._waiting.popleft()
            try:
                answer = self._known(question.key) or self._answered(question)
            except OSError as error:  # no process to be had: too many, or no memory
                words = f"No process could be started for it ({error.strerror}). Try again later."
                answer = Answer("refused", {"words": words})
            except Exception as error:  # the boundary of the thread: the others are asked next
                LOG.exception("The process on the side could not be asked.")
                answer = Answer("refused", {"words": f"It broke: {type(error).__name__}, {error}."})
            with self._lock:
                self._current = None
            _tell(question, answer)

    def _known(self, key: tuple[Any, ...]) -> Answer | None:
        """Two pages may have asked the same meanwhile."""
        with self._lock:
            return self._answers.get(key)

    def _answered(self, question: Question) -> Answer:
        process = self._living(question)
        if process is None or process.stdin is None or process.stdout is None:
            return Answer("cancelled")
        line = json.dumps({**question.asked, "number": question.number}).encode() + b"\n"
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except (OSError, ValueError):  # it has just ended, by itself or by another thread
            return self._gone(question, process)
        with self._lock:
            question.sent = True
            if question.cancelled:  # left while the pipe was full of its samples
                _leave(question, process)
        while (found := _read(process.stdout)) is not None:
            told, body = found
            number, state = told.pop("number"), told.pop("state")
            if number != question.number:
                continue
            answer = Answer(state, told, body)
            if not answer.ended:
                _tell(question, answer)
                continue
            if state == "done":
                self._keep(question.key, answer)
            return answer
        return self._gone(question, process)

    def _living(self, question: Question) -> Helper | None:
        with self._lock:
            if question.cancelled or self._closed:
                return None
            if self._process is not None and self._process.poll() is None:
                return self._process
            self._end_process()
            ends = self._ends
        started = self._started()  # may wait for the preloaded process: without the lock
        with self._lock:
            self._process = started
            if question.cancelled or self._closed or ends != self._ends:
                self._end_process()
            return self._process

    def _started(self) -> Helper:
        store = self._store.path.resolve()
        forked = self._fork(store) if self._fork is not None else None
        return forked or subprocess.Popen(
            # -P: a file of the user's working folder must not stand in for a library
            [sys.executable, "-P", "-m", __name__.rpartition(".")[0] + ".explaining", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _gone(self, question: Question, process: Helper) -> Answer:
        code = process.wait()
        with self._lock:
            if self._process is process:
                self._end_process()
        if question.cancelled or self._closed or not self._readers:
            return Answer("cancelled")
        how = f": it was killed by signal {-code}" if code < 0 else f": it ended with code {code}"
        how = "" if isinstance(process, Forked) else how  # nobody knows how that ended
        words = f"The process that computes it is gone{how}. Training goes on; try again."
        return Answer("refused", {"words": words})

    def _keep(self, key: tuple[Any, ...], answer: Answer) -> None:
        with self._lock:
            self._answers[key] = answer
            kept = self._answers
            while len(kept) > 1 and (
                len(kept) > MOST_ANSWERS or sum(len(one.body) for one in kept.values()) > KEPT_BYTES
            ):
                kept.popitem(last=False)

    def _end_process(self) -> None:
        """Kill it; the thread that reads from it sees the end. Called with the lock held."""
        process, self._process = self._process, None
        self._ends += 1
        if process is None:
            return
        process.kill()
        if process.stdin is not None:
            with contextlib.suppress(OSError):  # what was still to be written has no reader
                process.stdin.close()
        threading.Thread(target=_reap, args=(process,), name="reaper", daemon=True).start()


def _leave(question: Question, process: Helper) -> None:
    """Tell the process that nobody waits for this any more; a line that a pipe takes at once."""
    if process.stdin is None:
        return
    line = json.dumps({"do": "leave", "number": question.number}) + "\n"
    with contextlib.suppress(OSError, ValueError):  # it has just ended
        process.stdin.write(line.encode())
        process.stdin.flush()


def _tell(question: Question, answer: Answer) -> None:
    try:
        question.heard(answer)
    except Exception:  # the boundary of the thread: one reader's fault must not end all
        LOG.exception("An answer could not be told; the next question goes on.")


def _read(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next answer; None at the end of the pipe."""
    try:
        head = pipe.readline()
        told: dict[str, Any] = json.loads(head) if head.endswith(b"\n") else {}
        body = pipe.read(told.pop("size", 0))
    except (ValueError, ConnectionError):  # closed between two reads: the process was ended
        return None
    return (told, body) if told else None


def _reap(process: Helper) -> None:
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
