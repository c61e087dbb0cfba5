"""What moves one logit of both models in one sample, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.functional.attribution import Method


@dataclass(frozen=True)
class Explanation:
    """What moves one logit of both models, in one sample.

    Attributes:
        run: Its id.
        sample: Sample id, of the probe split.
        label: True class.
        target: Class that both were asked about.
        said: Class that ``student`` and ``teacher`` answer.
        class_names: Of the data.
        method: Name of the attribution method.
        step: Of the checkpoint that the student is of.
        checkpoint: SHA-256 of that checkpoint.
        input: The sample, float32, in [0, 1] for images; shape (C, H, W) or (F,).
        student_map: Logit units per entry (their magnitude for ``saliency``), shape of ``input``.
        teacher_map: The same of the teacher.
        similarity: Cosine of both maps, signed, in [-1, 1]; NaN where one is zero everywhere.
        null_median: Median cosine of mismatched pairs: maps of two different samples.
        null_p95: Their 95th percentile: what a shared habit alone, such as the centre, explains.
        null_pairs: How many mismatched pairs.
        gap: Of integrated gradients, by model: what the map's sum misses of ``moved``; else empty.
        moved: Logit here minus logit of the baseline, by model; empty for other methods.
        baseline: What a map counts from, in words.
    """

    run: str
    sample: int
    label: int
    target: int
    said: Mapping[str, int]
    class_names: Sequence[str]
    method: Method
    step: int
    checkpoint: str
    input: npt.NDArray[np.float32]
    student_map: npt.NDArray[np.float32]
    teacher_map: npt.NDArray[np.float32]
    similarity: float
    null_median: float
    null_p95: float
    null_pairs: int
    gap: Mapping[str, float]
    moved: Mapping[str, float]
    baseline: str

    def plain(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON takes it: None where a number is not defined."""
        numbers = {
            name: value if np.isfinite(value := float(getattr(self, name))) else None
            for name in ("similarity", "null_median", "null_p95")
        }
        named = ("run", "sample", "label", "target", "method", "step", "checkpoint", "null_pairs")
        return {
            **{name: getattr(self, name) for name in named},
            **numbers,
            "said": dict(self.said),
            "class_names": list(self.class_names),
            "gap": dict(self.gap),
            "moved": dict(self.moved),
            "baseline": self.baseline,
        }
