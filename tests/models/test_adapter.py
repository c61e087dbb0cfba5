from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from workbench.errors import BadModel, ShapeMismatch
from workbench.models.adapter import pool, wrap_module
from workbench.models.taps import Taps


class TwoHeads(nn.Module):
    """A plain user module: one block runs twice, one output is a pair, one is overwritten."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.never = nn.Linear(2, 2)
        self.head = nn.Linear(4, classes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        features = self.twice(self.twice(self.stem(images)))
        return self.head(self.act(self.norm(features)).mean((2, 3)))


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def module(context):
    torch.manual_seed(0)
    return wrap_module(TwoHeads(), context())


def hooks(adapter):
    return sum(len(module._forward_hooks) for module in adapter.modules())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("use", ["cnn-small", "timm/test_vit", "timm/test_coatnet"])
def test_logits_of_taps_are_those_of_forward_bit_for_bit(build, use, training):
    adapter = build(use).train(training)
    other = copy.deepcopy(adapter)
    torch.manual_seed(5)
    plain = adapter(images(4, 1, 8, 8))
    torch.manual_seed(5)
    tapped = other.taps(images(4, 1, 8, 8), [*other.facts.stages, *other.facts.layers])
    assert torch.equal(plain, tapped["logits"])
    assert isinstance(tapped, Taps)


def test_images_are_standardised_with_the_numbers_of_the_data(build):
    adapter = build("cnn-tiny", channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    inputs = images(2, 3, 8, 8)
    expected = (inputs.double().numpy() - np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) / np.reshape(
        [0.5, 1.0, 2.0], (3, 1, 1)
    )
    np.testing.assert_allclose(adapter.prepare(inputs).numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(4, 4), (16, 24)])
def test_a_constant_image_stays_constant_when_resized(build, size):
    prepared = build("cnn-tiny").prepare(torch.full((1, 1, *size), 0.7))
    assert prepared.shape == (1, 1, 8, 8)
    torch.testing.assert_close(prepared, torch.full((1, 1, 8, 8), 1.0))


def test_shrinking_filters_before_it_samples(build):
    """A checkerboard of 0 and 1 shrinks to grey, not to whichever pixels are hit."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    prepared = build("cnn-tiny").prepare(board[None, None].float())
    torch.testing.assert_close(prepared, torch.full_like(prepared, 0.5), atol=0.3, rtol=0)


def test_a_module_that_runs_twice_gives_its_last_output(module):
    taps = module.eval().taps(images(2, 1, 8, 8), ["twice", "stem"])
    expected = module.network.twice(module.network.twice(taps["stem"]))
    assert torch.equal(taps["twice"], expected)


def test_a_tap_shows_what_the_module_gave_before_a_later_one_overwrote_it(module):
    taps = module.eval().taps(images(2, 1, 8, 8), ["norm", "act"])
    assert (taps["norm"] < 0).any()
    assert torch.equal(taps["norm"].clamp(min=0), taps["act"])


def test_gradient_reaches_the_weights_through_a_tap(module):
    module.train().taps(images(3, 1, 8, 8), ["norm"])["norm"].pow(2).mean().backward()
    assert module.network.stem.weight.grad.abs().sum() > 0
    assert module.network.head.weight.grad is None


def test_hooks_go_even_when_the_forward_fails(module):
    module.taps(images(2, 1, 8, 8), ["stem"])
    assert hooks(module) == 0
    with pytest.raises(BadModel, match=r"images have shape \(2, 3, 8, 8\).*1, height, width"):
        module.taps(images(2, 3, 8, 8), ["stem"])
    assert hooks(module) == 0


def test_building_leaves_modes_buffers_and_random_states_alone(context):
    network = TwoHeads().train()
    network.act.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    wrap_module(network, context())
    assert torch.equal(torch.rand(2), expected)
    assert network.training and network.norm.training and not network.act.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("use", ["cnn-small", "timm/test_vit", "timm/test_mambaout", "mlp"])
def test_announced_shapes_are_those_of_the_taps(build, use):
    adapter = build(use).eval()
    names = [*adapter.facts.stages, *adapter.facts.layers]
    taps = adapter.taps(images(3, 1, 8, 8), names)
    assert {name: tuple(taps[name].shape[1:]) for name in names} == adapter.shapes(names)


def test_stages_are_counted_from_one_and_from_the_end(build):
    adapter = build("cnn-small")
    assert [adapter.stage(1), adapter.stage(4), adapter.stage(-1)] == ["stage1", "stage4", "stage4"]
    for index in (0, 5, -5):
        with pytest.raises(BadModel, match=rf"no stage {index}; it has 4"):
            adapter.stage(index)


def test_an_unknown_tap_offers_the_nearest_and_the_usual_ones(module):
    with pytest.raises(BadModel, match=r"no tap 'stern'. Did you mean 'stem'\?.*stage1.*logits"):
        module.taps(images(2, 1, 8, 8), ["stern"])
    with pytest.raises(BadModel, match="'never' gives no tensor"):
        module.shapes(["never"])


def test_one_image_trains_where_a_norm_sees_a_single_value(build):
    """Its running statistics stand in, and stay as they were."""
    adapter = build("timm/resnet10t").train()
    norm = adapter.network.get_submodule("layer4.0.bn2")
    before = norm.running_mean.clone()
    adapter(images(1, 1, 8, 8)).sum().backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.training
    adapter(images(2, 1, 8, 8))
    assert not torch.equal(norm.running_mean, before)


def test_a_user_module_has_stages_layers_and_facts(module):
    assert module.facts.name == "TwoHeads"
    assert module.facts.layers[-1] == "logits"
    assert module.facts.stages and set(module.facts.stage_paths) <= set(module.facts.layers)
    stem, twice, head = 9 * 4 * 64, 2 * 9 * 16 * 64, 4 * 10
    assert module.facts.macs == stem + twice + head


def test_a_user_module_with_other_classes_is_refused_with_both_counts(context):
    with pytest.raises(BadModel, match=r"\(batch, 7\), the data has 10 classes"):
        wrap_module(TwoHeads(7), context())


def test_a_user_module_that_cannot_take_the_images_is_refused_with_its_error(context):
    with pytest.raises(BadModel, match=r"fails on images of shape \(3, 8, 8\): RuntimeError"):
        wrap_module(TwoHeads(), context(channels=3))
    with pytest.raises(BadModel, match=r"must be a torch\.nn\.Module, got dict"):
        wrap_module({}, context())


def test_pool_averages_space_or_tokens():
    maps, tokens = images(2, 3, 4, 5), images(2, 6, 3)
    np.testing.assert_allclose(pool(maps), maps.numpy().mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(pool(tokens), tokens.numpy().mean(1), rtol=1e-5)
    assert torch.equal(pool(maps[:, :, 0, 0]), maps[:, :, 0, 0])
    with pytest.raises(ShapeMismatch, match="2, 3 or 4 axes"):
        pool(torch.ones(3))
