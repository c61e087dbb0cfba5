"""Checks before step 0: what would spoil a run, named with its likely cause and a way out.

Unusual here: a check is a law that the first batch must obey, not a rule about names, so it holds
for a user's own module, term and file too. Whatever is tried leaves weights, memories, modes and
random states as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from workbench.errors import FailedChecks, InvalidExperiment, nearest
from workbench.specs.experiment import ExperimentSpec
from workbench.terms.term import TermKind

Severity = Literal["stop", "warn"]

CHECKS: Mapping[str, str] = {
    "own-teacher": "Student and teacher are two networks.",
    "probabilities": "Networks give logits, not probabilities.",
    "tap": "Every tap fires and tells samples apart.",
    "student-gradient": "The loss moves the student.",
    "unused-weights": "Every weight of the student takes part.",
    "learned-part": "What a term learns gets a gradient.",
    "wrong-axis": "A loss is taken over classes, and averaged over samples.",
    "no-effect": "Every setting of a term changes something.",
    "classes": "The teacher's classes are the data's, in their order.",
    "teacher-skill": "The teacher beats chance on this data.",
    "teacher-stored": "The teacher is as good as its file says.",
    "teacher-mode": "The teacher gives each image one answer.",
    "share": "Every term pulls, and none alone.",
}
"""Name of each check, as ``allow`` takes it, and what it makes sure of."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: Name of the check.
        severity: ``stop`` keeps the run from starting.
        subject: What it is about: ``teacher``, ``student``, ``terms.kd``.
        message: What, the likely cause, and what to do.
    """

    check: str
    severity: Severity
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"

    def plain(self) -> dict[str, str]:
        """As JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "subject": self.subject,
            "message": self.message,
        }


@dataclass(frozen=True)
class Report:
    """What checks were made and what they found."""

    made: tuple[str, ...] = ()
    found: tuple[Finding, ...] = field(default=())

    def __add__(self, other: Report) -> Report:
        made = dict.fromkeys([*self.made, *other.made])
        return Report(tuple(made), (*self.found, *other.found))

    @property
    def passed(self) -> list[str]:
        """Checks that found nothing."""
        tripped = {finding.check for finding in self.found}
        return [name for name in self.made if name not in tripped]

    @property
    def stops(self) -> list[Finding]:
        """What keeps the run from starting."""
        return [finding for finding in self.found if finding.severity == "stop"]

    def plain(self) -> dict[str, Any]:
        """As JSON: names of the checks that passed, and all findings."""
        return {"passed": self.passed, "found": [finding.plain() for finding in self.found]}

    def refuse(self) -> None:
        """Raise if something stops the run.

        Raises:
            FailedChecks: Lists every finding that does.
        """
        if self.stops:
            raise FailedChecks(
                [
                    f"{finding} (If it is meant: `allow: [{finding.check}]`.)"
                    for finding in self.stops
                ]
            )


Scene = TypeVar("Scene")
Check = Callable[[Scene], Iterable[Finding]]


def made(spec: ExperimentSpec, checks: Mapping[str, Check[Scene]], scene: Scene) -> Report:
    """Make the checks; what the experiment allows only warns.

    Raises:
        InvalidExperiment: If it allows a check that there is not.
    """
    refuse_unknown(spec)
    found = [
        replace(finding, severity="warn") if finding.check in spec.allow else finding
        for check in checks.values()
        for finding in check(scene)
    ]
    return Report(tuple(checks), tuple(found))


def refuse_unknown(spec: ExperimentSpec) -> None:
    """Refuse names under ``allow`` that no check has.

    Raises:
        InvalidExperiment: Offers the nearest one.
    """
    problems = []
    for name in spec.allow:
        if name not in CHECKS:
            near = nearest(name, CHECKS)
            ask = f" Did you mean {near!r}?" if near else ""
            problems.append(f"allow: no check {name!r}.{ask} Known: {', '.join(sorted(CHECKS))}")
    if problems:
        raise InvalidExperiment(problems, source=repr(spec.name))


def severity_of_teacher(spec: ExperimentSpec) -> Severity:
    """A teacher that no term listens to spoils nothing: it is only compared with."""
    kinds: Sequence[Any] = list(spec.stage.terms.values())
    taught = any(not isinstance(kind, TermKind) or kind.pull == "teacher" for kind in kinds)
    return "stop" if taught else "warn"
