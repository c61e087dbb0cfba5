"""Laws of every registered term, on the taps of real networks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from workbench.errors import BadInput
from workbench.functional import LOSSES
from workbench.models.batch import UNLABELLED, Batch
from workbench.models.taps import Taps
from workbench.registries import TERMS
from workbench.terms.losses import OF_POSITIONS, FeatureTerm, LossTerm
from workbench.terms.term import TermContext, TermKind, TermValue

K = 5
STUDENT = {
    "logits": (K,),
    "stage1": (4, 6, 6),
    "stage2": (6, 3, 3),
    "flat": (7,),
    "tokens": (10, 8),
}
TEACHER = {
    "logits": (K,),
    "stage1": (5, 8, 8),
    "stage2": (9, 4, 4),
    "flat": (11,),
    "tokens": (17, 8),
}
NAMES = [name for name, kind in TERMS.items() if issubclass(kind, LossTerm)]
CONTEXT = TermContext(
    student_shapes=lambda names: {name: STUDENT[name] for name in names},
    teacher_shapes=lambda names: {name: TEACHER[name] for name in names},
    student_stages=("stage1", "stage2"),
    teacher_stages=("stage1", "stage2"),
    seed=3,
)


def kind_of(name: str, **options: Any) -> TermKind:
    return TERMS.get(name).model_validate({"use": name, **options})


def taps(shapes: dict[str, tuple[int, ...]], rows: int, seed: int) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    return Taps(
        {
            name: torch.randn(rows, *shape, generator=generator).requires_grad_()
            for name, shape in shapes.items()
        }
    )


def batch_of(rows: int, *, unlabelled: tuple[int, ...] = ()) -> Batch:
    labels = torch.arange(rows) % K
    labels[list(unlabelled)] = UNLABELLED
    return Batch(torch.arange(rows), torch.zeros(rows, 1, 8, 8), labels)


def values_of(kind: TermKind) -> dict[str, float]:
    return {name: float(value) for name, value in kind.knobs().items()}


def evaluate(name: str, student: Taps, teacher: Taps, batch: Batch, **options: Any) -> TermValue:
    kind = kind_of(name, **options)
    return kind.build(CONTEXT)(student, teacher, batch, values_of(kind))


def some(taken: Taps, rows: list[int]) -> Taps:
    return Taps({name: tensor.detach()[rows].requires_grad_() for name, tensor in taken.items()})


# Law 1: the reduction


@pytest.mark.parametrize("name", NAMES)
def test_a_term_is_the_weighted_mean_over_its_valid_units(name):
    found = evaluate(name, taps(STUDENT, 8, 0), taps(TEACHER, 8, 1), batch_of(8, unlabelled=(2, 5)))
    weight = torch.ones_like(found.value) if found.weight is None else found.weight
    expected = (found.value.double() * weight).sum() / weight.sum()
    torch.testing.assert_close(found.reduced().double(), expected, rtol=1e-6, atol=1e-7)
    assert found.reduced().shape == ()


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].per_sample])
def test_a_per_sample_term_gives_each_sample_the_same_value_in_any_batch(name):
    student, teacher = taps(STUDENT, 8, 0), taps(TEACHER, 8, 1)
    batch = batch_of(8)
    whole = evaluate(name, student, teacher, batch).value
    assert whole.shape == (8,)
    for rows in ([3], [0, 1], [7, 2, 5], [6, 5, 4, 3, 2, 1, 0, 7]):
        part = Batch(batch.ids[rows], batch.inputs[rows], batch.labels[rows])
        alone = evaluate(name, some(student, rows), some(teacher, rows), part).value
        torch.testing.assert_close(alone, whole[rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not LOSSES[name].per_sample and name != "cc"]
)
def test_a_set_statistic_does_not_depend_on_the_order_and_is_one_number(name):
    student, teacher = taps(STUDENT, 8, 0), taps(TEACHER, 8, 1)
    rows = [4, 2, 7, 0, 1, 6, 3, 5]
    batch = batch_of(8)
    mixed = Batch(batch.ids[rows], batch.inputs[rows], batch.labels[rows])
    one = evaluate(name, student, teacher, batch).value
    other = evaluate(name, some(student, rows), some(teacher, rows), mixed).value
    assert one.shape == ()
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_cc_compares_neighbours_so_it_depends_on_the_order_as_it_says():
    student, teacher = taps(STUDENT, 8, 0), taps(TEACHER, 8, 1)
    rows = [4, 2, 7, 0, 1, 6, 3, 5]
    one = evaluate("cc", student, teacher, batch_of(8)).value
    other = evaluate("cc", some(student, rows), some(teacher, rows), batch_of(8)).value
    assert not torch.allclose(one, other, rtol=1e-3)
    assert "order" in LOSSES["cc"].summary


@pytest.mark.parametrize("name", [name for name in NAMES if "labels" in LOSSES[name].needs])
def test_without_a_valid_unit_a_term_is_exactly_zero_with_a_gradient_of_zero(name):
    student = taps(STUDENT, 4, 0)
    found = evaluate(name, student, taps(TEACHER, 4, 1), batch_of(4, unlabelled=(0, 1, 2, 3)))
    assert found.reduced().item() == 0.0
    found.reduced().backward()
    assert torch.count_nonzero(student["logits"].grad) == 0
    assert torch.isfinite(student["logits"].grad).all()


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].min_samples > 1])
def test_a_batch_too_small_for_a_statistic_counts_as_no_valid_unit(name):
    rows = LOSSES[name].min_samples - 1
    student = taps(STUDENT, rows, 0)
    found = evaluate(name, student, taps(TEACHER, rows, 1), batch_of(rows))
    assert found.reduced().item() == 0.0
    found.reduced().backward()
    assert torch.count_nonzero(student["logits"].grad) == 0
    enough = evaluate(
        name, taps(STUDENT, rows + 1, 0), taps(TEACHER, rows + 1, 1), batch_of(rows + 1)
    )
    assert torch.isfinite(enough.reduced())


@pytest.mark.parametrize("name", [name for name in NAMES if "labels" in LOSSES[name].needs])
def test_a_row_without_label_never_matters_to_a_term_of_labels(name):
    student, teacher = taps(STUDENT, 6, 0), taps(TEACHER, 6, 1)
    hidden = batch_of(6, unlabelled=(1, 4))
    found = evaluate(name, student, teacher, hidden).reduced()
    found.backward()
    wild = Taps({key: tensor.detach().clone() for key, tensor in student.items()})
    wild["logits"][[1, 4]] = 1e4
    again = evaluate(name, wild, teacher, hidden).reduced()
    torch.testing.assert_close(again, found, rtol=1e-6, atol=1e-7)
    assert torch.count_nonzero(student["logits"].grad[[1, 4]]) == 0
    seen = [0, 2, 3, 5]
    part = Batch(hidden.ids[seen], hidden.inputs[seen], hidden.labels[seen])
    alone = evaluate(name, some(student, seen), some(teacher, seen), part).reduced()
    torch.testing.assert_close(alone, found, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in NAMES if "labels" not in LOSSES[name].needs])
def test_a_term_that_needs_no_label_counts_every_row(name):
    student, teacher = taps(STUDENT, 6, 0), taps(TEACHER, 6, 1)
    hidden = evaluate(name, student, teacher, batch_of(6, unlabelled=(0, 1, 2, 3, 4, 5)))
    shown = evaluate(name, student, teacher, batch_of(6))
    torch.testing.assert_close(hidden.reduced(), shown.reduced(), rtol=0, atol=0)


# Gradients


@pytest.mark.parametrize("name", NAMES)
def test_the_student_gets_a_gradient_and_the_teacher_none(name):
    student, teacher = taps(STUDENT, 8, 0), taps(TEACHER, 8, 1)
    evaluate(name, student, teacher, batch_of(8)).reduced().backward()
    got = {key for key, tensor in student.items() if tensor.grad is not None}
    assert got == ({"stage2"} if issubclass(TERMS.get(name), FeatureTerm) else {"logits"})
    (key,) = got
    assert torch.isfinite(student[key].grad).all()
    assert torch.count_nonzero(student[key].grad) > 0
    assert all(tensor.grad is None for tensor in teacher.values())


@pytest.mark.parametrize("name", [name for name in NAMES if LOSSES[name].pull == "teacher"])
def test_a_step_down_the_gradient_brings_the_student_nearer(name):
    student, teacher = taps(STUDENT, 16, 0), taps(TEACHER, 16, 1)
    kind = kind_of(name)
    term, batch = kind.build(CONTEXT), batch_of(16)
    before = term(student, teacher, batch, values_of(kind)).reduced()
    before.backward()
    steps = [tensor for tensor in student.values() if tensor.grad is not None]
    with torch.no_grad():
        scale = 1e-2 / max(float(tensor.grad.norm()) for tensor in steps)
        for tensor in steps:
            tensor -= scale * tensor.grad
    assert term(student, teacher, batch, values_of(kind)).reduced() < before


# Layers of different networks


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(TERMS.get(n), FeatureTerm)])
@pytest.mark.parametrize(
    "taps_of",
    [
        ("stage1", "stage2"),
        ("flat", "stage1"),
        ("tokens", "stage2"),
        ("stage2", "tokens"),
        ("tokens", "tokens"),
        ("flat", "flat"),
    ],
)
def test_any_layer_can_be_compared_with_any_other(name, taps_of):
    mine, theirs = taps_of
    if name in OF_POSITIONS and "flat" in taps_of:
        with pytest.raises(BadInput, match=f"{name}: compares positions.*share one only"):
            kind_of(name, student_tap=mine, teacher_tap=theirs).build(CONTEXT)
        return
    found = evaluate(
        name, taps(STUDENT, 8, 0), taps(TEACHER, 8, 1), batch_of(8),
        student_tap=mine, teacher_tap=theirs,
    )  # fmt: skip
    assert torch.isfinite(found.reduced())


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(TERMS.get(n), FeatureTerm)])
def test_a_feature_term_reads_the_last_stages_unless_told(name):
    built = kind_of(name).build(CONTEXT)
    assert (list(built.student_taps), list(built.target_taps)) == (["stage2"], ["stage2"])
    told = kind_of(name, student_tap="stage1", teacher_tap="tokens").build(CONTEXT)
    assert (list(told.student_taps), list(told.target_taps)) == (["stage1"], ["tokens"])


def test_the_hint_is_the_squared_gap_after_its_projector():
    """FitNets' loss by hand, in numpy."""
    student, teacher = taps(STUDENT, 4, 0), taps(TEACHER, 4, 1)
    kind = kind_of("hint", student_tap="flat", teacher_tap="flat")
    term = kind.build(CONTEXT)
    found = term(student, teacher, batch_of(4), values_of(kind)).reduced().detach()
    weight = term.module.convolution.weight.detach().double().numpy()[:, :, 0, 0]
    bias = term.module.convolution.bias.detach().double().numpy()
    gap = student["flat"].detach().double().numpy() @ weight.T + bias
    gap -= teacher["flat"].detach().double().numpy()
    assert float(found) == pytest.approx(float(np.square(gap).mean()), rel=1e-5)


def test_a_projectors_start_is_a_function_of_its_seed():
    first, again = kind_of("hint").build(CONTEXT), kind_of("hint").build(CONTEXT)
    torch.manual_seed(99)
    third = kind_of("hint").build(CONTEXT)
    for built in (again, third):
        assert torch.equal(first.module.convolution.weight, built.module.convolution.weight)
    other = kind_of("hint").build(replace(CONTEXT, seed=4))
    assert not torch.equal(first.module.convolution.weight, other.module.convolution.weight)


# What a kind says of itself


@pytest.mark.parametrize("name", NAMES)
def test_a_term_says_what_it_is_and_its_defaults_lie_within_its_bounds(name):
    kind = kind_of(name)
    loss = LOSSES[name]
    assert (kind.summary, kind.paper, kind.pull) == (loss.summary, loss.paper, loss.pull)
    assert kind.weight == 1.0
    for parameter, bounds in kind.live.items():
        assert bounds.allow(getattr(kind, parameter)), parameter
        assert getattr(kind, parameter) == loss.defaults[parameter]
    assert set(kind.live) | set(kind.fixed) == set(loss.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_a_value_lies_within_the_bounds_that_its_axis_is_drawn_to(name):
    loss = LOSSES[name]
    for seed in range(4):
        found = evaluate(name, taps(STUDENT, 12, seed), taps(TEACHER, 12, seed + 50), batch_of(12))
        value = found.value.detach()
        if loss.lower_bound is not None:
            assert float(value.min()) >= loss.lower_bound - 1e-5
        if loss.upper_bound is not None:
            assert float(value.max()) <= loss.upper_bound + 1e-5


def test_listing_the_terms_loads_no_torch():
    code = (
        "import sys\nfrom workbench.registries import TERMS\n"
        "print([k.summary for _, k in TERMS.items()] != [], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
