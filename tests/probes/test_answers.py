"""What a snapshot keeps of each sample: the classes that matter, and nothing made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.probes.answers import MOST_CLASSES, answers
from workbench.probes.view import Rows


def rows(labels: torch.Tensor) -> Rows:
    nothing = torch.zeros(0)
    ids = torch.arange(len(labels)) * 7
    return Rows(ids, nothing, labels, nothing, nothing, 0)


@pytest.fixture
def made():
    generator = torch.Generator().manual_seed(0)

    def make(classes: int, spread: float = 3.0):
        both = [spread * torch.randn(40, classes, generator=generator) for _ in range(2)]
        return (*both, rows(torch.randint(classes, (40,), generator=generator)))

    return make


def test_few_classes_are_kept_whole_and_sum_to_one(made):
    student, teacher, probe = made(5)
    found = answers(student, teacher, probe)
    assert "answers.classes" not in found
    np.testing.assert_array_equal(found["answers.ids"], probe.ids.numpy())
    for who, logits in (("student", student), ("teacher", teacher)):
        expected = np.exp(logits.double().numpy())
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(found[f"answers.{who}"], expected, atol=5e-4)
        np.testing.assert_array_equal(found[f"answers.{who}_class"], expected.argmax(1))


@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_of_many_classes_label_and_both_answers_are_always_kept(made, spread):
    student, teacher, probe = made(1000, spread)
    found = answers(student, teacher, probe)
    kept = found["answers.classes"]
    assert kept.shape == found["answers.student"].shape == (40, MOST_CLASSES)
    assert (np.diff(kept, axis=1) > 0).all()
    for named in ("labels", "student_class", "teacher_class"):
        assert (kept == found[f"answers.{named}"][:, None]).any(1).all(), named
    probs = teacher.double().softmax(-1).gather(1, torch.from_numpy(kept).long())
    np.testing.assert_allclose(found["answers.teacher"], probs.numpy(), atol=5e-4)
    assert (found["answers.teacher"].astype(float).sum(1) <= 1 + 1e-2).all()


def test_a_row_that_diverged_has_no_probabilities(made):
    student, teacher, probe = made(20)
    student[3] = torch.nan
    found = answers(student, teacher, probe)
    assert np.isnan(found["answers.student"][3]).all()
    assert not np.isnan(found["answers.student"][4]).any()
    assert not np.isnan(found["answers.teacher"]).any()
