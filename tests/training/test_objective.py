"""The sum of terms, and what it says when it is no number any more."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import NonFiniteLoss
from workbench.functional import LOSSES
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.specs.values import Ramp
from workbench.terms.losses import LossModule
from workbench.training.knobs import Knobs
from workbench.training.objective import Objective, WiredTerm, refuse_non_finite


@pytest.fixture
def objective() -> Objective:
    knobs = Knobs(
        {"kd.weight": Ramp(use="linear", start=0.0, end=1.0), "kd.t": 4.0, "ce.weight": 0.1}, 11
    )
    kd = WiredTerm("kd", LossModule(LOSSES["kd"], {}, None), "kd.weight", {"temperature": "kd.t"})
    return Objective(
        [kd, WiredTerm("ce", LossModule(LOSSES["ce"], {}, None), "ce.weight", {})], knobs
    )


@pytest.fixture
def scene():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(6, 10, generator=generator).requires_grad_()
    teacher = torch.randn(6, 10, generator=generator)
    labels = torch.tensor([1, -1, 3, -1, 5, 6])
    batch = Batch(torch.arange(10, 16), torch.zeros(6, 1, 8, 8), labels)
    return Taps({"logits": student}), Taps({"logits": teacher}), batch


@pytest.mark.parametrize("step", [0, 4, 10])
def test_the_loss_is_the_sum_of_weight_times_term_at_this_step(objective, scene, step):
    student, teacher, batch = scene
    found = objective(student, teacher, batch, step)
    weight = step / 10
    kd = LOSSES["kd"].function(student["logits"], teacher["logits"], temperature=4.0).mean()
    known = batch.labels >= 0
    ce = torch.nn.functional.cross_entropy(student["logits"][known], batch.labels[known])
    torch.testing.assert_close(found.total, weight * kd + 0.1 * ce)
    torch.testing.assert_close(found.row()[1:], torch.stack([weight * kd, 0.1 * ce]).detach())
    torch.testing.assert_close(found.row()[0], found.total.detach())
    assert not found.row().requires_grad
    assert found.numbers() == found.row().tolist()


def test_a_good_loss_passes(objective, scene):
    refuse_non_finite(objective(*scene, 3), scene[2], objective.names, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_sample_is_named_with_its_term_and_step(objective, scene, value):
    student, teacher, batch = scene
    teacher["logits"][[1, 4], 0] = value
    found = objective(student, teacher, batch, 7)
    with pytest.raises(NonFiniteLoss) as caught:
        refuse_non_finite(found, batch, objective.names, 7)
    message = str(caught.value)
    assert "[WB201] The loss became" in message
    assert "at step 7, first in the term 'kd'. Sample ids: 11, 14." in message
    assert "The last good checkpoint is kept" in message


def test_of_many_bad_samples_five_are_named_and_the_rest_counted(objective, scene):
    student, _, batch = scene
    broken = Taps({"logits": student["logits"].detach() * float("nan")})
    with pytest.raises(NonFiniteLoss, match=r"Sample ids: 10, 11, 12, 13, 14 \(6 in all\)\."):
        refuse_non_finite(objective(broken, scene[1], batch, 5), batch, objective.names, 5)


def test_a_row_whose_label_is_withheld_is_not_blamed_by_a_term_of_labels(scene):
    student, teacher, batch = scene
    ce = WiredTerm("ce", LossModule(LOSSES["ce"], {}, None), "w", {})
    objective = Objective([ce], Knobs({"w": 1.0}, 10))
    logits = student["logits"].detach().clone()
    logits[[0, 1]] = float("nan")  # row 1 has no label
    found = objective(Taps({"logits": logits}), teacher, batch, 2)
    with pytest.raises(NonFiniteLoss, match=r"Sample ids: 10\. The last"):
        refuse_non_finite(found, batch, objective.names, 2)


def test_knobs_say_their_numbers_by_address(objective):
    assert objective.knobs.now(5) == {"kd.weight": 0.5, "kd.t": 4.0, "ce.weight": 0.1}
    assert Knobs({"a": 0.0}, 5).is_constant_zero("a")
    assert not objective.knobs.is_constant_zero("kd.weight")
