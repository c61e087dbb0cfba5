"""Mixed channel statistics are exactly the mixture asked for."""

from __future__ import annotations

import torch

from workbench.functional.mixing import mix_statistics


def test_statistics_are_the_mixture_and_ratio_one_changes_nothing():
    images = torch.rand(3, 2, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    ratio, partner = torch.tensor([1.0, 0.0, 0.25]).double(), torch.tensor([2, 0, 1])
    mixed = mix_statistics(images, ratio, partner, eps=1e-12)
    torch.testing.assert_close(mixed[0], images[0])
    mean, sd = images.mean((2, 3)), images.std((2, 3))
    torch.testing.assert_close(mixed[1].mean((1, 2)), mean[0])
    torch.testing.assert_close(mixed[1].std((1, 2)), sd[0])
    torch.testing.assert_close(mixed[2].mean((1, 2)), 0.25 * mean[2] + 0.75 * mean[1])
    torch.testing.assert_close(mixed[2].std((1, 2)), 0.25 * sd[2] + 0.75 * sd[1])


def test_pattern_of_the_image_stays():
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    mixed = mix_statistics(images, torch.zeros(2).double(), torch.tensor([1, 0]))
    assert torch.equal(mixed.flatten(1).argsort(1), images.flatten(1).argsort(1))
