"""Law 1, over every registered term: a weighted mean over valid units, summed with its weight.

That values do not depend on company: ``test_every_term.py``. Laws 2 to 6: ``tests/test_laws.py``.
"""

from __future__ import annotations

import pytest
import torch

from workbench.registries import TERMS
from workbench.training.knobs import Knobs
from workbench.training.objective import Objective, WiredTerm

from . import test_every_term as made_up


@pytest.mark.parametrize("name", TERMS.names())
def test_a_term_is_the_weighted_mean_over_its_valid_units(name):
    """In float64 by hand; units without weight do not count whatever their value is."""
    term, values = made_up.build(name)
    labels = [0, -1, 2, 3, -1, 1]
    student, teacher = made_up.taps(made_up.STUDENT, 6, 0), made_up.taps(made_up.TEACHER, 6, 1)
    found = term(student, teacher, made_up.batch_of(6, labels=labels), values)
    value = found.value.detach().double().reshape(-1)
    weight = torch.ones_like(value) if found.weight is None else found.weight.double()
    assert value.shape == weight.shape and bool((weight >= 0).all())
    expected = (value * weight).where(weight > 0, 0.0).sum() / weight.sum()
    assert float(found.reduced().detach()) == pytest.approx(float(expected), rel=1e-5)
    broken = found._replace(value=found.value.detach().where(weight > 0, float("nan")).float())
    if found.weight is not None:
        assert float(broken.reduced()) == pytest.approx(float(expected), rel=1e-5)
    for log in getattr(term, "logs", ()):
        assert found.log[log].shape == found.value.shape and not found.log[log].requires_grad


@pytest.mark.parametrize("name", sorted(set(TERMS.names()) - made_up.SETS - set(made_up.COMPANY)))
def test_what_a_sample_counts_is_the_same_in_any_batch(name):
    """Value and weight, with labels withheld; the values alone are tested among the terms."""
    labels = torch.tensor([0, -1, 2, 3, -1, 1])
    student, teacher = made_up.taps(made_up.STUDENT, 6, 0), made_up.taps(made_up.TEACHER, 6, 1)

    def counted(rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        term, values = made_up.build(name)
        own, their = (
            type(student)({key: tensor.detach()[rows] for key, tensor in one.items()})
            for one in (student, teacher)
        )
        batch = made_up.batch_of(6)
        part = type(batch)(batch.ids[rows], batch.inputs[rows], labels[rows])
        found = term(own, their, part, values)
        weight = torch.ones(len(rows)) if found.weight is None else found.weight.float()
        return (found.value.detach() * weight).where(weight > 0, 0.0), weight

    whole, weights = counted([0, 1, 2, 3, 4, 5])
    for rows in ([1], [5, 0], [4, 3, 2, 1]):
        value, weight = counted(rows)
        torch.testing.assert_close(value, whole[rows], rtol=1e-5, atol=1e-5)
        assert torch.equal(weight, weights[rows])


def test_the_stages_loss_is_the_sum_of_weight_times_term():
    weights = {name: 0.1 * (number + 1) for number, name in enumerate(TERMS.names())}
    student, teacher = made_up.taps(made_up.STUDENT, 6, 0), made_up.taps(made_up.TEACHER, 6, 1)
    wired, numbers, alone = [], {}, []
    for name, weight in weights.items():
        term, values = made_up.build(name)
        paths = {key: f"{name}.{key}" for key in values}
        wired.append(WiredTerm(name, term, f"{name}.weight", paths))
        numbers |= {f"{name}.weight": weight, **{paths[key]: values[key] for key in values}}
        fresh, _ = made_up.build(name)
        torch.manual_seed(1)
        found = fresh(student, teacher, made_up.batch_of(6), values).reduced().detach()
        alone.append(weight * float(found))
    torch.manual_seed(1)
    with torch.no_grad():
        whole = Objective(wired, Knobs(numbers, 10))(student, teacher, made_up.batch_of(6), 0)
    drawn = {"crd", "nd"}  # negatives and dropout follow what was drawn before
    for name, mine, theirs in zip(weights, alone, whole.weighted, strict=True):
        if name not in drawn:
            assert float(theirs) == pytest.approx(mine, rel=1e-5), name
    total = sum(float(part) for part in whole.weighted)
    assert float(whole.total) == pytest.approx(total, rel=1e-5)
