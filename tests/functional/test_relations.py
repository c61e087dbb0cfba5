"""Losses on relations between samples against loops in numpy, and their invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.metadata import LOSSES
from workbench.functional.relations import cc, nst, pkt, rkd, sp

SETS = {"sp": sp, "rkd": rkd, "pkt": pkt}


def batch(n: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64)


def rotated(x: torch.Tensor) -> torch.Tensor:
    return x @ torch.linalg.qr(batch(x.shape[1], x.shape[1], seed=9))[0]


def smooth_l1(gap: float) -> float:
    return 0.5 * gap * gap if abs(gap) < 1 else abs(gap) - 0.5


def numpy_rkd(student: np.ndarray, teacher: np.ndarray) -> tuple[float, float]:
    n = len(student)

    def distances(e: np.ndarray) -> np.ndarray:
        d = np.linalg.norm(e[:, None] - e[None], axis=-1)
        return d / d[~np.eye(n, dtype=bool)].mean()

    def cosine(e: np.ndarray, i: int, j: int, k: int) -> float:
        a, b = e[j] - e[i], e[k] - e[i]
        norms = max(np.linalg.norm(a), 1e-12) * max(np.linalg.norm(b), 1e-12)
        return float(a @ b / norms)

    pairs = np.vectorize(smooth_l1)(distances(student) - distances(teacher)).mean()
    triples = np.mean(
        [
            smooth_l1(cosine(student, i, j, k) - cosine(teacher, i, j, k))
            for i, j, k in itertools.product(range(n), repeat=3)
        ]
    )
    return float(pairs), float(triples)


def test_rkd_matches_loops_over_pairs_and_triples():
    student, teacher = batch(5, 3), batch(5, 7, seed=1)
    pairs, triples = numpy_rkd(student.numpy(), teacher.numpy())
    assert float(rkd(student, teacher, distance_weight=1, angle_weight=0)) == pytest.approx(pairs)
    assert float(rkd(student, teacher, distance_weight=0, angle_weight=1)) == pytest.approx(triples)
    assert float(rkd(student, teacher)) == pytest.approx(25 * pairs + 50 * triples)


def test_sp_matches_numpy():
    student, teacher = batch(6, 3).numpy(), batch(6, 8, seed=1).numpy()

    def similarity(f: np.ndarray) -> np.ndarray:
        gram = f @ f.T
        return gram / np.linalg.norm(gram, axis=1, keepdims=True)

    expected = np.sum((similarity(student) - similarity(teacher)) ** 2) / 36
    assert float(sp(torch.tensor(student), torch.tensor(teacher))) == pytest.approx(expected)


def test_pkt_matches_numpy():
    student, teacher = batch(6, 3).numpy(), batch(6, 8, seed=1).numpy()

    def neighbourhood(f: np.ndarray) -> np.ndarray:
        unit = f / np.linalg.norm(f, axis=1, keepdims=True)
        near = (1 + unit @ unit.T) / 2
        return near / near.sum(1, keepdims=True)

    p, q = neighbourhood(teacher), neighbourhood(student)
    expected = np.mean(p * np.log((p + 1e-7) / (q + 1e-7)))
    actual = pkt(torch.tensor(student), torch.tensor(teacher))
    assert float(actual) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", sorted(SETS))
def test_rotated_and_scaled_teacher_is_matched_exactly(name):
    teacher = batch(6, 4)
    value = SETS[name](3 * rotated(teacher), teacher)
    assert float(value) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", sorted(SETS))
def test_order_of_the_batch_changes_nothing(name):
    student, teacher = batch(6, 4), batch(6, 5, seed=1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(
        SETS[name](student[order], teacher[order]), SETS[name](student, teacher)
    )


def test_cc_depends_on_the_order_and_says_so():
    student, teacher = batch(6, 4), batch(6, 4, seed=1)
    gap = (student - teacher).abs().numpy()
    expected = np.mean([(gap[i] * gap[i + 1]).sum() for i in range(5)])
    assert float(cc(student, teacher)) == pytest.approx(expected)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert float(cc(student[order], teacher[order])) != pytest.approx(expected, rel=1e-3)
    assert "order" in LOSSES["cc"].summary
    assert float(cc(student[:1], teacher[:1])) == 0


def test_nst_is_the_discrepancy_of_channels_and_per_sample():
    student = batch(2, 3 * 16).view(2, 3, 4, 4)
    teacher = batch(2, 5 * 16, seed=1).view(2, 5, 4, 4)
    for i in range(2):
        a, b = (m[i].flatten(1).numpy() for m in (student, teacher))
        a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
        expected = ((a @ a.T) ** 2).mean() + ((b @ b.T) ** 2).mean() - 2 * ((a @ b.T) ** 2).mean()
        assert float(nst(student, teacher)[i]) == pytest.approx(expected)
    same = nst(student[:, [2, 0, 1]], student)
    torch.testing.assert_close(same, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["sp", "rkd", "pkt", "cc"])
def test_set_statistics_declare_themselves(name):
    assert not LOSSES[name].per_sample
    assert LOSSES["nst"].per_sample


@pytest.mark.parametrize("function", [sp, rkd, pkt, cc])
def test_gradient_flows_to_the_student_alone(function):
    student, teacher = batch(4, 3).requires_grad_(), batch(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: function(s, teacher.detach()), student, atol=1e-4)
    function(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("function", [sp, rkd, pkt, cc])
@pytest.mark.parametrize("kind", ["zero", "repeated", "huge"])
def test_degenerate_batches_stay_finite_in_float32(function, kind):
    student = {
        "zero": torch.zeros(4, 3),
        "repeated": torch.ones(4, 3),
        "huge": 1e4 * batch(4, 3).float(),
    }[kind].requires_grad_()
    value = function(student, batch(4, 3, seed=1).float())
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(student.grad).all()


def test_other_batches_are_refused():
    with pytest.raises(ShapeMismatch, match="same examples"):
        rkd(batch(4, 3), batch(5, 3))
    with pytest.raises(ShapeMismatch, match="one width"):
        cc(batch(4, 3), batch(4, 5))
