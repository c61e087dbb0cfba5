"""A look at a model leaves it as it was, and sees what a plain forward sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.models.weights import weights_hash
from workbench.probes.view import look


def everything(model) -> tuple:
    return (
        weights_hash(model),
        [module.training for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
        [parameter.grad is None for parameter in model.parameters()],
    )


@pytest.mark.parametrize("training", [True, False])
def test_modes_weights_buffers_hooks_and_random_state_stay(scene, training):
    model = scene.student
    model.train(training)
    list(model.modules())[-1].eval()  # one module in a mode of its own
    before, torch_state = everything(model), torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    look(model, scene.rows, model.facts.layers, val=True)
    assert everything(model) == before
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_modes_come_back_even_when_the_forward_fails(scene, monkeypatch):
    scene.student.train()
    before = everything(scene.student)

    def fails(images):
        assert not scene.student.training
        raise RuntimeError("on purpose")

    monkeypatch.setattr(scene.student.network, "forward", fails)
    with pytest.raises(RuntimeError, match="on purpose"):
        look(scene.student, scene.rows, scene.student.facts.layers, val=True)
    assert everything(scene.student) == before


def test_logits_are_those_of_a_plain_evaluation(scene):
    scene.student.eval()
    with torch.no_grad():
        logits = scene.student(scene.rows.inputs)
        val_logits = scene.student(scene.rows.val_inputs)
    torch.testing.assert_close(scene.student_look.logits, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scene.student_look.val_logits, val_logits, rtol=1e-5, atol=1e-5)


def test_layers_are_pooled_and_of_the_first_rows(scene):
    model = scene.student.eval()
    with torch.no_grad():
        taps = model.taps(scene.rows.inputs[:100], model.facts.layers)
    for name, features in zip(model.facts.layers, scene.student_look.features, strict=True):
        expected = taps[name].mean((2, 3)) if taps[name].ndim == 4 else taps[name]
        torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
        assert features.shape[0] == 100


def test_a_look_carries_no_gradient(scene):
    seen = look(scene.student, scene.rows, (), val=False)
    assert not seen.logits.requires_grad
    assert seen.features == []
    assert len(seen.val_logits) == 0
