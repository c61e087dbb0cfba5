"""NT-Xent between a batch and its restyled copy as a term, and KD³'s hint without a projector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from workbench.errors import BadInput
from workbench.functional.contrast import nt_xent
from workbench.functional.features import disagreement_weight, hint
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.facts import ModelContext
from workbench.models.taps import Taps
from workbench.randomness import key, permutation
from workbench.registries import MODELS, TERMS
from workbench.terms import Term, TermContext

ROWS, SEED, STEP = 6, 11, 3
SHAPES = {"stage1": (3, 8, 8), "stage2": (4, 4, 4), "logits": (6,)}


def build(
    use: str = "nt-xent",
    *,
    own: Mapping[str, tuple[int, ...]] = SHAPES,
    their: Mapping[str, tuple[int, ...]] = SHAPES,
    size: tuple[int, ...] = (1, 8, 8),
    seed: int = 5,
    **options: Any,
) -> Term:
    context = TermContext(
        student_shapes=lambda names: {name: own[name] for name in names},
        teacher_shapes=lambda names: {name: their[name] for name in names},
        student_stages=("stage1", "stage2"),
        teacher_stages=("stage1", "stage2"),
        seed=seed,
        input_size=size,
    )
    return TERMS.get(use).model_validate({"use": use, **options}).build(context)


def drawn(rows: int, seed: int, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    return Taps(
        {
            name: torch.randn(rows, *shape, generator=generator).requires_grad_()
            for name, shape in shapes.items()
        }
    )


def batch_of(inputs: torch.Tensor) -> Batch:
    return Batch(torch.arange(len(inputs)), inputs, torch.full((len(inputs),), -1))


@pytest.fixture(scope="module")
def student() -> ModelAdapter:
    """A real network in evaluation mode."""
    context = ModelContext(
        channels=1, height=8, width=8, num_classes=6, mean=(0.4,), std=(0.3,), seed=1, open_run=None
    )
    model = MODELS.get("cnn-tiny").model_validate({"use": "cnn-tiny", "width": 4}).build(context)
    return model.eval()


def test_the_value_is_nt_xent_of_the_embedded_pooled_layers():
    term = build(temperature=0.2, width=16)
    taps = drawn(ROWS, 0)
    taps["styled-0.1-stage2:stage2"] = drawn(ROWS, 1)["stage2"]
    found = term(taps, Taps(), batch_of(torch.zeros(ROWS, 1, 8, 8)), {"temperature": 0.2})
    module = term.module
    assert isinstance(module, torch.nn.Linear)
    both = torch.cat([taps["stage2"], taps["styled-0.1-stage2:stage2"]]).mean((2, 3))
    embedded = (both @ module.weight.T + module.bias).detach().double().numpy()
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    near = embedded @ embedded.T / 0.2
    np.fill_diagonal(near, -np.inf)
    partner = np.r_[ROWS : 2 * ROWS, 0:ROWS]
    sums = np.log(np.exp(near).sum(1))
    expected = np.mean(sums - near[np.arange(2 * ROWS), partner])
    assert found.value.shape == ()
    assert float(found.value.detach()) == pytest.approx(expected, rel=1e-5)
    found.reduced().backward()
    for tensor in (module.weight, taps["stage2"], taps["styled-0.1-stage2:stage2"]):
        assert torch.count_nonzero(tensor.grad) > 0
    assert taps["logits"].grad is None


def test_an_image_of_the_same_style_for_all_is_found_at_once():
    """Equal views leave their own partner at cosine 1, and others at less."""
    term = build()
    taps = drawn(ROWS, 0)
    taps["styled-0.1-stage2:stage2"] = taps["stage2"]
    batch = batch_of(torch.zeros(ROWS, 1, 8, 8))
    same = term(taps, Taps(), batch, {"temperature": 0.05}).reduced()
    taps["styled-0.1-stage2:stage2"] = taps["stage2"].roll(1, 0)
    other = term(taps, Taps(), batch, {"temperature": 0.05}).reduced()
    assert float(same.detach()) < math.log(2 * ROWS - 1) < float(other.detach())


def test_the_other_view_is_the_batch_in_the_styles_of_drawn_partners(student):
    term = build(own={"stage1": (4, 8, 8), "stage2": (8, 4, 4), "logits": (6,)})
    (view,) = term.views
    inputs = torch.rand(ROWS, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        seen = view(student, batch_of(inputs), SEED, STEP)["stage2"]
        draws = np.random.Generator(np.random.Philox(key(SEED, "style", STEP)))
        ratio = torch.from_numpy(draws.beta(0.1, 0.1, ROWS)).float().view(-1, 1, 1, 1)
        partner = permutation(key(SEED, "style"), "partner", STEP, ROWS)
        mean, spread = inputs.mean((2, 3), keepdim=True), inputs.var((2, 3), keepdim=True).sqrt()
        restyled = (inputs - mean) / spread * (ratio * spread + (1 - ratio) * spread[partner])
        restyled = restyled + ratio * mean + (1 - ratio) * mean[partner]
        expected = student.taps(restyled, ["stage2"])["stage2"]
        torch.testing.assert_close(seen, expected, rtol=1e-3, atol=1e-4)
        again = view(student, batch_of(inputs), SEED, STEP)["stage2"]
        later = view(student, batch_of(inputs), SEED, STEP + 1)["stage2"]
    assert torch.equal(seen, again)
    assert not torch.allclose(seen, later)


def test_two_terms_on_different_layers_do_not_take_each_others_view():
    names = [build(student_tap=tap).views[0].name for tap in ("stage1", "stage2", "last")]
    assert names == ["styled-0.1-stage1", "styled-0.1-stage2", "styled-0.1-stage2"]
    assert build(concentration=0.3).views[0].name == "styled-0.3-stage2"


def test_its_map_follows_the_seed_and_a_teacher_has_no_part_in_it():
    one, same, other = build(seed=1), build(seed=1), build(seed=2)
    assert torch.equal(one.module.weight, same.module.weight)
    assert not torch.equal(one.module.weight, other.module.weight)
    assert list(one.target_taps) == []
    assert TERMS.get("nt-xent").pull != "teacher"


def test_table_rows_have_no_style():
    with pytest.raises(BadInput, match=r"nt-xent: needs images; the student sees \(30,\)"):
        build(size=(30,))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"concentration": 0.0}, "concentration"),
        ({"width": 0}, "width"),
    ],
)
def test_what_is_out_of_bounds_is_refused(options, field):
    with pytest.raises(ValueError, match=field):
        TERMS.get("nt-xent").model_validate({"use": "nt-xent", **options})


def test_without_a_projector_kd3_compares_the_layers_as_they_are():
    term = build("kd3", projector="none")
    assert term.module is None
    own, their = drawn(ROWS, 0), drawn(ROWS, 1)
    found = term(own, their, batch_of(torch.zeros(ROWS, 1, 8, 8)), {}).value
    weight = disagreement_weight(own["logits"], their["logits"])
    torch.testing.assert_close(found, weight * hint(own["stage2"], their["stage2"]))


def test_without_a_projector_the_coarser_grid_counts_and_widths_must_agree():
    fine = {**SHAPES, "stage2": (4, 8, 8)}
    term = build("kd3", projector="none", their=fine)
    own, their = drawn(ROWS, 0), drawn(ROWS, 1, fine)
    found = term(own, their, batch_of(torch.zeros(ROWS, 1, 8, 8)), {}).value
    coarse = torch.nn.functional.avg_pool2d(their["stage2"], 2)
    weight = disagreement_weight(own["logits"], their["logits"])
    torch.testing.assert_close(found, weight * hint(own["stage2"], coarse))
    wide = {**SHAPES, "stage2": (7, 4, 4)}
    said = r"kd3: `projector` is none.*stage2 has 4 channels.*stage2 has 7\..*borrowed-head"
    with pytest.raises(BadInput, match=said):
        build("kd3", projector="none", their=wide)


def test_nt_xent_of_one_row_is_0_since_nobody_else_is_there():
    one = torch.ones(1, 4)
    assert float(nt_xent(one, -one)) == 0.0
