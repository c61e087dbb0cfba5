"""Features of different networks on common ground."""

from __future__ import annotations

import pytest
import torch

from workbench.terms.projector import as_map, common_grid, map_shape


def test_tokens_are_laid_out_as_the_square_they_were_after_the_leading_ones():
    image = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    tokens = image.flatten(2).transpose(1, 2)
    for leading in (0, 1, 5):
        padded = torch.cat([torch.full((2, leading, 3), -1.0), tokens], dim=1)
        assert torch.equal(as_map(padded), image)


def test_tokens_that_are_no_square_become_a_row():
    tokens = torch.arange(2 * 15 * 3.0).reshape(2, 15, 3)  # neither 15 nor 14 to 10 is a square
    found = as_map(tokens)
    assert found.shape == (2, 3, 1, 15)
    assert torch.equal(found[:, :, 0].transpose(1, 2), tokens)


def test_a_vector_becomes_one_pixel_and_a_map_stays():
    assert as_map(torch.zeros(2, 5)).shape == (2, 5, 1, 1)
    features = torch.zeros(2, 5, 3, 3)
    assert as_map(features) is features


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((7,), (7, 1, 1)), ((5, 3, 4), (5, 3, 4)), ((17, 8), (8, 4, 4)), ((16, 8), (8, 4, 4))],
)
def test_the_shape_is_known_without_a_forward(shape, expected):
    assert map_shape(shape) == expected


def test_both_maps_come_to_the_smaller_extent_by_averaging():
    student = torch.arange(16.0).reshape(1, 1, 4, 4)
    teacher = torch.ones(1, 1, 2, 6)
    mine, theirs = common_grid(student, teacher)
    assert mine.shape == theirs.shape == (1, 1, 2, 4)
    torch.testing.assert_close(mine[0, 0], (student[0, 0, ::2] + student[0, 0, 1::2]) / 2)
    assert torch.equal(theirs, torch.ones(1, 1, 2, 4))
