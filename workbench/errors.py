"""Every error a user can cause, with stable codes.

WorkbenchError
├── BadInput                    exit code 2: nothing was started, nothing was written
│   ├── UnknownName      WB101  a name that no registry knows
│   ├── ShapeMismatch    WB102  two tensors that should agree do not
│   ├── InvalidExperiment WB103 one or more fields of an experiment are wrong
│   ├── BadFile          WB104  a file is missing, empty, of another kind or damaged
│   ├── BadData          WB105  a data set that cannot be used as asked
│   ├── BadModel         WB106  a model that cannot be built or loaded as asked
│   ├── HubUnreachable   WB107  a hub id was asked for and no hub answers
│   ├── BadDevice        WB108  a device that this machine does not have
│   ├── BadStore         WB109  a store URL that cannot be opened
│   ├── BadAddress       WB110  a port or host the server cannot use
│   ├── UnknownRun       WB111  no such run in this store
│   ├── RefusedCommand   WB112  the run is not in a state that allows the command
│   ├── NotSendable      WB113  an object that cannot leave this process or be saved
│   ├── StoreLocked      WB114  another process has held the store for too long
│   └── FailedChecks     WB115  a check before step 0 found what would spoil the run
└── RunFailed                   exit code 1: a run started and could not go on
    ├── NonFiniteLoss    WB201  NaN or infinity in a term
    ├── DiskFull         WB202  no space left for a checkpoint or a metric
    ├── OutOfMemory      WB203  the device ran out of memory
    ├── WorkerDied       WB204  the training process ended without a word
    └── LeaseLost        WB205  another process has taken the run over

A message says what, what was given, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

HERE: Final = str(Path(__file__).parent)
INSTALLED: Final = ("site-packages", "<frozen ")
CELL: Final = "ipykernel_"
"""In the name that a kernel gives to the source of a cell."""


class WorkbenchError(Exception):
    """Base of everything the product raises on purpose; ``str(error)`` is fit for a user."""

    code = "WB000"
    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints: the reader's own lines on the way here, then the message.

        IPython looks for this name. Our lines between tell nobody what to do about an error that
        the message explains; ``%debug`` still has them all.
        """
        told = [
            f"{'line' if CELL in frame.filename else f'{frame.filename}, line'} {frame.lineno}: "
            f"{frame.line}"
            for frame in traceback.extract_tb(self.__traceback__)
            if not frame.filename.startswith(HERE)
            and not any(part in frame.filename for part in INSTALLED)
        ]
        return [*told, "", f"{type(self).__name__}: {self}"]


class BadInput(WorkbenchError):
    """The user asked for something that cannot be; nothing was started."""

    code = "WB100"
    exit_code = 2


class UnknownName(BadInput):
    """A name that no registry knows; offers the nearest one."""

    code = "WB101"

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = nearest(name, self.known)
        ask = f" Did you mean {near!r}?" if near else ""
        listed = ", ".join(self.known) if self.known else "none yet"
        super().__init__(f"No {kind} {name!r}.{ask} Known: {listed}.{' ' + hint if hint else ''}")


class ShapeMismatch(BadInput, ValueError):
    """Student and teacher tensors whose shapes should agree and do not."""

    code = "WB102"

    def __init__(self, what: str, student: Any, teacher: Any, *, fix: str) -> None:
        student_shape = tuple(getattr(student, "shape", student))
        teacher_shape = tuple(getattr(teacher, "shape", teacher))
        super().__init__(
            f"{what}: student has shape {student_shape}, teacher has {teacher_shape}; "
            f"they must agree. {fix}"
        )


class InvalidExperiment(BadInput):
    """All wrong fields of an experiment at once: path, value, what is allowed, way out."""

    code = "WB103"

    def __init__(self, problems: Sequence[str], *, source: str = "the experiment") -> None:
        self.problems = list(problems)
        head = f"{source} has {len(problems)} problem{'s' if len(problems) != 1 else ''}:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in problems)]))


class BadFile(BadInput):
    """A file that is missing, empty, of another kind or damaged."""

    code = "WB104"


class BadData(BadInput):
    """A data set that cannot be used as asked."""

    code = "WB105"


class BadModel(BadInput):
    """A model that cannot be built or loaded as asked."""

    code = "WB106"


class HubUnreachable(BadModel):
    """A pretrained model was asked for by hub id, it is not in the cache and no hub answers."""

    code = "WB107"


class BadDevice(BadInput):
    """A device that this machine does not have."""

    code = "WB108"


class BadStore(BadInput):
    """A store URL that cannot be opened."""

    code = "WB109"


class BadAddress(BadInput):
    """A port or host that the server cannot use."""

    code = "WB110"


class UnknownRun(BadInput):
    """No such run in this store."""

    code = "WB111"


class RefusedCommand(BadInput):
    """The run is not in a state that allows the command; nothing changed."""

    code = "WB112"


class NotSendable(BadInput):
    """A Python object that can be trained here but not saved, exported or sent to a worker."""

    code = "WB113"


class StoreLocked(BadStore):
    """Another process has held the lock of the store for longer than we wait."""

    code = "WB114"


class FailedChecks(BadInput):
    """Checks before step 0 found what would spoil the run: each with cause and way out."""

    code = "WB115"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = f"{count} check{'s' if count != 1 else ''} before step 0 failed:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class RunFailed(WorkbenchError):
    """A run started and could not go on; what was written before stays good."""

    code = "WB200"
    exit_code = 1


class NonFiniteLoss(RunFailed):
    """A term became NaN or infinite; names term, step and sample ids.

    Args:
        message: For a user.
        facts: The same as plain data: ``term``, ``step``, ``samples``.
    """

    code = "WB201"

    def __init__(self, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.facts = dict(facts or {})


class DiskFull(RunFailed):
    """No space is left for a checkpoint or a metric; names the bytes needed."""

    code = "WB202"


class OutOfMemory(RunFailed):
    """The device ran out of memory."""

    code = "WB203"


class WorkerDied(RunFailed):
    """The training process ended without a word (killed, or the machine went down)."""

    code = "WB204"


class LeaseLost(RunFailed):
    """Another process has taken the run over; this one may not write to it any more."""

    code = "WB205"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name``, or None when nothing is close."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None
