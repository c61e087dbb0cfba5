"""Training-free scores of an architecture against loops, and what they must be blind to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.architecture import relation_score, semantic_score
from workbench.functional.relations import sp


def grads(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 6, generator=generator, dtype=torch.float64)


def test_semantic_score_matches_a_loop_over_classes():
    student, teacher = grads(0), grads(1)
    total = 0.0
    for s, t in zip(student.numpy(), teacher.numpy(), strict=True):
        rows = [
            np.outer(g, g) / np.linalg.norm(np.outer(g, g), axis=1, keepdims=True) for g in (s, t)
        ]
        total += ((rows[0] - rows[1]) ** 2).sum()
    assert float(semantic_score(student, teacher)) == pytest.approx(-total / 24)


def test_scores_are_zero_at_best_and_blind_to_scale():
    student = grads(0)
    assert float(semantic_score(3 * student, student)) == pytest.approx(0, abs=1e-12)
    assert float(semantic_score(-student, student)) == pytest.approx(0, abs=1e-12)
    assert float(relation_score(2 * student, student)) == pytest.approx(0, abs=1e-12)
    assert float(relation_score(student, grads(1))) == -float(sp(student, grads(1))) < 0


def test_other_widths_are_refused():
    with pytest.raises(ShapeMismatch, match="widths must agree"):
        semantic_score(grads(0), grads(1)[:, :5])
