"""Masking, the decoder and the loss of MAE: against float64, and the laws that make it honest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.models.vit import VisionTransformer
from workbench.terms.mae import MaskedDecoder, masked_patches, masked_pixel_loss, random_keep


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def decoder() -> MaskedDecoder:
    torch.manual_seed(0)
    return MaskedDecoder(9, 12, 4, 8, 2, 2).eval()


KEEP = torch.tensor([[0, 4, 8], [1, 2, 7]])


def test_the_loss_matches_float64_patch_by_patch():
    predicted, pixels, masked = draw(4, 6, 5), draw(4, 6, 5, seed=1), draw(4, 6, seed=2) > 0
    masked[:, 0] = True
    expected = []
    for row in range(4):
        losses = []
        for patch in np.flatnonzero(masked[row].numpy()):
            target = pixels[row, patch].double().numpy()
            target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
            losses.append(np.mean((predicted[row, patch].double().numpy() - target) ** 2))
        expected.append(np.mean(losses))
    actual = masked_pixel_loss(predicted, pixels, masked).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_a_guess_of_zeros_scores_the_share_that_the_unbiased_variance_leaves():
    pixels = 3 * draw(2, 9, 4) + 5
    loss = masked_pixel_loss(torch.zeros(2, 9, 4), pixels, masked_patches(KEEP, 9))
    torch.testing.assert_close(loss, torch.full((2,), 3 / 4), rtol=1e-4, atol=1e-5)


def test_brightness_and_contrast_of_a_patch_do_not_count():
    predicted, pixels, masked = draw(2, 9, 4), draw(2, 9, 4, seed=1), masked_patches(KEEP, 9)
    loss = masked_pixel_loss(predicted, pixels, masked)
    changed = pixels * (1 + draw(2, 9, 1, seed=2).abs()) + draw(2, 9, 1, seed=3)
    torch.testing.assert_close(
        masked_pixel_loss(predicted, changed, masked), loss, rtol=1e-3, atol=1e-4
    )


def test_patches_that_stayed_and_the_pixels_get_no_gradient():
    predicted = draw(2, 9, 4).requires_grad_()
    pixels = draw(2, 9, 4, seed=1).requires_grad_()
    masked = masked_patches(KEEP, 9)
    masked_pixel_loss(predicted, pixels, masked).sum().backward()
    assert torch.equal(predicted.grad.abs().sum(-1) > 0, masked)
    assert pixels.grad is None


def test_half_precision_is_scored_in_float32():
    predicted, pixels = draw(2, 9, 4).half(), draw(2, 9, 4, seed=1).half()
    loss = masked_pixel_loss(predicted, pixels, masked_patches(KEEP, 9))
    assert loss.dtype == torch.float32
    wide = masked_pixel_loss(predicted.double(), pixels.double(), masked_patches(KEEP, 9))
    torch.testing.assert_close(loss.double(), wide, rtol=1e-5, atol=1e-6)


def test_another_shape_of_pixels_or_mask_is_named():
    masked = masked_patches(KEEP, 9)
    with pytest.raises(ShapeMismatch, match=r"WB102.*\(2, 9, 4\).*\(2, 9, 5\)"):
        masked_pixel_loss(draw(2, 9, 4), draw(2, 9, 5), masked)
    with pytest.raises(ShapeMismatch, match=r"mask, of shape \(2, 8\)"):
        masked_pixel_loss(draw(2, 9, 4), draw(2, 9, 4), masked[:, :8])


def test_masked_patches_are_those_that_did_not_stay():
    assert masked_patches(KEEP, 9).int().tolist() == [
        [0, 1, 1, 1, 0, 1, 1, 1, 0],
        [1, 0, 0, 1, 1, 1, 1, 0, 1],
    ]


@torch.no_grad()
def test_the_decoder_knows_a_token_by_its_patch_not_by_its_place_in_the_row(decoder):
    tokens = draw(2, 4, 12)
    pixels = decoder(tokens, KEEP)
    assert pixels.shape == (2, 9, 4)
    order = [2, 0, 1]
    turned = torch.cat([tokens[:, :1], tokens[:, 1:][:, order]], dim=1)
    torch.testing.assert_close(decoder(turned, KEEP[:, order]), pixels, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(decoder(turned, KEEP), pixels, atol=1e-3)


@torch.no_grad()
def test_without_blocks_a_masked_patch_shows_the_mask_token_at_its_position():
    torch.manual_seed(0)
    decoder = MaskedDecoder(9, 12, 4, 8, 0, 2)
    pixels = decoder(draw(2, 4, 12), KEEP)
    expected = decoder.predict(decoder.norm(decoder.mask_token + decoder.positions))
    masked = masked_patches(KEEP, 9)
    torch.testing.assert_close(pixels[masked], expected.expand(2, 9, 4)[masked])
    assert not torch.isclose(pixels[~masked], expected.expand(2, 9, 4)[~masked]).all(-1).any()


def test_everything_in_the_decoder_learns(decoder):
    tokens = draw(2, 4, 12).requires_grad_()
    loss = masked_pixel_loss(decoder(tokens, KEEP), draw(2, 9, 4, seed=1), masked_patches(KEEP, 9))
    loss.sum().backward()
    assert [name for name, p in decoder.named_parameters() if not p.grad.any()] == []
    assert (tokens.grad.abs().sum(-1) > 0).all()


def test_sizes_of_the_decoder_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`decoder_width` is 10.*multiple of 4"):
        MaskedDecoder(9, 12, 4, 10, 1, 2)
    with pytest.raises(ValueError, match=r"8 patches are no grid of 2 x 2"):
        MaskedDecoder(8, 12, 4, 8, 1, 2)
    assert MaskedDecoder(8, 12, 4, 8, 1, 2, grid=(2, 4)).positions.shape == (8, 8)


@pytest.mark.parametrize(
    ("patches", "ratio", "kept"),
    [(16, 0.75, 4), (16, 0.5, 8), (20, 0.9, 2), (4, 0.99, 1), (16, 0.01, 15), (196, 0.75, 49)],
)
def test_the_share_that_stays_is_the_ratios(patches, ratio, kept):
    keep = random_keep(torch.arange(20), patches, ratio, 0, 0)
    assert keep.shape == (20, kept) and keep.dtype == torch.int64
    assert (keep.diff(dim=1) > 0).all()
    assert keep.min() >= 0 and keep.max() < patches


def test_what_stays_depends_on_seed_step_and_sample_alone():
    ids = torch.tensor([5, 900, 17, 3])
    keep = random_keep(ids, 16, 0.75, 1, 40)
    assert torch.equal(random_keep(ids[[2, 0]], 16, 0.75, 1, 40), keep[[2, 0]])
    torch.manual_seed(3)
    assert torch.equal(random_keep(ids, 16, 0.75, 1, 40), keep)
    assert not torch.equal(random_keep(ids, 16, 0.75, 1, 41), keep)
    assert not torch.equal(random_keep(ids, 16, 0.75, 2, 40), keep)
    assert len({tuple(row) for row in keep.tolist()}) == 4


def test_every_patch_stays_equally_often_and_pairs_are_independent():
    keep = random_keep(torch.arange(40_000), 16, 0.75, 0, 7)
    stayed = ~masked_patches(keep, 16)
    share = stayed.double().mean(0)
    assert (share - 0.25).abs().max() < 5 * (0.25 * 0.75 / 40_000) ** 0.5
    both = (stayed.double().T @ stayed.double() / 40_000).fill_diagonal_(0.05)
    assert (both - 0.05).abs().max() < 5 * (0.05 * 0.95 / 40_000) ** 0.5


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, float("nan")])
def test_a_ratio_that_masks_nothing_or_everything_is_refused(ratio):
    with pytest.raises(ValueError, match=r"`ratio` must be in \(0, 1\)"):
        random_keep(torch.arange(2), 16, ratio, 0, 0)


def test_one_patch_leaves_nothing_to_guess():
    with pytest.raises(ValueError, match="smaller `patch`"):
        random_keep(torch.arange(2), 1, 0.5, 0, 0)


def test_masked_training_learns_to_guess_what_it_does_not_see():
    """Stripes continue behind the mask: a few steps beat the guess of zeros, 15/16 of one."""
    torch.manual_seed(0)
    encoder = VisionTransformer((1, 16, 16), 2, patch=4, width=16, depth=1, heads=2, mlp_ratio=2.0)
    decoder = MaskedDecoder(16, 16, 16, 16, 1, 2)
    phase = torch.arange(64)[:, None] / 64
    waves = torch.sin(6.28 * (torch.arange(16) / 4 + phase))
    images = waves[:, None, None, :].expand(64, 1, 16, 16)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    for step in range(60):
        keep = random_keep(torch.arange(64), 16, 0.75, 0, step)
        pixels = decoder(encoder.encode(images, keep), keep)
        loss = masked_pixel_loss(pixels, encoder.patchify(images), masked_patches(keep, 16)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.4
