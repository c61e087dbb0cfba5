"""The 2 × 2 table and its derivates against counting and against scikit-learn and scipy."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from workbench.functional.knowledge import (
    KnowledgeTable,
    accuracy_per_class,
    copied_errors,
    correctness_table,
    error_consistency,
    flips_per_class,
    knowledge_flips,
    mcnemar_p,
    prediction_kappa,
)


def predicting(*classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
STUDENT = predicting(0, 1, 0, 2, 2, 0)  # right, right, then wrong
TEACHER = predicting(0, 2, 2, 2, 2, 1)  # right, wrong, right, then wrong


def test_table_has_students_in_rows_and_teachers_in_columns():
    #            teacher right, wrong
    assert correctness_table(STUDENT, TEACHER, LABELS).tolist() == [[1, 1], [1, 3]]


def test_copied_errors_need_the_same_wrong_label():
    assert copied_errors(STUDENT, TEACHER, LABELS) == (2, 4)  # samples 3 and 4 of 1, 3, 4, 5


def test_flips_of_a_worked_example():
    before = torch.tensor([True, False, False, False, True, False])
    after = torch.tensor([True, True, True, False, False, False])
    teacher = torch.tensor([True, True, False, True, False, False])
    flips = knowledge_flips(before, after, teacher)
    assert (flips.gain, flips.loss) == (2 / 6, 1 / 6)
    assert flips.delta == pytest.approx(1 / 6)
    assert (flips.complementary, flips.at_risk) == (2 / 6, 1 / 6)
    assert flips.transfer_rate == 1 / 2  # sample 1 of 1 and 3
    assert flips.spontaneous_gain == 1 / 6  # sample 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_delta_is_the_change_of_accuracy_and_gains_split_by_the_teacher(samples):
    before, after, teacher = (torch.tensor(column) for column in zip(*samples, strict=True))
    flips = knowledge_flips(before, after, teacher)
    change = float(after.double().mean() - before.double().mean())
    assert flips.delta == pytest.approx(change, abs=1e-12)
    assert flips.delta == pytest.approx(flips.gain - flips.loss, abs=1e-12)
    if flips.complementary:
        transferred = flips.transfer_rate * flips.complementary
        assert flips.gain == pytest.approx(transferred + flips.spontaneous_gain)
    else:
        assert math.isnan(flips.transfer_rate)
        assert flips.gain == flips.spontaneous_gain


def test_per_class_counts_add_up():
    before, after = STUDENT.argmax(1) == LABELS, TEACHER.argmax(1) == LABELS
    gained, lost = flips_per_class(before, after, LABELS, 3)
    assert (gained.tolist(), lost.tolist()) == ([0, 0, 1], [0, 1, 0])
    right, total = accuracy_per_class(STUDENT, LABELS)
    assert (right.tolist(), total.tolist()) == ([1, 1, 0], [2, 2, 2])


def test_kappas_match_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator)
    student, teacher = (
        torch.randn(200, 4, generator=generator) + 2 * torch.eye(4)[labels] for _ in range(2)
    )
    right_s, right_t = student.argmax(1) == labels, teacher.argmax(1) == labels
    table = correctness_table(student, teacher, labels)
    assert int(table.sum()) == 200
    expected = cohen_kappa_score(right_s.numpy(), right_t.numpy())
    assert error_consistency(table) == pytest.approx(expected)
    expected = cohen_kappa_score(student.argmax(1).numpy(), teacher.argmax(1).numpy())
    assert prediction_kappa(student, teacher) == pytest.approx(expected)


def test_kappa_is_undefined_when_both_are_always_right():
    assert math.isnan(error_consistency(torch.tensor([[5, 0], [0, 0]])))


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 3), (0, 5), (12, 4), (300, 260), (4000, 3600)])
def test_mcnemar_is_the_exact_binomial_p(b, c):
    expected = binomtest(min(b, c), b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar_p(torch.tensor([[50, b], [c, 9]])) == pytest.approx(expected, rel=1e-8)


def test_flips_of_other_samples_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(3,\), \(2,\), \(3,\)"):
        knowledge_flips(torch.ones(3), torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="no sample"):
        knowledge_flips(torch.ones(0), torch.ones(0), torch.ones(0))


def test_knowledge_table_is_the_functions_class_by_class():
    table = KnowledgeTable(3)
    table.update(STUDENT, TEACHER, LABELS)
    found = table.compute()
    expected = correctness_table(STUDENT, TEACHER, LABELS)
    assert torch.equal(found.table, expected)
    for label in range(3):
        own = torch.eq(LABELS, label)
        per_class = correctness_table(STUDENT[own], TEACHER[own], LABELS[own])
        assert torch.equal(found.by_class[label], per_class)
        assert int(found.copied[label]) == copied_errors(STUDENT[own], TEACHER[own], LABELS[own])[0]
    copied, wrong = copied_errors(STUDENT, TEACHER, LABELS)
    assert found.copied_share == copied / wrong
    assert found.complementary == int(expected[1, 0]) / 6
    assert found.at_risk == int(expected[0, 1]) / 6
    assert found.mcnemar_p == mcnemar_p(expected)
    assert found.error_consistency == pytest.approx(error_consistency(expected))


def test_knowledge_table_refuses_a_withheld_label_and_is_nan_when_empty():
    table = KnowledgeTable(3)
    with pytest.raises(ValueError, match=r"0\.\.2, got -1 to 1.*withheld"):
        table.update(STUDENT, TEACHER, LABELS - 1)
    assert math.isnan(table.compute().copied_share)
