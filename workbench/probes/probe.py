"""What a probe is: something true of student and teacher now, as named arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.specs.base import Kind

if TYPE_CHECKING:
    import numpy as np

    from workbench.probes.view import Look, Rows


@dataclass(frozen=True)
class Pair:
    """What a probe is told once: the fixed rows and the teacher's look at them."""

    rows: Rows
    teacher: Look
    teacher_layers: Sequence[str]
    student_layers: Sequence[str]
    class_names: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """Result of a probe.

    Attributes:
        arrays: By name; aligned with the probe split's ids where they are per sample.
        facts: JSON-able numbers and words; never NaN (None instead).
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


class Probe(ABC):
    """A built probe; keeps what depends on the teacher alone."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    @abstractmethod
    def measure(self, student: Look) -> Measured:
        """The arrays for the student as it is."""


class ProbeKind(Kind):
    """Base of the kinds of probes."""

    summary: ClassVar[str]
    paper: ClassVar[str]
    needs_layers: ClassVar[bool] = False
    needs_val: ClassVar[bool] = False
    needs_pulls: ClassVar[bool] = False
    needs_log: ClassVar[str] = ""
    """Name under which terms log the number of each sample that it reads; empty for none."""

    @property
    def wants_train(self) -> bool:
        """Whether it looks at training rows, too."""
        return False

    @abstractmethod
    def build(self, pair: Pair) -> Probe:
        """The probe for this pair of models."""
