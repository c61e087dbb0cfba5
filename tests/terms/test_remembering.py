"""Terms with a memory, over several steps."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.logits import ce
from workbench.functional.soft_targets import soft_ce
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.registries import TERMS
from workbench.terms.term import Term, TermContext

SHAPES = {"stage1": (4, 3, 3), "logits": (3,)}
IDS = torch.arange(10, 16)
LABELS = torch.tensor([0, 1, 2, 0, 1, -1])


def built(name: str, **options: object) -> Term:
    kind = TERMS.get(name).model_validate({"use": name, **options})
    return kind.build(
        TermContext(
            student_shapes=lambda names: {each: SHAPES[each] for each in names},
            teacher_shapes=lambda names: {each: SHAPES[each] for each in names},
            student_stages=("stage1",),
            teacher_stages=("stage1",),
            seed=0,
            train_ids=IDS,
            train_labels=LABELS,
        )
    )


def taps(rows: int, seed: int) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    return Taps({k: torch.randn(rows, *s, generator=generator) for k, s in SHAPES.items()})


def batch(rows: slice) -> Batch:
    return Batch(IDS[rows], torch.zeros(len(IDS[rows]), 1, 3, 3), LABELS[rows])


def test_the_first_time_ps_kd_is_cross_entropy_and_then_knows_the_past():
    term = built("ps-kd")
    first, later = taps(6, 0), taps(6, 1)
    found = term(first, Taps(), batch(slice(6)), {"share": 0.8})
    known = LABELS >= 0
    torch.testing.assert_close(found.value[known], ce(first["logits"], LABELS)[known])
    torch.testing.assert_close(found.reduced(), ce(first["logits"], LABELS)[known].mean())
    again = term(later, Taps(), batch(slice(6)), {"share": 0.8}).value
    truth = torch.nn.functional.one_hot(LABELS.clamp_min(0), 3).float()
    target = 0.2 * truth + 0.8 * first["logits"].softmax(-1)
    torch.testing.assert_close(again[known], soft_ce(later["logits"], target)[known])


def test_the_past_belongs_to_the_sample_and_not_to_its_place_in_the_batch():
    term = built("ps-kd")
    first = taps(6, 0)
    term(first, Taps(), batch(slice(6)), {"share": 1.0})
    order = torch.tensor([4, 0, 2])
    asked = Batch(IDS[order], torch.zeros(3, 1, 3, 3), LABELS[order])
    now = taps(3, 5)
    found = term(now, Taps(), asked, {"share": 1.0}).value
    expected = soft_ce(now["logits"], first["logits"][order].softmax(-1))
    torch.testing.assert_close(found, expected)


def test_ps_kd_needs_no_teacher():
    term = built("ps-kd")
    assert (list(term.student_taps), list(term.target_taps)) == ([], [])
    assert "teacher.logits" not in TERMS.get("ps-kd").needs


def test_kd_plus_plus_is_0_for_a_long_embedding_in_the_direction_of_its_class():
    """The class mean of the batch itself, as the only batch ever met."""
    term = built("nd")
    teacher = taps(6, 1)
    theirs = teacher["stage1"].mean((2, 3))
    means = torch.stack([theirs[c == LABELS].mean(0) for c in range(3)])
    direction = torch.nn.functional.normalize(means[LABELS.clamp_min(0)], dim=1)
    longer = 2 * theirs.norm(dim=1).max() * direction
    student = Taps({"logits": torch.zeros(6, 3), "stage1": longer[:, :, None, None]})
    found = term(student, teacher, batch(slice(6)), {})
    torch.testing.assert_close(found.reduced(), torch.tensor(0.0), rtol=0, atol=1e-5)
    opposite = Taps({"logits": torch.zeros(6, 3), "stage1": -longer[:, :, None, None]})
    found = term(opposite, teacher, batch(slice(6)), {})
    torch.testing.assert_close(found.reduced(), torch.tensor(2.0), rtol=0, atol=1e-5)


def test_crd_draws_from_the_generator_that_training_seeds_at_every_step():
    values = []
    for seed in (1, 1, 2):
        term = built("crd", num_negatives=3)
        torch.manual_seed(seed)
        values.append(term(taps(6, 0), taps(6, 1), batch(slice(6)), {}).value.detach())
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize("name", ["crd", "ps-kd"])
def test_a_memory_has_a_row_for_each_training_row_and_no_other(name):
    module = built(name).module
    assert module is not None
    rows = {
        tensor.shape[-2] for key, tensor in module.state_dict().items() if key in ("banks", "probs")
    }
    assert rows == {6}
    assert int((module.places.row >= 0).sum()) == 6
