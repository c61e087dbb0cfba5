"""Kernel self-distillation: steps against scikit-learn's ridge, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from workbench.functional.self_distillation import (
    best_weight,
    kernel_limit,
    kernel_self_distillation,
)


@pytest.fixture
def problem() -> dict[str, torch.Tensor]:
    x = torch.linspace(0, 1, 12, dtype=torch.float64)
    q = torch.linspace(0.03, 0.97, 9, dtype=torch.float64)
    noise = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {
        "kernel": (-30 * (x[:, None] - x) ** 2).exp(),
        "cross": (-30 * (q[:, None] - x) ** 2).exp(),
        "targets": ((6 * x).sin() + 0.3 * noise)[:, None],
    }


def test_each_step_is_a_ridge_regression_on_the_mixture_before(problem):
    run = kernel_self_distillation(**problem, ridge=0.2, weight=0.3, steps=3)
    mixture = problem["targets"].numpy()
    for step in range(3):
        ridge = KernelRidge(alpha=0.2, kernel="precomputed").fit(problem["kernel"].numpy(), mixture)
        expected = ridge.predict(problem["cross"].numpy())
        np.testing.assert_allclose(run.predicted[step].numpy(), expected, rtol=1e-8)
        fitted = ridge.predict(problem["kernel"].numpy())
        mixture = 0.3 * problem["targets"].numpy() + 0.7 * fitted


def test_shrinkage_rebuilds_the_fit_and_weak_directions_shrink_most(problem):
    run = kernel_self_distillation(**problem, ridge=0.2, weight=0.3, steps=4)
    _, directions = torch.linalg.eigh(problem["kernel"])
    directions = directions.flip(1)
    for step in range(4):
        fit = directions @ (run.shrinkage[step][:, None] * (directions.T @ problem["targets"]))
        torch.testing.assert_close(fit, run.fitted[step], rtol=1e-8, atol=1e-10)
    assert bool((run.shrinkage.diff(dim=1) <= 1e-12).all())


def test_many_steps_reach_the_limit(problem):
    run = kernel_self_distillation(**problem, ridge=0.2, weight=0.3, steps=400)
    limit = kernel_limit(**problem, ridge=0.2, weight=0.3)
    torch.testing.assert_close(run.predicted[-1], limit, rtol=1e-8, atol=1e-10)
    forgotten = kernel_self_distillation(**problem, ridge=0.2, weight=0.0, steps=4000)
    assert float(forgotten.predicted[-1].abs().max()) < float(run.predicted[-1].abs().max())
    assert torch.equal(
        kernel_limit(**problem, ridge=0.2, weight=0.0), torch.zeros(9, 1, dtype=torch.float64)
    )


def test_weight_one_never_moves(problem):
    run = kernel_self_distillation(**problem, ridge=0.2, weight=1.0, steps=3)
    torch.testing.assert_close(run.predicted[2], run.predicted[0])


def test_best_weight_beats_its_neighbours(problem):
    truth = torch.linspace(0.03, 0.97, 9, dtype=torch.float64).mul(6).sin()[:, None]
    first = kernel_self_distillation(**problem, ridge=0.2, weight=1.0, steps=1)
    again = {**problem, "targets": first.fitted[0]}
    distilled = kernel_self_distillation(**again, ridge=0.2, weight=1.0, steps=1).predicted[0]
    weight = best_weight(truth, first.predicted[0], distilled)

    def error(at: float) -> float:
        mixed = at * first.predicted[0] + (1 - at) * distilled
        return float((mixed - truth).square().mean())

    assert error(weight) < min(error(weight - 0.01), error(weight + 0.01))


def test_bad_settings_are_refused(problem):
    with pytest.raises(ValueError, match="`ridge` must be > 0"):
        kernel_limit(**problem, ridge=0.0, weight=0.5)
    with pytest.raises(ValueError, match="`steps` must be >= 1, got 0"):
        kernel_self_distillation(**problem, ridge=0.1, weight=0.5, steps=0)
