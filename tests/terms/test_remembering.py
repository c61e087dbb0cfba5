"""Terms with a memory, over several steps."""

from __future__ import annotations

import torch

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


def test_a_memory_has_a_row_for_each_training_row_and_no_other():
    module = built("crd").module
    assert module is not None
    assert module.state_dict()["banks"].shape[-2] == 6
    assert int((module.places.row >= 0).sum()) == 6
