"""Two kept models looked at in a process on the side: for whoever must not load torch, or wait.

Unusual here: the process answers one question and ends; to stop it is to kill it, and nothing of it
lies on disk. Its words of progress are lines of JSON, the last one holds the four views.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from workbench.errors import WorkbenchError
from workbench.runs.launch import module_command
from workbench.runs.worker import settle

NICENESS: Final = 5
"""As a training: whoever looks waits, the page stays quick."""
STARTS: Final = "starting"


@dataclass(frozen=True)
class Question:
    """What is to be looked at, as :func:`workbench.runs.pair.inspect_pair` takes it.

    Attributes:
        teacher: Name of a trained model: ``run:RUN@last`` or ``path:FILE``.
        student: The same.
        data: A data set's name or mapping, or a recipe's name.
        split: ``probe`` or ``val``.
        base: Folder that relative paths of the data start from.
    """

    teacher: str
    student: str
    data: Any
    split: str = "probe"
    base: str = "."


@dataclass(frozen=True)
class Seen:
    """What is known of a question now.

    Attributes:
        state: ``working``, ``done``, ``refused`` or ``cancelled``.
        words: What is done now, or why nothing can be.
        numbers: As :class:`~workbench.runs.pair.InspectedPair` has them, once done.
        lines: The conditions, a line each.
        warnings: What makes a number say less than it seems to.
        views: Of each view the plain part of its frame and its arrays.
    """

    state: str
    words: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    views: Mapping[str, tuple[dict[str, Any], list[bytes]]] = field(default_factory=dict)


class Inspection:
    """One question under way in a process of its own.

    Args:
        store: Path of the store.
        asked: The question.
        heard: Called with each word of progress and with the end, from another thread.
    """

    def __init__(self, store: Path, asked: Question, heard: Callable[[Seen], None]) -> None:
        self._heard = heard
        self._cancelled = False
        self._process = subprocess.Popen(
            module_command("workbench.runs.inspecting", str(store), json.dumps(vars(asked))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._listen, name="inspection", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether its process has not ended."""
        return self._process.poll() is None

    def cancel(self) -> None:
        """Stop it; ``heard`` is told so unless it has ended."""
        self._cancelled = True
        self._process.kill()
        self._thread.join(timeout=5)

    def _listen(self) -> None:
        out = self._process.stdout
        if out is None:
            return
        ended = False
        with out:
            for line in out:
                told = _told(line)
                if told is None:
                    continue
                seen = _read(told)
                ended = seen.state != "working"
                self._heard(seen)
        code = self._process.wait()
        if not ended:
            words = f"The process ended without a word (exit code {code}). Try again."
            state = ("cancelled", "Cancelled.") if self._cancelled else ("refused", words)
            self._heard(Seen(*state))


def _told(line: str) -> dict[str, Any] | None:
    """A line of :func:`answer`; None for one that a user's own module has printed."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and "state" in told else None


def _read(told: Mapping[str, Any]) -> Seen:
    views = {
        name: (content, [base64.b64decode(text) for text in buffers])
        for name, (content, buffers) in told.get("views", {}).items()
    }
    return Seen(
        state=told["state"],
        words=told.get("words", ""),
        numbers=told.get("numbers", {}),
        lines=tuple(told.get("lines", ())),
        warnings=tuple(told.get("warnings", ())),
        views=views,
    )


def answer(store_url: str, asked: Question, out: TextIO) -> int:
    """Look at the pair in this process; returns the exit code (0 fine, 2 refused, 1 our fault).

    Args:
        store_url: Where runs lie.
        asked: The question.
        out: Gets a line of JSON for each word of progress, and one for the end.
    """

    def say(**told: Any) -> None:
        out.write(json.dumps(told, allow_nan=False) + "\n")
        out.flush()

    say(state="working", words=STARTS)
    from workbench.runs.pair import inspect_pair  # loads torch

    try:
        settle(Path(asked.base))
        pair = inspect_pair(
            teacher=asked.teacher,
            student=asked.student,
            data=asked.data,
            split=asked.split,
            store=store_url,
            told=lambda words: say(state="working", words=words),
        )
    except WorkbenchError as error:
        say(state="refused", words=error.message)
        return error.exit_code
    except Exception as error:  # the boundary of the process: the page has to hear of it
        say(state="refused", words=f"{type(error).__name__}: {str(error)[:300]}")
        return 1
    views = {}
    for name, frame in pair.frames.items():
        content, buffers = frame.payload()
        views[name] = (content, [base64.b64encode(bytes(part)).decode() for part in buffers])
    say(
        state="done",
        numbers=pair.numbers,
        lines=pair.lines,
        warnings=pair.warnings,
        views=views,
    )
    return 0


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.inspecting STORE QUESTION``."""
    store_url, asked = arguments
    os.nice(NICENESS)
    # Answers have the pipe for themselves: what a user's own module prints goes to the errors.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        return answer(store_url, Question(**json.loads(asked)), out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
