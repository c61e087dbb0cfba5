"""What an untrained network shows: against autograd, and without a trace."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from workbench.builders.scores import fit, signature
from workbench.functional.architecture import relation_score, semantic_score
from workbench.models.adapter import wrap_module
from workbench.models.batch import UNLABELLED
from workbench.models.weights import weights_hash
from workbench.registries import MODELS


@pytest.fixture
def student(build_context):
    spec = MODELS.get("cnn-cells").model_validate({"use": "cnn-cells", "head": 12})
    return spec.build(build_context.model)


def test_grads_are_what_autograd_gives_with_batch_statistics(build_context, student):
    batch = build_context.batch
    actual = signature(student, batch)
    student.train()
    loss = F.cross_entropy(student(batch.inputs), batch.labels)
    (expected,) = torch.autograd.grad(loss, student.network.classifier.weight)
    torch.testing.assert_close(actual.grads, expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        actual.features, student.taps(batch.inputs, ["blocks.3"])["blocks.3"].detach()
    )


def test_rows_without_a_label_are_left_out_of_the_gradient(build_context, student):
    labels = build_context.batch.labels.clone()
    labels[3:] = UNLABELLED
    hidden = replace(build_context.batch, labels=labels, all_labelled=False)
    actual = signature(student, hidden)
    student.train()
    loss = F.cross_entropy(student(hidden.inputs), labels, ignore_index=UNLABELLED)
    (expected,) = torch.autograd.grad(loss, student.network.classifier.weight)
    torch.testing.assert_close(actual.grads, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_no_trace(build_context, student, training):
    student.train(training)
    student.network.blocks[0].eval()
    modes = [module.training for module in student.modules()]
    torch.manual_seed(5)
    before, state = weights_hash(student), torch.get_rng_state()
    signature(student, build_context.batch)
    assert weights_hash(student) == before
    assert [module.training for module in student.modules()] == modes
    assert all(parameter.grad is None for parameter in student.parameters())
    assert not student.network.classifier._forward_pre_hooks
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_stays_off(build_context):
    spec = MODELS.get("timm/test_vit").model_validate({"use": "timm/test_vit", "drop_rate": 0.5})
    teacher = spec.build(build_context.model).train()
    first, second = (signature(teacher, build_context.batch) for _ in range(2))
    assert torch.equal(first.grads, second.grads)
    assert first.width == teacher.network.num_features


def test_fit_is_the_two_published_scores(build_context, student):
    ours = signature(student, build_context.batch)
    theirs = signature(build_context.teacher, build_context.batch)
    assert fit(ours, theirs) == {
        "relation": float(relation_score(ours.features, theirs.features)),
        "semantic": float(semantic_score(ours.grads, theirs.grads)),
    }
    assert fit(theirs, theirs) == {"relation": 0.0, "semantic": 0.0}


def test_a_network_without_a_linear_classifier_has_the_relation_only(build_context):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 5, 6), torch.nn.Flatten()
    )
    other = signature(wrap_module(network, build_context.model), build_context.batch)
    assert other.width is None
    assert set(fit(other, signature(build_context.teacher, build_context.batch))) == {"relation"}
