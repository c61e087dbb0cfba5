"""Live layer similarity: the teacher's Gram matrices once, the student's at each look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.functional.cka import cka_map, normalised_grams, undefined_reason
from workbench.functional.cka_null import cka_null_moments, cka_null_p95
from workbench.probes.probe import Measured, Pair, Probe
from workbench.probes.view import Look


class SimilarityProbe(Probe):
    """All-pairs CKA of pooled layers on the first probe rows."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        features = list(pair.teacher.features)
        self._num = features[0].shape[0]
        self._grams = normalised_grams(features)
        self._biased = normalised_grams(features, unbiased=False)
        self._moments = cka_null_moments(self._grams, self._num)
        self._reasons = _reasons(features, pair.teacher_layers)

    def measure(self, student: Look) -> Measured:
        """Unbiased and biased value and null level of each cell, shape (Lt, Ls)."""
        features = list(student.features)
        grams = normalised_grams(features)
        arrays = {
            "unbiased": cka_map(self._grams, grams),
            "biased": cka_map(self._biased, normalised_grams(features, unbiased=False)),
            "null_p95": cka_null_p95(self._grams, grams, self._num, teacher_moments=self._moments),
        }
        return Measured(
            {name: _cells(values) for name, values in arrays.items()},
            {
                "n": self._num,
                "teacher_layers": list(self.pair.teacher_layers),
                "student_layers": list(self.pair.student_layers),
                "feature": "pooled (N, C)",
                "teacher_reasons": self._reasons,
                "student_reasons": _reasons(features, self.pair.student_layers),
            },
        )


def _reasons(features: Sequence[Tensor], layers: Sequence[str]) -> dict[str, str]:
    """Why a layer's cells are undefined, by layer name."""
    found = {name: undefined_reason(layer) for name, layer in zip(layers, features, strict=True)}
    return {name: reason for name, reason in found.items() if reason}


def _cells(values: Tensor) -> np.ndarray:
    return values.to(torch.float32).numpy()
