"""Laws that hold for every registered term, learned or not, in float32 on made-up networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from workbench.errors import BadInput
from workbench.functional import LOSSES
from workbench.models.batch import UNLABELLED, Batch
from workbench.models.taps import Taps
from workbench.models.weights import weights_hash
from workbench.registries import TERMS
from workbench.terms import Term, TermContext, TermKind, TermValue

from ..examples import IMAGE, TOKENS, VIEWS, kept_patches, term_data

K = 5
NUM_ROWS = 40
STUDENT = {"stage1": (4, 8, 8), "stage2": (6, 4, 4), "logits": (K,), **TOKENS, **VIEWS}
TEACHER = {"stage1": (3, 8, 8), "stage2": (5, 6, 6), "stage3": (9, 3, 3), "logits": (K,), **TOKENS}
KINDS: dict[str, type[TermKind]] = dict(TERMS.items())
NAMES = sorted(KINDS)
OF_LABELS = [name for name in NAMES if "labels" in KINDS[name].needs and name != "mix"]
SETS = {name for name, loss in LOSSES.items() if not loss.per_sample} | {"nt-xent"}
COMPANY = {
    "crd": "its scale comes from the first batch, its negatives are drawn",
    "kd3": "batch norm", "reviewkd": "batch norm", "transkd": "batch norm",
    "ofa-stages": "batch norm", "nd": "dropout and batch norm where widths differ",
}  # fmt: skip
"""Terms whose value of a sample depends on the others of its batch, and why."""
BOUNDED = {"dist", "generalized-jsd", "kd3", "lskd", "lskd-dkd"}
"""Terms of both networks' scores that a wide gap does not make large, by design."""
MEMORY = {"crd", "nd"}


def context(**changes: Any) -> TermContext:
    ids = torch.arange(100, 100 + NUM_ROWS)
    made = TermContext(
        student_shapes=lambda names: {name: STUDENT[name] for name in names},
        teacher_shapes=lambda names: {name: TEACHER[name] for name in names},
        student_stages=("stage1", "stage2"),
        teacher_stages=("stage1", "stage2", "stage3"),
        seed=7,
        train_ids=ids,
        train_labels=torch.where(ids % 4 > 0, ids % K, UNLABELLED),
        input_size=IMAGE,
    )
    return replace(made, **changes)


def build(name: str, **options: Any) -> tuple[Term, dict[str, float]]:
    kind = KINDS[name].model_validate(term_data(name, **options))
    return kind.build(context()), {key: float(value) for key, value in kind.knobs().items()}


def taps(
    shapes: dict[str, tuple[int, ...]], rows: int, seed: int, *, scale: float = 1.0, **dtype: Any
) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        name: (scale * torch.randn(rows, *shape, generator=generator)).to(**dtype).requires_grad_()
        for name, shape in shapes.items()
    }
    return Taps({**drawn, "masked-0.75:keep": kept_patches(rows)})


def batch_of(rows: int, *, labels: list[int] | None = None, start: int = 0) -> Batch:
    ids = torch.arange(100 + start, 100 + start + rows)
    truth = ids % K if labels is None else torch.tensor(labels)
    return Batch(ids, torch.zeros(rows, 1, 8, 8), truth)


def checked(
    term: Term, values: dict[str, float], student: Taps, teacher: Taps, batch: Batch
) -> TermValue:
    """One step forward and back: everything finite, the teacher untouched."""
    torch.manual_seed(0)
    found = term(student, teacher, batch, values)
    total = found.reduced()
    assert torch.isfinite(total), "the value is not finite"
    assert {*found.log} == {*getattr(term, "logs", ())}, "what is logged is what is declared"
    for key, logged in found.log.items():
        assert logged.shape == (len(batch.ids),) and not logged.requires_grad, key
    total.backward()
    for key, tensor in student.items():
        if tensor.grad is not None:
            assert torch.isfinite(tensor.grad).all(), f"the gradient of {key} is not finite"
    assert all(tensor.grad is None for tensor in teacher.values())
    if term.module is not None:
        for key, parameter in term.module.named_parameters():
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {key}"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_logit_gaps_of_240_give_a_finite_value_and_gradient(name):
    term, values = build(name)
    student, teacher = taps(STUDENT, 6, 0), taps(TEACHER, 6, 1)
    with torch.no_grad():
        for who, sign in ((student, 1), (teacher, -1)):
            who["logits"][:] = sign * torch.tensor([120.0, -120.0, 0.0, 60.0, -60.0])
    found = checked(term, values, student, teacher, batch_of(6))
    reads_logits = {"student.logits", "teacher.logits"} <= set(KINDS[name].needs)
    if reads_logits and name not in BOUNDED:
        assert float(found.reduced().detach()) > 1, "such a gap must not be cheap"


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_of_exactly_0_and_1_give_a_finite_value_and_gradient(name):
    """In float32 a gap of 240 is certainty; here both networks are certain, of the same class."""
    term, values = build(name)
    student, teacher = taps(STUDENT, 6, 0), taps(TEACHER, 6, 1)
    with torch.no_grad():
        for who in (student, teacher):
            who["logits"][:] = torch.tensor([240.0, 0.0, 0.0, 0.0, 0.0])
    assert float(student["logits"].detach().softmax(1)[0, 1]) == 0.0
    checked(term, values, student, teacher, batch_of(6))


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e3])
@pytest.mark.parametrize("name", NAMES)
def test_features_of_any_scale_give_a_finite_value_and_gradient(name, scale):
    if name == "cka" and scale == 0.0:
        pytest.skip("CKA of a constant layer is undefined; it says so by NaN")
    term, values = build(name)
    checked(term, values, taps(STUDENT, 6, 0, scale=scale), taps(TEACHER, 6, 1), batch_of(6))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_gives_a_finite_value_and_gradient(name):
    term, values = build(name)
    checked(term, values, taps(STUDENT, 1, 0), taps(TEACHER, 1, 1), batch_of(1))


@pytest.mark.parametrize("name", NAMES)
def test_one_class_alone_gives_a_finite_value_and_gradient(name):
    term, values = build(name)
    checked(term, values, taps(STUDENT, 6, 0), taps(TEACHER, 6, 1), batch_of(6, labels=[2] * 6))


@pytest.mark.parametrize("name", NAMES)
def test_with_every_label_withheld_the_value_is_finite_and_of_labels_exactly_0(name):
    term, values = build(name)
    student = taps(STUDENT, 6, 0)
    hidden = batch_of(6, labels=[UNLABELLED] * 6)
    found = checked(term, values, student, taps(TEACHER, 6, 1), hidden)
    if name in OF_LABELS:
        assert float(found.reduced().detach()) == 0.0
        grads = [tensor.grad for tensor in student.values() if tensor.grad is not None]
        assert all(torch.count_nonzero(grad) == 0 for grad in grads)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_computed_in_float32(name):
    """A projector keeps float32 weights, as under autocast; so only its inputs are half."""
    term, values = build(name)
    half = torch.bfloat16 if term.module is None or name in ("meal-v2", "mix") else torch.float32
    student, teacher = taps(STUDENT, 6, 0, dtype=half), taps(TEACHER, 6, 1, dtype=half)
    found = checked(term, values, student, teacher, batch_of(6))
    assert found.value.dtype == torch.float32
    full, others = build(name)
    wide = [
        Taps({k: v.detach().float() if v.is_floating_point() else v for k, v in one.items()})
        for one in (student, teacher)
    ]
    torch.manual_seed(0)
    same = full(*wide, batch_of(6), others)
    torch.testing.assert_close(found.reduced(), same.reduced(), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", sorted(set(NAMES) - SETS - set(COMPANY)))
def test_each_sample_has_the_same_value_in_any_order_and_any_batch(name):
    student, teacher, batch = taps(STUDENT, 8, 0), taps(TEACHER, 8, 1), batch_of(8)
    term, values = build(name)
    whole = term(student, teacher, batch, values).value
    assert whole.shape == (8,)
    for rows in ([3], [0, 1], [7, 2, 5], [6, 5, 4, 3, 2, 1, 0, 7]):
        again, values = build(name)
        part = Batch(batch.ids[rows], batch.inputs[rows], batch.labels[rows])
        own, their = (
            Taps({key: tensor.detach()[rows] for key, tensor in one.items()})
            for one in (student, teacher)
        )
        alone = again(own, their, part, values).value
        torch.testing.assert_close(alone, whole[rows], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(COMPANY))
def test_a_value_that_depends_on_company_has_one_entry_a_sample_all_the_same(name):
    term, values = build(name)
    found = term(taps(STUDENT, 8, 0), taps(TEACHER, 8, 1), batch_of(8), values)
    assert found.value.shape == (8,)


@pytest.mark.parametrize("name", NAMES)
def test_one_step_is_a_function_of_the_seed_and_of_the_state_before(name):
    """Two builds agree bit for bit, before and after a step; the random state is left alone."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, values = build(name)
    assert torch.equal(torch.get_rng_state(), before), "building drew from torch's generator"
    torch.manual_seed(2)
    other, _ = build(name)
    results = []
    for term in (one, other):
        torch.manual_seed(3)
        for step in range(2):
            student, teacher = taps(STUDENT, 6, step), taps(TEACHER, 6, 9 + step)
            found = term(student, teacher, batch_of(6, start=6 * step), values)
        results.append(found.reduced().detach())
    assert torch.equal(*results)
    if one.module is not None and other.module is not None:
        assert weights_hash(one.module) == weights_hash(other.module)


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_term_goes_on_with_the_same_bits(name):
    """The learned part and the memory are all there is: a checkpoint of them is enough."""
    term, values = build(name)
    if term.module is None:
        return
    for step in range(2):
        torch.manual_seed(step)
        student, teacher = taps(STUDENT, 6, step), taps(TEACHER, 6, 9 + step)
        term(student, teacher, batch_of(6, start=6 * step), values)
    saved = {key: tensor.clone() for key, tensor in term.module.state_dict().items()}
    fresh, _ = build(name)
    assert fresh.module is not None
    fresh.module.load_state_dict(saved)
    results = []
    for each in (term, fresh):
        torch.manual_seed(5)
        student, teacher = taps(STUDENT, 6, 3), taps(TEACHER, 6, 12)
        results.append(each(student, teacher, batch_of(6, start=3), values).reduced().detach())
    assert torch.equal(*results)


@pytest.mark.parametrize("name", sorted(MEMORY))
def test_a_memory_is_in_the_checkpoint_and_changes_with_a_step(name):
    term, values = build(name)
    assert term.module is not None
    buffers = {key for key, _ in term.module.named_buffers()} & set(term.module.state_dict())
    before = {key: tensor.clone() for key, tensor in term.module.state_dict().items()}
    term(taps(STUDENT, 6, 0), taps(TEACHER, 6, 1), batch_of(6), values)
    after = term.module.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in buffers)


def test_a_memory_of_rows_names_what_it_lacks():
    kind = KINDS["crd"].model_validate({"use": "crd"})
    with pytest.raises(BadInput, match=r"crd: remembers every training row.*train_ids"):
        kind.build(context(train_ids=None))


@pytest.mark.parametrize("name", NAMES)
def test_every_term_says_what_it_is_needs_and_bears(name):
    kind = KINDS[name]
    assert kind.summary.endswith(".") and len(kind.summary) < 100
    assert any(mark in kind.paper for mark in ("arXiv:", "19", "20"))
    assert kind.pull in ("teacher", "labels")
    for field, info in kind.model_fields.items():
        if field not in ("use", "weight"):
            assert info.description, f"{name}.{field} has no help text"
    for live, bounds in kind.live.items():
        assert bounds.allow(kind.model_fields[live].default)


def test_there_are_at_least_35_terms():
    assert len(NAMES) >= 35
