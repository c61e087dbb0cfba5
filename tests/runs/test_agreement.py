"""What is counted of two models' answers, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.runs.agreement import Agreement, answers_of

LABELS = [0, 1, 2, 0, 1, 2, 0, 1]
STUDENT = [0, 1, 1, 2, 1, 0, 0, 0]
TEACHER = [0, 1, 1, 1, 1, 2, 2, 0]


def snapshot(dtype=np.int32):
    names = ("labels", "student_class", "teacher_class")
    values = (LABELS, STUDENT, TEACHER)
    return {
        f"answers.{name}": np.asarray(one, dtype) for name, one in zip(names, values, strict=True)
    }


def test_counts_are_those_by_hand():
    rows = list(zip(LABELS, STUDENT, TEACHER, strict=True))
    found = Agreement.of(snapshot())
    wrong = [(student, teacher) for label, student, teacher in rows if teacher != label]
    assert found == Agreement(
        n=8,
        label_loyalty=sum(student == teacher for _, student, teacher in rows) / 8,
        copied=sum(student == teacher for student, teacher in wrong),
        teacher_wrong=len(wrong),
    )
    assert 0 < found.copied < found.teacher_wrong


def test_the_teacher_follows_itself_and_copies_all_of_its_errors():
    labels, _, theirs = answers_of(snapshot())
    itself = Agreement.among(labels, theirs, theirs)
    assert (itself.label_loyalty, itself.copied) == (1.0, itself.teacher_wrong)


def test_a_teacher_without_an_error_has_none_to_copy():
    labels, mine, _ = answers_of(snapshot())
    found = Agreement.among(labels, mine, labels)
    assert (found.copied, found.teacher_wrong) == (0, 0)
    assert found.label_loyalty == pytest.approx(np.mean(mine == labels))


@pytest.mark.parametrize("arrays", [{}, {"cka.unbiased": np.zeros((1, 1))}])
def test_nothing_is_known_of_a_snapshot_without_answers(arrays):
    assert Agreement.of(arrays) is None
    assert answers_of(arrays) is None
