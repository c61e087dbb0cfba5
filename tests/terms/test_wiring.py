"""What reaches a loss: which tensors, in which form, with which numbers; against another truth."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from workbench.errors import BadInput
from workbench.functional import LOSSES
from workbench.models.taps import Taps
from workbench.models.weights import weights_hash
from workbench.registries import TERMS
from workbench.terms.losses import FORMS, OF_POSITIONS, FeatureTerm, LossTerm
from workbench.terms.projector import Projector, common_grid

KINDS = {name: kind for name, kind in TERMS.items() if issubclass(kind, LossTerm)}
NAMES = sorted(KINDS)
OF_FEATURES = [name for name in NAMES if issubclass(KINDS[name], FeatureTerm)]
POOLED = [name for name in OF_FEATURES if FORMS[name] == "pooled"]
LEARNED = [name for name in OF_FEATURES if FORMS[name] in ("projected", "aligned", "embedded")]
MAPS = {"student_tap": "stage1", "teacher_tap": "stage2"}
"""Layers of both networks that have positions."""
LIVE = [(name, live) for name in NAMES for live in KINDS[name].live]
BOUNDS = [
    (name, parameter, bound)
    for name in NAMES
    for parameter, fact in KINDS[name].loss.parameters.items()
    for bound in ("low", "high")
    if getattr(fact, bound) is not None
]


def test_every_loss_of_logits_and_every_formed_loss_of_features_is_a_term():
    expected = {
        name
        for name, loss in LOSSES.items()
        if "student.features" not in loss.needs or name in FORMS
    }
    assert set(NAMES) == expected
    assert {"kd", "ce", "dkd", "hint", "cka", "rkd"} <= expected


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(OF_FEATURES)))
def test_a_term_of_logits_is_its_function_at_twice_the_precision(name, wire, example):
    given = {
        "student.logits": example.student["logits"].detach().double(),
        "teacher.logits": example.teacher["logits"].detach().double(),
        "labels": example.batch.labels,
    }
    loss = KINDS[name].loss
    expected = loss.function(*(given[need] for need in loss.needs))  # at its own defaults
    found = wire(name)(example.student, example.teacher, example.batch)
    torch.testing.assert_close(found.value.double(), expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", POOLED)
def test_a_set_statistic_reads_the_mean_over_space_of_the_last_stages(name, wire, example):
    student = example.student["stage2"].detach().double().numpy().mean((2, 3))
    teacher = example.teacher["stage3"].detach().double()
    expected = KINDS[name].loss.function(torch.from_numpy(student), teacher)
    found = wire(name)(example.student, example.teacher, example.batch).value
    torch.testing.assert_close(found.double(), expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in OF_FEATURES if not KINDS[n].loss.per_sample])
def test_a_set_statistic_knows_the_set(name, wire, example):
    wired, half = wire(name), example.rows(torch.arange(6))
    whole = wired(example.student, example.teacher, example.batch).value
    assert not torch.allclose(wired(half.student, half.teacher, half.batch).value, whole, rtol=1e-3)


def test_a_hint_compares_maps_on_the_smaller_grid_of_the_two(wire, example):
    wired = wire("hint", teacher_tap="stage2")
    state = {key: value.double().numpy() for key, value in wired.term.module.state_dict().items()}
    coarse = example.student["stage2"].detach().double().numpy()
    coarse = coarse.reshape(12, 4, 2, 2, 2, 2).mean((3, 5))
    projected = np.einsum("oc,bchw->bohw", state["convolution.weight"][:, :, 0, 0], coarse)
    projected += state["convolution.bias"][None, :, None, None]
    gap = projected - example.teacher["stage2"].detach().double().numpy()
    found = wired(example.student, example.teacher, example.batch).value.detach()
    np.testing.assert_allclose(found.numpy(), np.square(gap).mean((1, 2, 3)), rtol=1e-5)


# Numbers


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_the_functions_signature(name):
    spec = KINDS[name].model_validate({"use": name})
    signature = inspect.signature(KINDS[name].loss.function).parameters
    for parameter in KINDS[name].loss.parameters:
        assert getattr(spec, parameter) == signature[parameter].default


@pytest.mark.parametrize(("name", "parameter", "bound"), BOUNDS)
def test_a_number_beyond_its_bound_is_refused_and_the_bound_itself_as_declared(
    name, parameter, bound
):
    fact = KINDS[name].loss.parameters[parameter]
    edge = getattr(fact, bound)
    refused = [float(np.nextafter(edge, -np.inf if bound == "low" else np.inf))]
    if getattr(fact, f"open_{bound}"):
        refused.append(edge)
    else:
        KINDS[name].model_validate({"use": name, parameter: edge})
    for number in refused:
        with pytest.raises(ValidationError, match=parameter):
            KINDS[name].model_validate({"use": name, parameter: number})


@pytest.mark.parametrize(("name", "parameter"), LIVE)
def test_a_live_parameter_is_taken_from_the_step_not_from_the_spec(name, parameter, wire, example):
    wired = wire(name, **(MAPS if name in OF_FEATURES else {}))
    usual = wired(example.student, example.teacher, example.batch).value
    changed = {**wired.values, parameter: 1.25 * wired.values[parameter] + 0.1}
    other = wired.term(example.student, example.teacher, example.batch, changed).value
    assert float((other - usual).detach().abs().max()) > 1e-4


@pytest.mark.parametrize(
    ("name", "options"), [("cka", {"unbiased": False}), ("jeffreys", {"floor": 1e-3})]
)
def test_a_fixed_parameter_of_the_spec_reaches_the_function(name, options, wire, example):
    usual = wire(name)(example.student, example.teacher, example.batch).value
    other = wire(name, **options)(example.student, example.teacher, example.batch).value
    assert not torch.allclose(usual, other, rtol=1e-4)


# Taps


@pytest.mark.parametrize("name", OF_FEATURES)
def test_last_is_each_networks_own_last_stage(name, wire):
    """The two networks here have different numbers of stages; the teacher's last is a vector."""
    if name in OF_POSITIONS:
        with pytest.raises(BadInput, match=r"'stage2' of shape \(4, 4, 4\).*'stage3'"):
            wire(name)
        return
    term = wire(name).term
    assert (term.student_taps, term.target_taps) == (("stage2",), ("stage3",))


def test_a_term_of_logits_asks_for_no_other_tap(wire):
    term = wire("kd").term
    assert (list(term.student_taps), list(term.target_taps), term.module) == ([], [], None)


# The learned part and its grid


def test_a_projector_trains_to_the_least_squares_solution(wire, example):
    """On fixed features a 1x1 regression has a closed form."""
    wired = wire("hint", teacher_tap="stage2")
    student = example.student["stage2"].detach()
    coarse = student.double().numpy().reshape(12, 4, 2, 2, 2, 2).mean((3, 5))
    inputs = np.column_stack([coarse.transpose(0, 2, 3, 1).reshape(48, 4), np.ones(48)])
    wanted = example.teacher["stage2"].detach().double().numpy()
    wanted = wanted.transpose(0, 2, 3, 1).reshape(48, 7)
    best = np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    least = np.square(inputs @ best - wanted).mean()
    frozen = Taps({"logits": example.student["logits"].detach(), "stage2": student})
    optimiser = torch.optim.LBFGS(wired.term.module.parameters(), max_iter=100)

    def closure():
        optimiser.zero_grad()
        value = wired(frozen, example.teacher, example.batch).reduced()
        value.backward()
        return value

    before = float(optimiser.step(closure).detach())
    after = float(wired(frozen, example.teacher, example.batch).reduced().detach())
    assert before > 1.05 * least
    assert after == pytest.approx(least, rel=1e-4)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(LEARNED)))
def test_no_other_term_learns(name, wire):
    assert wire(name, **(MAPS if name in OF_FEATURES else {})).term.module is None


# The other forms, by hand in numpy


def test_an_aligned_loss_maps_the_students_mean_to_the_teachers_width(wire, example):
    wired = wire("info-nce", **MAPS)
    state = {key: value.double().numpy() for key, value in wired.term.module.state_dict().items()}
    mine = example.student["stage1"].detach().double().numpy().mean((2, 3))
    mine = mine @ state["weight"].T + state["bias"]
    theirs = example.teacher["stage2"].detach().double().numpy().mean((2, 3))
    mine /= np.linalg.norm(mine, axis=1, keepdims=True)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    scores = mine @ theirs.T / 0.1
    expected = np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores))
    found = wired(example.student, example.teacher, example.batch).value
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


def test_an_embedded_loss_maps_both_to_the_width_that_is_asked_for(wire, example):
    wired = wire("cc", width=3, **MAPS)
    state = {key: value.double().numpy() for key, value in wired.term.module.state_dict().items()}
    gaps = []
    for who, taps, tap in (
        ("student", example.student, "stage1"),
        ("teacher", example.teacher, "stage2"),
    ):
        pooled = taps[tap].detach().double().numpy().mean((2, 3))
        gaps.append(pooled @ state[f"{who}.weight"].T + state[f"{who}.bias"])
    gap = np.abs(gaps[0] - gaps[1])
    assert gap.shape == (12, 3)
    expected = np.mean((gap[:-1] * gap[1:]).sum(1))
    found = wired(example.student, example.teacher, example.batch).value
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


def test_attention_is_compared_on_the_coarser_grid_without_a_learned_part(wire, example):
    maps = []
    for taps, tap in ((example.student, "stage1"), (example.teacher, "stage2")):
        tensor = taps[tap].detach().double().numpy()
        share = tensor.shape[2] // 2
        coarse = tensor.reshape(12, -1, 2, share, 2, share).mean((3, 5))
        seen = (coarse**2).mean(1).reshape(12, 4)
        maps.append(seen / np.linalg.norm(seen, axis=1, keepdims=True))
    expected = np.square(maps[0] - maps[1]).mean(1)
    found = wire("at", **MAPS)(example.student, example.teacher, example.batch).value
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4)


def test_positions_of_the_common_grid_are_the_tokens(wire, example):
    context = []
    for taps, tap in ((example.student, "stage2"), (example.teacher, "stage2")):
        tensor = taps[tap].detach().double().numpy()
        share = tensor.shape[2] // 2
        tokens = tensor.reshape(12, -1, 2, share, 2, share).mean((3, 5)).reshape(12, -1, 4)
        scores = np.einsum("bdi,bdj->bij", tokens, tokens) / np.sqrt(tokens.shape[1])
        scores = np.exp(scores - scores.max(2, keepdims=True))
        context.append(scores / scores.sum(2, keepdims=True))
    expected = np.square(context[0] - context[1]).mean((1, 2))
    wired = wire("token-context", student_tap="stage2", teacher_tap="stage2")
    found = wired(example.student, example.teacher, example.batch).value
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("projector", ["linear", "fitnet", "two-layer", "bottleneck"])
def test_every_projector_lands_on_the_teachers_shape_and_starts_from_its_seed(
    projector, wire, example
):
    """The student's 8 x 8 onto the teacher's 6 x 6 or, for the others, a common 6 x 6."""
    options = {"student_tap": "stage1", "teacher_tap": "stage1", "projector": projector}
    wired = wire("hint", **options)
    found = wired(example.student, example.teacher, example.batch).reduced()
    assert torch.isfinite(found)
    same, other = wire("hint", **options), wire("hint", seed=6, **options)
    assert weights_hash(same.term.module) != weights_hash(other.term.module)
    found.backward()
    learned = dict(wired.term.module.named_parameters())
    assert learned
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learned.values())


def test_fitnets_regressor_says_which_grids_it_cannot_reach(wire):
    with pytest.raises(BadInput, match=r"4 x 4 into the teacher's 6 x 6.*projector: linear"):
        wire("hint", student_tap="stage2", teacher_tap="stage1", projector="fitnet")


def test_a_projectors_start_leaves_the_random_state_and_reads_all_bits_of_its_seed():
    before = torch.get_rng_state()
    first = Projector(3, 5, seed=2**40 + 7)
    assert torch.equal(torch.get_rng_state(), before)
    assert weights_hash(Projector(3, 5, seed=2**40 + 7)) == weights_hash(first)
    assert weights_hash(Projector(3, 5, seed=2**41 + 7)) != weights_hash(first)


@pytest.mark.parametrize(
    ("student", "teacher"), [((8, 8), (3, 3)), ((2, 2), (7, 7)), ((4, 6), (6, 4)), ((5, 5), (5, 5))]
)
def test_the_common_grid_averages_as_torch_does(student, teacher):
    generator = torch.Generator().manual_seed(0)
    maps = (
        torch.randn(2, 3, *student, generator=generator),
        torch.randn(2, 5, *teacher, generator=generator),
    )
    size = tuple(map(min, student, teacher))
    for given, coarse in zip(maps, common_grid(*maps), strict=True):
        torch.testing.assert_close(coarse, F.adaptive_avg_pool2d(given, size))


def test_the_grid_uses_no_pooling_whose_gradient_cannot_replay_on_cuda():
    """The names of the backward functions tell what was called."""
    maps = torch.rand(1, 2, 5, 5, requires_grad=True)
    waiting, names = [common_grid(maps, torch.rand(1, 2, 3, 3))[0].grad_fn], set()
    while waiting:
        node = waiting.pop()
        names.add(node.name())
        waiting += [inner for inner, _ in node.next_functions if inner is not None]
    assert "torch::autograd::AccumulateGrad" in names
    assert not any("Pool" in name for name in names)
