from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.mark.parametrize("width", [1, 8, 24])
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (4, 100), (3, 2)])
def test_cnn_small_has_the_parameters_of_its_formula(build, width, channels, classes):
    adapter = build("cnn-small", options={"width": width}, channels=channels, num_classes=classes)
    convolutions = 9 * (channels * width + width**2 + 2 * width**2 + 4 * width**2)
    norms, linear = 2 * 6 * width, (2 * width + 1) * classes
    assert adapter.facts.num_parameters == convolutions + norms + linear


def test_cnn_tiny_has_the_multiplications_of_its_formula(build):
    assert build("cnn-tiny").facts.macs == 9 * (1 * 6) * 64 + 9 * (6 * 12) * 16 + 12 * 10


def test_mlp_matches_float64_reference(build):
    adapter = build("mlp", options={"hidden": [16, 12]}, channels=3, height=9, width=10)
    inputs = torch.rand(5, 3, 9, 10, generator=torch.Generator().manual_seed(0))
    features = ((inputs.double().numpy() - 0.3) / 0.4).reshape(5, -1)
    state = {key: value.double().numpy() for key, value in adapter.network.state_dict().items()}
    for layer in ("hidden.0.0", "hidden.1.0", "classifier"):
        features = features @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        features = features if layer == "classifier" else np.maximum(features, 0)
    actual = adapter(inputs).detach().numpy()
    np.testing.assert_allclose(actual, features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use", ["cnn-small", "cnn-tiny", "mlp"])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (13, 64)])
def test_every_size_and_channel_count_trains(build, use, size):
    adapter = build(use, channels=4, height=size[0], width=size[1], num_classes=2)
    logits = adapter.train()(torch.rand(3, 4, *size))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1])).backward()
    assert all(
        parameter.grad is not None and torch.isfinite(parameter.grad).all()
        for parameter in adapter.parameters()
    )
    assert any(parameter.grad.abs().sum() > 0 for parameter in adapter.parameters())
