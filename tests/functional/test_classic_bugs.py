"""Slips that published distillation code has made: our losses pass each law, the slip fails it.

A law that the slip would pass as well could not protect from it, so both are tested.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.functional.contrast import info_nce
from workbench.functional.logits import ce, dkd, kd
from workbench.terms.term import TermValue

Loss = Callable[[Tensor, Tensor], Tensor]
generator = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (2 * torch.randn(6, 5, generator=generator) for _ in range(2))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def our_kd(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    return kd(student, teacher, temperature=temperature).mean()


# KL over classes instead of over the batch


def mean_over_classes(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    log_s, log_t = ((x / temperature).log_softmax(-1) for x in (student, teacher))
    return temperature**2 * F.kl_div(log_s, log_t, reduction="none", log_target=True).mean()


def law_of_impossible_classes(loss: Loss) -> bool:
    """Classes that both networks find impossible change nothing."""
    more = [F.pad(x, (0, 15), value=-1e4) for x in (STUDENT, TEACHER)]
    return torch.allclose(loss(*more), loss(STUDENT, TEACHER), rtol=1e-4)


def test_kl_is_summed_over_classes():
    assert law_of_impossible_classes(our_kd)
    assert not law_of_impossible_classes(mean_over_classes)


# T² missing, or twice


def law_of_equal_pull(loss: Callable[[Tensor, Tensor, float], Tensor]) -> bool:
    """Hinton §2: the gradient keeps its size when the temperature is changed (high T)."""
    sizes = []
    for temperature in (50.0, 200.0):
        student = STUDENT.clone().requires_grad_()
        loss(student, TEACHER, temperature).backward()
        sizes.append(float(student.grad.norm()))
    return abs(sizes[0] / sizes[1] - 1) < 0.1


@pytest.mark.parametrize("power", [-2, 2])
def test_the_square_of_the_temperature_is_there_once(power):
    assert law_of_equal_pull(our_kd)
    assert not law_of_equal_pull(lambda s, t, T: our_kd(s, t, T) * T**power)


# Swapped KL


def law_of_direction(loss: Loss) -> bool:
    """A student that ignores one of the teacher's modes pays more than one that covers both."""
    two_modes = torch.tensor([[5.0, 5.0, 0.0]])
    narrow, wide = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([[5.0, 5.0, 4.0]])
    return bool(loss(narrow, two_modes) > 4 * loss(wide, two_modes))


def swapped(student: Tensor, teacher: Tensor) -> Tensor:
    return our_kd(teacher, student, 1.0)


def test_kl_runs_from_the_teacher_to_the_student():
    assert law_of_direction(lambda s, t: our_kd(s, t, 1.0))
    assert not law_of_direction(swapped)


# Logarithm of a softmax that underflowed


def naive_log(student: Tensor, teacher: Tensor) -> Tensor:
    q, p = student.softmax(-1), teacher.softmax(-1)
    return (p * (p.log() - q.log())).sum(-1).mean()


def law_of_wide_gaps(loss: Loss) -> bool:
    student = torch.tensor([[240.0, 0.0, -240.0]]).requires_grad_()
    value = loss(student, torch.tensor([[-240.0, 0.0, 240.0]]))
    value.backward()
    return bool(value.detach().isfinite() and student.grad.isfinite().all() and value > 400)


def test_logarithms_are_taken_before_the_softmax_underflows():
    assert law_of_wide_gaps(lambda s, t: our_kd(s, t, 1.0))
    assert not law_of_wide_gaps(naive_log)


def clipped(student: Tensor, teacher: Tensor) -> Tensor:
    q, p = (x.softmax(-1).clamp_min(1e-8) for x in (student, teacher))
    return (p * (p.log() - q.log())).sum(-1).mean()


def test_a_clip_hides_the_gap_and_kills_the_gradient():
    assert not law_of_wide_gaps(clipped)


# DKD's label masked with a large constant


def dkd_by_subtraction(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    mask = 1000.0 * F.one_hot(labels, student.shape[1])
    log_s, log_t = ((x - mask).log_softmax(-1) for x in (student, teacher))
    return F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(-1).mean()


def law_of_masking(others: Callable[[Tensor, Tensor, Tensor], Tensor]) -> bool:
    """However sure both are of the label, the part among the others is the same."""
    sure = 3000.0 * F.one_hot(LABELS, 5)
    bold = others(STUDENT + sure, TEACHER + sure, LABELS)
    return torch.allclose(bold, others(STUDENT, TEACHER, LABELS), rtol=1e-3)


def test_the_label_is_masked_exactly():
    assert law_of_masking(lambda s, t, y: dkd(s, t, y, alpha=0.0, beta=1.0, temperature=1.0).mean())
    assert not law_of_masking(dkd_by_subtraction)


# Masks: shifted by one, or dividing by the whole batch


def law_of_masks(reduced: Callable[[TermValue], Tensor]) -> bool:
    """The mean over valid rows, whatever stands in the others."""
    value, weight = torch.tensor([1.0, 100.0, 3.0, 100.0]), torch.tensor([True, False, True, False])
    return float(reduced(TermValue(value, weight))) == 2.0


@pytest.mark.parametrize(
    "slip",
    [
        lambda v: (v.value * v.weight.roll(1)).sum() / v.weight.sum(),
        lambda v: (v.value * v.weight).mean(),
        lambda v: v.value.mean(),
    ],
    ids=["shifted", "over the whole batch", "forgotten"],
)
def test_a_mask_is_neither_shifted_nor_forgotten(slip):
    assert law_of_masks(lambda v: v.reduced())
    assert not law_of_masks(slip)


def law_of_withheld_labels(loss: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """A withheld label is no class: the last one (index -1) gets no pull from it."""
    student = STUDENT.clone().requires_grad_()
    loss(student, torch.tensor([-1, 1, 2, 3, 4, 0])).sum().backward()
    return torch.count_nonzero(student.grad[0]) == 0


def test_a_withheld_label_is_not_the_last_class():
    assert law_of_withheld_labels(ce)
    rows = torch.arange(6)
    assert not law_of_withheld_labels(lambda s, y: -s.log_softmax(-1)[rows, y])


# Norms over the wrong axis


def by_column(student: Tensor, teacher: Tensor) -> Tensor:
    scores = F.normalize(student, dim=0) @ F.normalize(teacher, dim=0).T / 0.1
    return F.cross_entropy(scores, torch.arange(len(student)))


def law_of_cosines(loss: Loss) -> bool:
    """The length of a single sample's features says nothing."""
    longer = STUDENT * torch.tensor([10.0, 1, 1, 1, 1, 1])[:, None]
    return torch.allclose(loss(longer, TEACHER), loss(STUDENT, TEACHER), rtol=1e-4)


def test_cosines_are_taken_along_the_width():
    assert law_of_cosines(info_nce)
    assert not law_of_cosines(by_column)
