"""The label as a channel of the image, pixel by pixel."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.label_planes import grid_values, label_plane, with_plane


def test_the_grid_of_22_values_is_evenly_spaced_around_0():
    values = grid_values(22)
    assert values[11] == 0.0
    assert values[0] == pytest.approx(-1.1)
    torch.testing.assert_close(values.diff(), torch.full((21,), 0.1, dtype=torch.float64))


def test_a_pixel_has_the_value_of_its_class_and_ignored_ones_the_last():
    labels = torch.tensor([[[0, 1], [-1, 2]]])
    values = torch.tensor([0.5, -0.5, 1.0, 9.0])
    plane = label_plane(labels, values, torch.zeros(1, 2, 2))
    assert plane.tolist() == [[[[50.0, -50.0], [900.0, 100.0]]]]


def test_each_image_may_have_its_own_values_and_each_pixel_its_noise():
    labels = torch.zeros(2, 1, 2, dtype=torch.int64)
    values = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    noise = torch.tensor([[[0.0, 0.25]], [[0.0, -0.25]]])
    assert label_plane(labels, values, noise).flatten(1).tolist() == [[100, 125], [200, 175]]


def test_the_plane_is_the_last_channel_and_the_image_stays():
    images, plane = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    joined = with_plane(images, plane)
    assert joined.shape == (2, 4, 4, 4)
    assert torch.equal(joined[:, :3], images)
    assert torch.equal(joined[:, 3:], plane)
