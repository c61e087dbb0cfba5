"""FitNets' hint against numpy and its own laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.features import hint


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(3, 4, 5, 5, generator=generator) for _ in range(2))


def test_hint_is_the_mean_squared_gap_of_each_sample(maps):
    student, teacher = (m.double().numpy() for m in maps)
    expected = ((student - teacher) ** 2).reshape(3, -1).mean(1)
    np.testing.assert_allclose(hint(*maps).numpy(), expected, rtol=1e-6)


def test_gradient_is_twice_the_gap_over_the_entries(maps):
    student = maps[0].requires_grad_()
    teacher = maps[1].requires_grad_()
    hint(student, teacher).sum().backward()
    torch.testing.assert_close(student.grad, (2 * (student - teacher) / 100).detach())
    assert teacher.grad is None


def test_other_shapes_are_refused_with_the_way_out(maps):
    with pytest.raises(ShapeMismatch, match=r"hint.*\(3, 4, 5, 5\).*\(3, 3, 5, 5\).*projector"):
        hint(maps[0], maps[1][:, :3])
