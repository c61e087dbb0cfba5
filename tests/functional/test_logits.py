"""Losses of class scores against numpy, laws and published limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.binary import binary_kl, binary_kl_norm
from workbench.functional.logits import (
    ce,
    dist,
    dkd,
    kd,
    lskd,
    lskd_dkd,
    ofa,
    standardised,
)
from workbench.functional.metadata import LOSSES


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(5, 7, generator=generator) * 3,
        torch.randn(5, 7, generator=generator) * 3,
    )


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([0, 6, 3, 2, 2])


def numpy_softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def numpy_kd(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    p_s, p_t = numpy_softmax(student / temperature), numpy_softmax(teacher / temperature)
    return temperature**2 * (p_t * np.log(p_t / p_s)).sum(-1)


def numpy_dkd(
    student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Target and non-target parts of the paper, from probabilities."""
    p_s, p_t = numpy_softmax(student / temperature), numpy_softmax(teacher / temperature)
    rows = np.arange(len(labels))
    y_s, y_t = p_s[rows, labels], p_t[rows, labels]
    target = y_t * np.log(y_t / y_s) + (1 - y_t) * np.log((1 - y_t) / (1 - y_s))
    others = np.zeros(len(labels))
    for i, label in enumerate(labels):
        rest_s = np.delete(p_s[i], label) / (1 - y_s[i])
        rest_t = np.delete(p_t[i], label) / (1 - y_t[i])
        others[i] = (rest_t * np.log(rest_t / rest_s)).sum()
    return temperature**2 * target, temperature**2 * others


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_kd_matches_float64_reference(pair, temperature):
    student, teacher = pair
    expected = numpy_kd(student.double().numpy(), teacher.double().numpy(), temperature)
    actual = kd(student, teacher, temperature=temperature)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.numpy(), expected, rtol=2e-4, atol=1e-6)


def test_kd_stays_float64_for_float64(pair):
    student, teacher = (x.double() for x in pair)
    expected = numpy_kd(student.numpy(), teacher.numpy(), 4.0)
    np.testing.assert_allclose(kd(student, teacher).numpy(), expected, rtol=1e-12)


def test_kd_hot_limit_is_logit_matching(pair):
    """Hinton §2.1: as T grows, T²·KL tends to ||centred logit gap||² / (2C)."""
    student, teacher = (x.double() for x in pair)
    gap = (student - teacher) - (student - teacher).mean(-1, keepdim=True)
    limit = gap.pow(2).sum(-1) / (2 * gap.shape[-1])
    torch.testing.assert_close(kd(student, teacher, temperature=1e4), limit, rtol=1e-3, atol=0)


def test_kd_gradient_is_temperature_times_probability_gap(pair):
    """Hinton §2: d/dz of T²·KL is T (p_s - p_t)."""
    student, teacher = pair
    student.requires_grad_()
    kd(student, teacher, temperature=3.0).sum().backward()
    expected = 3.0 * ((student / 3).softmax(-1) - (teacher / 3).softmax(-1))
    torch.testing.assert_close(student.grad, expected.detach())


def test_ce_matches_torch(pair, labels):
    expected = torch.nn.functional.cross_entropy(pair[0], labels, reduction="none")
    torch.testing.assert_close(ce(pair[0], labels), expected)


def test_ce_is_kd_from_a_certain_teacher(pair, labels):
    certain = torch.full_like(pair[0], -1e4).scatter(1, labels[:, None], 0.0)
    torch.testing.assert_close(ce(pair[0], labels), kd(pair[0], certain, temperature=1.0))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkd_matches_float64_reference(pair, labels, temperature):
    student, teacher = (x.double() for x in pair)
    target, others = numpy_dkd(student.numpy(), teacher.numpy(), labels.numpy(), temperature)
    actual = dkd(student, teacher, labels, alpha=0.5, beta=3.0, temperature=temperature)
    np.testing.assert_allclose(actual.numpy(), 0.5 * target + 3.0 * others, rtol=1e-9)


def test_dkd_with_the_teachers_doubt_as_beta_is_kd(pair, labels):
    """Zhao et al. eq. 6: KD = target part + (1 - p_t(label)) · non-target part."""
    student, teacher = (x.double() for x in pair)
    doubt = 1 - (teacher / 4).softmax(-1)[torch.arange(5), labels]
    target = dkd(student, teacher, labels, alpha=1.0, beta=0.0)
    others = dkd(student, teacher, labels, alpha=0.0, beta=1.0)
    torch.testing.assert_close(target + doubt * others, kd(student, teacher))


def test_dkd_of_two_classes_has_no_second_part(pair, labels):
    value = dkd(pair[0][:, :2], pair[1][:, :2], labels.clamp_max(1), alpha=0.0, beta=8.0)
    assert torch.equal(value, torch.zeros(5))


@pytest.mark.parametrize("gap", [30.0, 240.0])
@pytest.mark.parametrize(
    "name", ["ce", "kd", "dkd", "ofa", "binary-kl", "binary-kl-norm", "lskd", "dist"]
)
def test_float32_is_finite_in_value_and_gradient_at_wide_gaps(name, gap):
    student = torch.tensor([[gap, 0.0, -gap], [-gap, gap, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-gap, gap, 0.0], [-gap, gap, 0.0]])
    labels = torch.tensor([1, 1])
    given = {"student.logits": student, "teacher.logits": teacher, "labels": labels}
    loss = LOSSES[name]
    value = loss.function(*(given[need] for need in loss.needs))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(student.grad).all()
    if name in ("ce", "kd", "dkd", "ofa", "binary-kl"):  # grow with the gap; the rest are bounded
        assert float(value.detach()[0]) > 0.9 * gap


@pytest.mark.parametrize("function", [kd, lambda s, t: dkd(s, t, torch.tensor([0, 6, 3, 2, 2]))])
def test_teacher_gets_no_gradient(pair, function):
    student, teacher = (x.requires_grad_() for x in pair)
    function(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize("name", ["ce", "dkd"])
def test_withheld_label_is_finite_and_leaves_other_rows_alone(pair, labels, name):
    loss = LOSSES[name]
    hidden = labels.clone()
    hidden[1] = -1

    def values(given):
        tensors = {"student.logits": pair[0], "teacher.logits": pair[1], "labels": given}
        return loss.function(*(tensors[need] for need in loss.needs))

    assert torch.isfinite(values(hidden)).all()
    assert torch.equal(values(hidden)[[0, 2, 3, 4]], values(labels)[[0, 2, 3, 4]])


def test_values_of_a_sample_do_not_depend_on_the_batch(pair, labels):
    whole = dkd(*pair, labels)
    alone = torch.cat(
        [dkd(pair[0][i : i + 1], pair[1][i : i + 1], labels[i : i + 1]) for i in range(5)]
    )
    torch.testing.assert_close(whole, alone, rtol=1e-6, atol=1e-6)


def test_half_precision_is_computed_in_float32(pair):
    student, teacher = (x.bfloat16() for x in pair)
    torch.testing.assert_close(kd(student, teacher), kd(student.float(), teacher.float()))


def test_shape_mismatch_names_both_shapes_and_a_way_out(pair):
    with pytest.raises(ShapeMismatch, match=r"WB102.*kd.*\(5, 7\).*\(5, 6\).*feature term"):
        kd(pair[0], pair[1][:, :6])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_bad_temperature_is_refused_with_the_usual_range(pair, temperature):
    with pytest.raises(ValueError, match=r"`temperature` must be > 0, got .*1 to 10"):
        kd(*pair, temperature=temperature)


def test_one_hot_labels_are_refused(pair):
    with pytest.raises(ValueError, match=r"class numbers, not one-hot"):
        ce(pair[0], torch.zeros(5, 7))


def test_dkd_refuses_a_single_class(pair, labels):
    with pytest.raises(ValueError, match="at least 2 classes"):
        dkd(pair[0][:, :1], pair[1][:, :1], labels * 0)


def test_lskd_is_kd_of_z_scores_and_blind_to_scale_and_shift(pair):
    student, teacher = (x.double() for x in pair)
    z_s, z_t = ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) for x in (student, teacher))
    expected = kd(z_s, z_t, temperature=2.0)
    torch.testing.assert_close(lskd(student, teacher), expected, rtol=1e-5, atol=1e-8)
    moved = lskd(7 * student + 3, 0.5 * teacher - 1)
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(
        lskd(2 * teacher, teacher), torch.zeros(5, dtype=torch.float64), atol=1e-9
    )


def test_lskd_dkd_is_dkd_of_z_scores(pair, labels):
    expected = dkd(standardised(pair[0]), standardised(pair[1]), labels, temperature=2.0)
    torch.testing.assert_close(lskd_dkd(*pair, labels), expected)


def test_constant_row_standardises_to_zero_with_a_finite_gradient():
    row = torch.full((1, 4), 0.3, requires_grad=True)
    value = standardised(row)
    value[0, 0].backward()
    assert torch.equal(value.detach(), torch.zeros(1, 4))
    assert torch.isfinite(row.grad).all()


def test_dist_is_one_minus_numpys_correlations(pair):
    student, teacher = (x.double() for x in pair)
    p_s, p_t = (numpy_softmax(x.numpy() / 4) for x in (student, teacher))
    rows = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p_s, p_t, strict=True)])
    columns = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(p_s.T, p_t.T, strict=True)])
    expected = 16 * (2 * (1 - rows) + 3 * (1 - columns))
    actual = dist(student, teacher, beta=2, gamma=3, temperature=4.0)
    # the paper's code adds 1e-8 to the product of norms
    assert float(actual) == pytest.approx(expected, rel=1e-4)
    assert float(dist(teacher, teacher)) == pytest.approx(0, abs=1e-5)


def test_dense_dist_counts_each_pixel(pair):
    maps = torch.randn(2, 2, 7, 3, 4, generator=torch.Generator().manual_seed(0))
    pixels = maps.movedim(2, -1).reshape(2, -1, 7)
    torch.testing.assert_close(dist(*maps), dist(*pixels))


def test_ofa_with_exponent_one_is_soft_cross_entropy(pair, labels):
    student, teacher = pair
    expected = -(teacher.softmax(1) * student.log_softmax(1)).sum(1)
    torch.testing.assert_close(ofa(student, teacher, labels), expected)


def test_ofa_adds_weight_to_the_label_only(pair, labels):
    student, teacher = (x.double() for x in pair)
    p_t, log_p_s = teacher.softmax(1).numpy(), student.log_softmax(1).numpy()
    expected = np.zeros(5)
    for i, label in enumerate(labels.tolist()):
        for c in range(7):
            weight = (1 + p_t[i, c]) ** 1.5 - 1 if c == label else p_t[i, c] ** 1.5
            expected[i] -= weight * log_p_s[i, c]
    actual = ofa(student, teacher, labels, exponent=1.5)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)


def test_binary_kl_sums_bernoulli_divergences(pair):
    student, teacher = (x.double() for x in pair)
    p, q = (1 / (1 + np.exp(-x.numpy() / 2)) for x in (teacher, student))
    expected = 4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(1)
    np.testing.assert_allclose(binary_kl(student, teacher).numpy(), expected, rtol=1e-9)
    gap = 1 / (1 + np.exp(-(student - teacher).numpy() / 2))
    expected = 4 * (0.5 * np.log(0.5 / gap) + 0.5 * np.log(0.5 / (1 - gap))).sum(1)
    np.testing.assert_allclose(binary_kl_norm(student, teacher).numpy(), expected, rtol=1e-9)
    assert torch.equal(binary_kl_norm(student, student), torch.zeros(5, dtype=torch.float64))
