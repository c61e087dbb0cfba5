"""Variations: a pure function of (seed, epoch, sample id), equal to a loop over pixels."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from workbench.data.augment import augment, mix_tensor
from workbench.data.spec import Augment
from workbench.randomness import key, mix

HOWS = [how for how in get_args(Augment) if how != "none"]
MASK = 0xFFFF


def reference(image: np.ndarray, sample: int, how: str, seed: int, epoch: int) -> np.ndarray:
    """One image, pixel by pixel, from the documented bits of the sample's hash."""
    _, height, width = image.shape
    word = int(mix(np.array([sample ^ key(seed, "augment", epoch)], dtype=np.uint64))[0])
    pad = {"shift": 1, "flip": 0, "crop-flip": max(1, max(height, width) // 8)}[how]
    down = ((word & MASK) * (2 * pad + 1) >> 16) - pad
    right = ((word >> 16 & MASK) * (2 * pad + 1) >> 16) - pad
    mirror = "flip" in how and (word >> 32) & 1
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            from_y, from_x = y + down, (width - 1 - x if mirror else x) + right
            if 0 <= from_y < height and 0 <= from_x < width:
                out[:, y, x] = image[:, from_y, from_x]
    return out


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 11)])
def test_matches_a_loop_over_pixels(how: Augment, shape: tuple[int, int, int]) -> None:
    images = torch.rand(40, *shape, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(40) * 37
    actual = augment(images, ids, how=how, seed=5, epoch=2)
    expected = [
        reference(image, int(sample), how, 5, 2)
        for image, sample in zip(images.numpy(), ids, strict=True)
    ]
    np.testing.assert_array_equal(actual.numpy(), np.stack(expected))


@pytest.mark.parametrize("how", HOWS)
def test_a_sample_looks_the_same_in_any_batch(how: Augment) -> None:
    images = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(100, 130)
    together = augment(images, ids, how=how, seed=0, epoch=1)
    order = torch.arange(29, -1, -3)
    alone = augment(images[order], ids[order], how=how, seed=0, epoch=1)
    assert torch.equal(alone, together[order])


@pytest.mark.parametrize("how", HOWS)
def test_another_epoch_or_seed_looks_different_and_a_repeat_the_same(how: Augment) -> None:
    images, ids = torch.rand(30, 1, 8, 8), torch.arange(30)
    one = augment(images, ids, how=how, seed=0, epoch=1)
    assert torch.equal(one, augment(images, ids, how=how, seed=0, epoch=1))
    assert not torch.equal(one, augment(images, ids, how=how, seed=0, epoch=2))
    assert not torch.equal(one, augment(images, ids, how=how, seed=1, epoch=1))


def test_all_nine_shifts_occur_equally_often() -> None:
    """A single bright pixel shows where it went; chi-squared, 8 degrees, 0.999 quantile 26.1."""
    images = torch.zeros(9000, 1, 3, 3)
    images[:, :, 1, 1] = 1
    moved = augment(images, torch.arange(9000), how="shift", seed=0, epoch=0)
    counts = moved.sum(0).flatten()
    assert counts.sum() == 9000
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 26.1


def test_half_of_the_samples_are_mirrored() -> None:
    images = torch.tensor([1.0, 0.0]).expand(4000, 1, 1, 2)
    mirrored = augment(images, torch.arange(4000), how="flip", seed=0, epoch=0)[:, 0, 0, 1]
    assert abs(float(mirrored.mean()) - 0.5) < 0.03


def test_no_shared_generator_is_touched() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augment(torch.rand(3, 1, 8, 8, generator=torch.Generator()), torch.arange(3),
            how="crop-flip", seed=0, epoch=0)  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)


def test_none_gives_the_same_tensor() -> None:
    images = torch.rand(2, 1, 8, 8)
    assert augment(images, torch.arange(2), how="none", seed=0, epoch=0) is images


@pytest.mark.parametrize("how", HOWS)
def test_gradient_goes_to_the_pixels_that_were_used(how: Augment) -> None:
    images = torch.rand(4, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    ids = torch.arange(4)
    assert torch.autograd.gradcheck(
        lambda x: augment(x, ids, how=how, seed=0, epoch=0), (images,), fast_mode=True
    )
    augment(images, ids, how=how, seed=0, epoch=0).sum().backward()
    assert images.grad is not None and images.grad.sum() > 0


def test_the_hash_on_tensors_is_the_hash_on_arrays() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, 5000, dtype=np.uint64)
    words[:4] = [0, 1, 2**63, 2**64 - 1]
    actual = mix_tensor(torch.from_numpy(words.view(np.int64))).numpy().view(np.uint64)
    np.testing.assert_array_equal(actual, mix(words))
