"""TGeo-KD's states and class means, and the frame that a class mean gives."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.tgeokd import (
    ClassMeans,
    class_mean_probs,
    tgeokd_small_state,
    tgeokd_state,
)
from workbench.functional.trilateral import embed


def rows(n: int, classes: int, seed: int, sharp: float = 3.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = sharp * torch.randn(2, n, classes, generator=generator, dtype=torch.float64)
    student, teacher = logits.softmax(-1)
    labels = torch.randint(0, classes, (n,), generator=generator)
    return student, teacher, labels


def test_fusion_state_has_nine_blocks_with_the_class_mean_of_the_teacher():
    student, teacher, labels = rows(8, 3, seed=0)
    state = tgeokd_state(student, teacher, labels)
    assert state.shape == (8, 27)
    mean = torch.stack([teacher[labels == label].mean(0) for label in labels])
    torch.testing.assert_close(state[:, 9:12], mean)
    torch.testing.assert_close(state[:, 12:15], (mean - student) ** 2)
    absent = class_mean_probs(teacher[:2], torch.tensor([0, 0]), 3)
    assert torch.isnan(absent[1:]).all()


def test_class_means_over_batches_are_those_of_the_whole_and_make_a_frame_for_a_class():
    _, teacher, labels = rows(40, 5, 0)
    means = ClassMeans(5, 5)
    for part in (slice(0, 7), slice(7, 40)):
        means.update(teacher[part], labels[part])
    torch.testing.assert_close(means.compute(), class_mean_probs(teacher, labels, 5))
    found = embed(teacher, means.compute()[labels], labels)
    for label in range(5):
        radii = found.teacher_radius[labels == label]
        torch.testing.assert_close(radii, radii[:1].expand_as(radii))


def test_class_means_need_one_label_a_row():
    with pytest.raises(ValueError, match="labels have shape"):
        ClassMeans(2, 2).update(torch.eye(2), torch.tensor([0]))


def test_small_state_holds_the_norms_of_the_full_one_and_both_networks_best_classes():
    student, teacher, labels = rows(9, 5, 3)
    full = tgeokd_state(student, teacher, labels).view(9, 9, 5)
    small = tgeokd_small_state(student, teacher, labels, top=2)
    assert small.shape == (9, 9)
    torch.testing.assert_close(small[:, :5], full[:, 4:].sum(-1).sqrt())
    for row in range(9):
        best = teacher[row].argsort(descending=True)[:2]
        assert torch.equal(small[row, 5:7], teacher[row, best])
        assert torch.equal(small[row, 7:], student[row, best])
    with pytest.raises(ValueError, match=r"`top` must lie in 1\.\.5, got 6"):
        tgeokd_small_state(student, teacher, labels, top=6)


def test_states_take_the_class_means_of_the_training_rows():
    student, teacher, labels = rows(9, 5, 3)
    means = ClassMeans(5, 5)
    means.update(*rows(50, 5, 4)[1:])
    state = tgeokd_state(student, teacher, labels, class_means=means.compute()).view(9, 9, 5)
    torch.testing.assert_close(state[:, 3], means.compute()[labels])
    own = tgeokd_state(student, teacher, labels).view(9, 9, 5)
    torch.testing.assert_close(own[:, 3], class_mean_probs(teacher, labels, 5)[labels])
