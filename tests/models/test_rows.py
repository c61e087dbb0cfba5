"""Table rows through the adapter: standardised a feature each, tapped, saved, refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench.data import Wine, build_data
from workbench.errors import BadFile, BadModel
from workbench.models import Architecture, ModelContext
from workbench.models.adapter import wrap_module
from workbench.models.weights import read_description, save_weights
from workbench.registries import MODELS

TABLE = {"channels": 3, "height": None, "width": None, "num_classes": 2}
OF_ROWS = {**TABLE, "mean": (0.5, -1000.0, 2e6), "std": (0.1, 30.0, 1e5)}


def rows(count: int = 4) -> torch.Tensor:
    noise = torch.randn(count, 3, generator=torch.Generator().manual_seed(2))
    return noise * torch.tensor(OF_ROWS["std"]) + torch.tensor(OF_ROWS["mean"])


def test_rows_are_standardised_a_feature_each_and_nothing_else(build):
    adapter = build("mlp", **OF_ROWS)
    assert adapter.facts.input_size == (3,)
    inputs = rows(64)
    expected = (inputs.double().numpy() - OF_ROWS["mean"]) / OF_ROWS["std"]
    np.testing.assert_allclose(adapter.prepare(inputs).numpy(), expected, rtol=1e-5, atol=2e-6)


def test_training_rows_of_real_data_reach_the_network_with_mean_0_and_spread_1(build):
    data = build_data(Wine(), base=Path(), seed=0)
    context = ModelContext(
        data.channels, data.height, data.width, data.num_classes, data.mean, data.std, seed=1
    )
    adapter = MODELS.get("mlp").model_validate({"use": "mlp"}).build(context)
    prepared = adapter.prepare(data.fetch_full(data.split_ids("train")).inputs).double()
    torch.testing.assert_close(prepared.mean(0), torch.zeros(13).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(prepared.std(0, correction=0), torch.ones(13).double())


def test_an_mlp_on_rows_matches_float64_reference(build):
    adapter = build("mlp", options={"hidden": [16, 12]}, **OF_ROWS)
    features = (rows().double().numpy() - OF_ROWS["mean"]) / OF_ROWS["std"]
    state = {key: value.double().numpy() for key, value in adapter.network.state_dict().items()}
    for layer in ("hidden.0.0", "hidden.1.0", "classifier"):
        features = features @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        features = features if layer == "classifier" else np.maximum(features, 0)
    np.testing.assert_allclose(adapter(rows()).detach().numpy(), features, rtol=1e-4, atol=1e-5)


def test_facts_taps_and_shapes_of_rows(build):
    adapter = build("mlp", options={"hidden": [16, 12]}, **OF_ROWS)
    assert adapter.facts.stages == ("stage1", "stage2")
    assert adapter.facts.macs == 3 * 16 + 16 * 12 + 12 * 2
    taps = adapter.taps(rows(5), ["stage1", "stage2"])
    assert [tuple(taps[name].shape) for name in ("stage1", "stage2", "logits")] == [
        (5, 16), (5, 12), (5, 2),
    ]  # fmt: skip
    assert adapter.shapes(["stage1", "logits"]) == {"stage1": (16,), "logits": (2,)}
    assert adapter(rows(1)).shape == (1, 2)


def test_dropout_drops_in_training_only_and_leaves_names_and_first_weights_alone(build):
    plain = build("mlp", **OF_ROWS)
    dropping = build("mlp", options={"dropout": 0.5}, **OF_ROWS)
    assert plain.network.state_dict().keys() == dropping.network.state_dict().keys()
    assert torch.equal(plain.eval()(rows()), dropping.eval()(rows()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tapped = dropping.train().taps(rows(64), ["stage1"])["stage1"]
    plainly = plain.taps(rows(64), ["stage1"])["stage1"]
    kept = tapped[plainly > 0] > 0
    assert 0.45 < kept.float().mean() < 0.55
    torch.testing.assert_close(tapped[plainly > 0][kept], 2 * plainly[plainly > 0][kept])


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_dropout_outside_its_bounds_is_refused(value):
    with pytest.raises(ValueError, match="dropout"):
        MODELS.get("mlp").model_validate({"use": "mlp", "dropout": value})


@pytest.mark.parametrize("use", ["cnn-small", "cnn-tiny", "timm/resnet10t", "vit-micro"])
def test_networks_of_images_refuse_rows_with_what_takes_them(build, use):
    with pytest.raises(BadModel, match=rf"WB106.*{use}: .*takes images.*rows of 3 features.*`mlp`"):
        build(use, **OF_ROWS)


def test_a_side_in_pixels_is_refused_for_rows(build):
    with pytest.raises(BadModel, match=r"mlp: `input_size` is 16.*rows of 3 features\. Leave it"):
        build("mlp", options={"input_size": 16}, **OF_ROWS)


@pytest.mark.parametrize("shape", [(2, 4), (2, 1, 8, 8), (3,)])
def test_inputs_that_are_not_the_rows_of_the_table_are_refused(build, shape):
    with pytest.raises(BadModel, match=r"inputs have shape .*table rows of shape \(batch, 3\)"):
        build("mlp", **OF_ROWS)(torch.zeros(shape))


def test_a_network_of_images_refuses_rows_in_the_forward(build):
    with pytest.raises(BadModel, match=r"images have shape \(2, 3\)"):
        build("mlp")(torch.zeros(2, 3))


def test_your_own_module_takes_rows_and_a_convolution_says_what_it_was_given(context):
    adapter = wrap_module(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)),
                          context(**OF_ROWS))  # fmt: skip
    assert adapter(rows()).shape == (4, 2)
    with pytest.raises(BadModel, match=r"fails on table rows of shape \(3,\).*Take another"):
        wrap_module(nn.Conv2d(3, 2, 1), context(**OF_ROWS))


def test_a_batch_norm_of_rows_takes_a_batch_of_one(context):
    """One row has no batch statistics; the running ones serve."""
    network = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    adapter = wrap_module(network, context(**OF_ROWS)).train()
    assert torch.isfinite(adapter(rows(1))).all()


# Saved models


def test_an_architecture_of_rows_survives_json():
    whole = Architecture("own", "mlp", (3,), 2, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), {"hidden": [4]})
    plain = json.loads(json.dumps(whole.plain()))
    assert plain["input_size"] == [3]
    assert Architecture.parse(plain, source="x") == whole


@pytest.mark.parametrize("size", [[], [0], [3, 3], [3.0], [2**20 + 1], 3])
def test_other_sizes_are_damage(size):
    whole = Architecture("own", "mlp", (3,), 2, (0.1,) * 3, (1.0,) * 3)
    with pytest.raises(BadFile, match=r"damaged: input_size is .*features of a table row"):
        Architecture.parse({**whole.plain(), "input_size": size}, source="x")


def test_a_wide_table_is_no_damage():
    whole = Architecture("own", "mlp", (20_000,), 2, (0.0,) * 20_000, (1.0,) * 20_000)
    assert Architecture.parse(whole.plain(), source="x").input_size == (20_000,)


def test_a_saved_model_of_rows_comes_back_with_its_own_standardisation(build, tmp_path):
    adapter = build("mlp", options={"hidden": [6], "dropout": 0.2}, **OF_ROWS).eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    assert read_description(tmp_path / "m.safetensors")["architecture"]["input_size"] == [3]
    again = build(f"path:{tmp_path / 'm.safetensors'}", **TABLE, seed=3).eval()
    assert torch.equal(again(rows()), adapter(rows()))


def test_a_file_from_before_dropout_still_loads(build, tmp_path):
    adapter = build("mlp", options={"hidden": [6]}).eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    arguments = dict(adapter.architecture.arguments)
    del arguments["dropout"]
    old = {**adapter.architecture.plain(), "arguments": arguments}
    from safetensors.torch import save_file

    save_file(dict(adapter.network.state_dict()), tmp_path / "old.safetensors")
    (tmp_path / "old.json").write_text(json.dumps({"architecture": old}))
    again = build(f"path:{tmp_path / 'old.safetensors'}").eval()
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(images), adapter(images))


@pytest.mark.parametrize(
    ("saved", "given", "words"),
    [
        (OF_ROWS, {"num_classes": 2}, r"takes table rows of 3 features, the data are images of"),
        (OF_ROWS, {**TABLE, "channels": 4}, "rows of 3 features, the data are .*rows of 4"),
        ({"num_classes": 2}, TABLE, r"takes images of shape \(1, 8, 8\), the data are table rows"),
    ],
)
def test_a_saved_model_of_other_data_is_refused_before_it_is_built(
    build, tmp_path, saved, given, words
):
    save_weights(tmp_path / "m.safetensors", build("mlp", **saved))
    with pytest.raises(BadModel, match=f"WB106.*{words}"):
        build(f"path:{tmp_path / 'm.safetensors'}", **given)


def test_a_pretrained_folder_refuses_rows(build, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadModel, match="the network takes images, the data are table rows"):
        build(f"path:{tmp_path}", **OF_ROWS)
