"""Regressors: where they land, and that VID's variances learn."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import BadInput
from workbench.functional.features import vid
from workbench.terms.regressors import PROJECTORS, FitNetRegressor, GaussianRegressor


@pytest.mark.parametrize(
    ("student", "teacher", "kernel"),
    [
        ((3, 8, 8), (5, 4, 4), (3, 3)),
        ((3, 4, 4), (5, 8, 8), (4, 4)),
        ((3, 4, 4), (5, 4, 4), (1, 1)),
        ((3, 7, 6), (5, 4, 4), (4, 3)),
    ],
)
def test_fitnets_regressor_lands_on_the_teachers_grid(student, teacher, kernel):
    module = FitNetRegressor(student, teacher)
    assert tuple(module.conv.kernel_size) == kernel
    out = module(torch.randn(2, *student)).detach()
    assert out.shape == (2, *teacher)
    assert float(out.min()) == 0.0


def test_a_student_that_is_too_small_is_refused_with_the_way_out():
    with pytest.raises(BadInput, match=r"3 x 3 into the teacher's 8 x 8.*projector: linear"):
        FitNetRegressor((3, 3, 3), (5, 8, 8))


@pytest.mark.parametrize("name", sorted(PROJECTORS))
def test_projectors_change_the_width_and_keep_the_grid(name):
    assert PROJECTORS[name](3, 7)(torch.randn(2, 3, 5, 4)).shape == (2, 7, 5, 4)


def test_vids_variances_train_to_the_squared_error():
    """On a fixed guess the best variance is the mean squared gap of its channel."""
    generator = torch.Generator().manual_seed(0)
    module = GaussianRegressor(3, 2)
    assert "log_scale" in dict(module.named_parameters())
    for parameter in module.regressor.parameters():
        parameter.requires_grad_(False)
    maps, wanted = (
        torch.randn(64, 3, 2, 2, generator=generator),
        torch.randn(64, 2, 2, 2, generator=generator) * torch.tensor([0.5, 3.0]).view(1, 2, 1, 1),
    )
    optimiser = torch.optim.LBFGS([module.log_scale], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        value = vid(module(maps), wanted, module.log_scale).mean()
        value.backward()
        return value

    optimiser.step(closure)
    best = (module(maps) - wanted).square().mean((0, 2, 3))
    variance = torch.nn.functional.softplus(module.log_scale.detach()) + 1e-5
    torch.testing.assert_close(variance, best, rtol=1e-3, atol=1e-3)
