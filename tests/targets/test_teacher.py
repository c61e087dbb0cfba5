"""What the frozen teacher answers, looked up or asked again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.data.images import build_data
from workbench.models.facts import ModelContext
from workbench.models.weights import weights_hash
from workbench.registries import DATA, MODELS
from workbench.targets import teacher as teacher_module
from workbench.targets.teacher import FrozenTeacher


@pytest.fixture
def data():
    spec = DATA.get("digits").model_validate({"use": "digits", "limit": 200})
    return build_data(spec, base=Path.cwd(), seed=0)


@pytest.fixture
def model(data):
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=0, open_run=None)
    spec = MODELS.get("timm/test_resnet").model_validate(
        {"use": "timm/test_resnet", "drop_rate": 0.5}
    )
    return spec.build(context).train()


def filled(data, model, taps=()) -> tuple[FrozenTeacher, list[float]]:
    target, shares = FrozenTeacher(model, taps), []
    rows = torch.from_numpy(data.split_ids("train"))
    target.prepare(len(data.examples), rows, lambda ids: data.fetch(ids).inputs, shares.append)
    return target, shares


def test_what_is_looked_up_is_what_the_teacher_says_in_evaluation(data, model, monkeypatch):
    monkeypatch.setattr(teacher_module, "CACHE_ROWS", 32)
    target, shares = filled(data, model)
    assert target.cached
    batch = data.fetch(data.plan(0, 0)[:16])
    with torch.no_grad():
        direct = model.eval()(batch.inputs)
    torch.testing.assert_close(target(batch)["logits"], direct, rtol=1e-5, atol=1e-5)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == -(-data.num_train // 32)


def test_looked_up_answers_do_not_depend_on_the_batch(data, model):
    target, _ = filled(data, model)
    ids = data.plan(0, 0)[:16]
    together = target(data.fetch(ids))["logits"]
    alone = torch.cat([target(data.fetch(ids[i : i + 1]))["logits"] for i in range(16)])
    assert torch.equal(together, alone)


def test_where_layers_are_needed_the_teacher_is_asked_and_its_logits_stay_the_bits_they_were(
    data, model
):
    target, _ = filled(data, model)
    batch = data.fetch(data.plan(0, 0)[:4])
    before = target(batch)
    assert set(before) == {"logits"} and not target.draws
    target.want(["stage2", "logits"])
    taps = target(batch)
    assert set(taps) == {"logits", "stage2"} and target.draws
    assert torch.equal(taps["logits"], before["logits"])
    assert not taps["stage2"].requires_grad
    assert not taps["stage2"].is_inference()


def test_a_table_too_large_is_not_made(data, model, monkeypatch):
    monkeypatch.setattr(teacher_module, "CACHE_BYTES", 200 * 10 * 4 - 1)
    assert not filled(data, model)[0].cached


def test_a_feature_of_the_teacher_may_stand_in_a_loss_that_is_differentiated(data, model):
    """An inference tensor could not: hint losses save it for the backward pass."""
    target, _ = filled(data, model, ["stage2"])
    features = target(data.fetch(data.plan(0, 0)[:4]))["stage2"]
    weight = torch.ones_like(features, requires_grad=True)
    (weight * features).square().sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_the_teacher_stays_frozen_in_evaluation_and_draws_nothing(data, model):
    target, _ = filled(data, model, ["stage2"])
    before, state = weights_hash(model), torch.random.get_rng_state()
    batch = data.fetch(data.plan(0, 0)[:8])
    assert torch.equal(target(batch)["logits"], target(batch)["logits"])
    assert weights_hash(model) == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
