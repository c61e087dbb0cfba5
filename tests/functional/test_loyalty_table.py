"""The table over batches against the functions of one batch, and agreement split by hand."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.loyalty import (
    fidelity_kl,
    forward_kl,
    hellinger,
    label_loyalty,
    probability_loyalty,
    reverse_kl,
    total_variation,
)
from workbench.functional.loyalty_table import LoyaltyTable


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = 4 * torch.randn(2, 900, 300, generator=generator)
    return student, teacher, torch.randint(0, 300, (900,), generator=generator)


def test_means_are_those_of_the_functions(scores):
    student, teacher, labels = scores
    table = LoyaltyTable()
    table.update(student, teacher, labels)
    found = table.compute()
    p, q = student.double().softmax(-1), teacher.double().softmax(-1)
    assert found.num_samples == 900
    assert found.label_loyalty == label_loyalty(student, teacher)
    expected = {
        "probability_loyalty": probability_loyalty(p, q),
        "forward_kl": fidelity_kl(student, teacher),
        "reverse_kl": float(reverse_kl(p, q).mean()),
        "total_variation": float(total_variation(p, q).mean()),
        "hellinger": float(hellinger(p, q).mean()),
    }
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found.forward_kl == pytest.approx(float(forward_kl(p, q).mean()), rel=1e-9)


def test_agreement_is_split_by_who_is_right_and_how_sure_the_teacher_is():
    sure, torn = [9.0, 0.0, 0.0], [0.1, 0.0, 0.0]
    teacher = torch.tensor([sure, sure, torn, torn, torn])
    student = torch.tensor([sure, sure, torn, [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 0, 1])  # right, wrong, right, right, wrong
    table = LoyaltyTable(num_strata=2)
    table.update(student, teacher, labels)
    found = table.compute()
    assert found.label_loyalty == pytest.approx(3 / 5)
    assert found.loyalty_teacher_right == pytest.approx(2 / 3)
    assert found.loyalty_teacher_wrong == pytest.approx(1 / 2)
    assert found.entropy_count.tolist() == [2, 3]
    assert found.loyalty_by_entropy.tolist() == [1, pytest.approx(1 / 3)]


def test_without_labels_nobody_is_right_or_wrong(scores):
    student, teacher, _ = scores
    table = LoyaltyTable()
    table.update(student, teacher)
    found = table.compute()
    assert found.label_loyalty == label_loyalty(student, teacher)
    assert math.isnan(found.loyalty_teacher_right) and math.isnan(found.loyalty_teacher_wrong)


def test_a_short_last_batch_weighs_what_it_holds(scores):
    """A mean of batch means would weigh its one sample like the other 899."""
    student, teacher, _ = scores
    student = torch.cat([teacher[:899], student[899:]])
    table = LoyaltyTable()
    for part in (slice(0, 899), slice(899, 900)):
        table.update(student[part], teacher[part])
    assert table.compute().forward_kl == pytest.approx(fidelity_kl(student, teacher), rel=1e-9)


def test_what_cannot_be_counted_is_refused(scores):
    student, teacher, labels = scores
    table = LoyaltyTable()
    with pytest.raises(ShapeMismatch, match="one label set"):
        table.update(student[:, :5], teacher, labels)
    with pytest.raises(ValueError, match="withheld"):
        table.update(student, teacher, labels - 1)
    student[3, 3] = math.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        table.update(student, teacher, labels)
    assert table.compute().num_samples == 0
    assert math.isnan(table.compute().probability_loyalty)
