"""Streamed CKA against the value of the whole set."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.cka import hsic_unbiased, linear_cka, linear_gram
from workbench.functional.cka_streaming import MinibatchCKA, StreamingCKA


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 6, generator=generator, dtype=torch.float64) + 40
    y = x @ torch.randn(6, 9, generator=generator, dtype=torch.float64)
    return x, y + 2 * torch.randn(96, 9, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("batch", [96, 32, 7, 1])
def test_exact_form_gives_the_full_set_value_for_any_batches(pair, batch, unbiased):
    x, y = pair
    stream = StreamingCKA(6, 9)
    for rows_x, rows_y in zip(x.split(batch), y.split(batch), strict=True):
        stream.update(rows_x, rows_y)
    expected = float(linear_cka(x, y, unbiased=unbiased))
    assert stream.compute(unbiased=unbiased) == pytest.approx(expected, rel=1e-9)


def test_minibatch_form_is_a_ratio_of_sums_and_not_a_mean_of_ratios(pair):
    x, y = pair
    batches = list(zip(x.split(24), y.split(24), strict=True))
    stream = MinibatchCKA(1, 1)
    for rows_x, rows_y in batches:
        stream.update([rows_x], [rows_y])
    cross, own_x, own_y = (
        sum(float(hsic_unbiased(linear_gram(a[i]), linear_gram(a[j]))) for a in batches)
        for i, j in ((0, 1), (0, 0), (1, 1))
    )
    assert float(stream.compute()) == pytest.approx(cross / (own_x * own_y) ** 0.5, rel=1e-10)
    mean_of_ratios = sum(float(linear_cka(a, b)) for a, b in batches) / len(batches)
    assert float(stream.compute()) != pytest.approx(mean_of_ratios, abs=1e-5)


def test_merging_in_any_order_equals_one_pass(pair):
    x, y = pair
    one, left, right = (MinibatchCKA(2, 1) for _ in range(3))
    for part, own in ((slice(0, 40), left), (slice(40, 96), right)):
        for stream in (one, own):
            stream.update([x[part], y[part]], [y[part]])
    torch.testing.assert_close(right.merge(left).compute(), one.compute(), rtol=1e-12, atol=0)


def test_constant_layer_is_nan(pair):
    stream = MinibatchCKA(1, 1)
    stream.update([torch.ones(8, 3)], [pair[1][:8]])
    assert torch.isnan(stream.compute()).all()


def test_short_batch_says_what_to_do_with_it(pair):
    stream = MinibatchCKA(1, 1)
    with pytest.raises(ValueError, match=r"at least 4 examples, got 3.*last batch"):
        stream.update([pair[0][:3]], [pair[1][:3]])
    with pytest.raises(ValueError, match="expected 1 teacher layers, got 2"):
        stream.update([pair[0], pair[0]], [pair[1]])
    with pytest.raises(ValueError, match="at least 4 examples, got 0"):
        StreamingCKA(6, 9).compute()
