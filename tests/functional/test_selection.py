"""Selection rules against a linear program and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from workbench.functional.selection import margin_gain, robust_odds, sure_enough


def game_value(gains: np.ndarray, num_wrong: int, cost: float) -> float:
    """Largest worst-case gain: maximise v with sum q g - cost sum_M q g >= v for every M."""
    n = len(gains)
    rows = []
    for spoilt in itertools.combinations(range(n), num_wrong):
        worth = gains.copy()
        worth[list(spoilt)] *= 1 - cost
        rows.append([*(-worth), 1.0])
    answer = linprog(
        [0.0] * n + [-1.0],
        A_ub=rows,
        b_ub=[0.0] * len(rows),
        A_eq=[[1.0] * n + [0.0]],
        b_eq=[1.0],
        bounds=[(0, 1)] * n + [(None, None)],
    )
    return float(-answer.fun)


@pytest.mark.parametrize(("num_wrong", "cost"), [(1, 1.0), (2, 1.0), (1, 2.0)])
def test_odds_solve_the_game(num_wrong, cost):
    gains = 0.1 + torch.rand(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    odds, value = robust_odds(gains, num_wrong=num_wrong, cost=cost)
    assert float(odds.sum()) == pytest.approx(1)
    assert value == pytest.approx(game_value(gains.numpy(), num_wrong, cost), rel=1e-7)
    worth = (odds * gains).sort(descending=True).values
    assert float(worth.sum() - cost * worth[:num_wrong].sum()) == pytest.approx(value)


def test_without_an_adversary_the_best_sample_takes_all():
    odds, value = robust_odds(torch.tensor([0.2, 0.9, 0.5]), num_wrong=0)
    assert odds.tolist() == [0, 1, 0]
    assert value == pytest.approx(0.9)


def test_margin_gain_is_one_at_a_tie_and_zero_when_certain():
    gains = margin_gain(torch.tensor([[1.0, 1.0, -9.0], [80.0, 0.0, 0.0]]))
    assert gains.tolist() == pytest.approx([1, 0])


def test_rarer_classes_have_lower_thresholds():
    probs = torch.tensor([[0.96, 0.04], [0.97, 0.03], [0.6, 0.4], [0.3, 0.7]])
    logits = probs.log()
    kept = sure_enough(logits, torch.zeros(4, 2), teacher_share=0.0)
    # class 0 is named 3 times (threshold 0.95), class 1 once (0.95 · (1/3) / (5/3) = 0.19)
    assert kept.tolist() == [True, True, False, True]


def test_mixture_moves_from_student_to_teacher():
    student, teacher = torch.tensor([[0.1, 0.0]]), torch.tensor([[9.0, 0.0]])
    shares = [sure_enough(student, teacher, teacher_share=share).tolist() for share in (0.0, 1.0)]
    assert shares == [[False], [True]]


def test_samples_without_gain_are_refused():
    with pytest.raises(ValueError, match="gains must all be > 0"):
        robust_odds(torch.tensor([0.5, 0.0]))
