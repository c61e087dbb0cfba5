from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from workbench.errors import BadFile, BadModel
from workbench.models import StoredModel
from workbench.models.weights import save_weights, weights_hash

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("use", ["cnn-small", "mlp", "timm/test_vit"])
def test_a_saved_model_comes_back_with_the_same_logits(build, tmp_path, use):
    adapter = build(use).eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    again = build(f"path:{tmp_path / 'm.safetensors'}", seed=99).eval()
    assert torch.equal(again(IMAGES), adapter(IMAGES))
    assert weights_hash(again) == weights_hash(adapter)
    assert again.facts.stages == adapter.facts.stages


def test_a_saved_model_keeps_its_own_normalisation(build, tmp_path):
    adapter = build("cnn-tiny").eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    again = build(f"path:{tmp_path / 'm.safetensors'}", mean=(0.9,), std=(0.1,)).eval()
    assert torch.equal(again(IMAGES), adapter(IMAGES))


def test_grey_data_reaches_a_colour_model_as_equal_channels(build, tmp_path):
    adapter = build("cnn-tiny", channels=3).eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    again = build(f"path:{tmp_path / 'm.safetensors'}", channels=1).eval()
    assert torch.equal(again(IMAGES), adapter(IMAGES.expand(-1, 3, -1, -1)))


def test_colour_data_reaches_a_grey_model_as_its_mean(build, tmp_path):
    adapter = build("cnn-tiny").eval()
    save_weights(tmp_path / "m.safetensors", adapter)
    again = build(f"path:{tmp_path / 'm.safetensors'}", channels=4).eval()
    colour = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(again(colour), adapter(colour.mean(1, keepdim=True)))


def test_other_classes_are_refused_with_both_counts(build, tmp_path):
    save_weights(tmp_path / "m.safetensors", build("cnn-tiny", num_classes=7))
    with pytest.raises(BadModel, match=r"WB106.*into 7 classes, the data has 10"):
        build(f"path:{tmp_path / 'm.safetensors'}")


def test_foreign_tensors_load_with_a_spec_beside_them(build, tmp_path):
    adapter = build("timm/test_resnet").eval()
    save_file(dict(adapter.network.state_dict()), tmp_path / "m.safetensors")
    with pytest.raises(BadFile, match=r"nothing says which network.*m\.json beside it"):
        build(f"path:{tmp_path / 'm.safetensors'}")
    (tmp_path / "m.json").write_text(json.dumps({"use": "timm/test_resnet"}))
    again = build(f"path:{tmp_path / 'm.safetensors'}", seed=1).eval()
    assert torch.equal(again(IMAGES), adapter(IMAGES))


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ("{", "not valid JSON"),
        ("[]", "must hold a mapping"),
        ({"use": "cnn-smal"}, "Did you mean 'cnn-small'"),
        ({"use": "path:elsewhere"}, "must name a network"),
        ({"use": "cnn-tiny", "width": 0}, "wrong at width"),
        ({"use": "cnn-small"}, "belong to another network"),
        ({"architecture": {"family": "own"}}, "damaged.*name is None"),
    ],
)
def test_a_wrong_description_is_refused_with_what_is_wrong(build, tmp_path, description, text):
    save_file(dict(build("cnn-tiny").network.state_dict()), tmp_path / "m.safetensors")
    written = description if isinstance(description, str) else json.dumps(description)
    (tmp_path / "m.json").write_text(written)
    with pytest.raises(BadFile, match=f"WB104.*{text}"):
        build(f"path:{tmp_path / 'm.safetensors'}")


def test_a_description_cannot_make_timm_open_a_pickle(build, tmp_path):
    adapter = build("timm/test_resnet")
    save_file(dict(adapter.network.state_dict()), tmp_path / "m.safetensors")
    plain = adapter.architecture.plain()
    plain["arguments"]["checkpoint_path"] = "evil.bin"
    (tmp_path / "m.json").write_text(json.dumps({"architecture": plain}))
    with pytest.raises(BadModel, match="'checkpoint_path' may not be given"):
        build(f"path:{tmp_path / 'm.safetensors'}")


@pytest.mark.parametrize("by_header", [True, False])
def test_a_run_is_opened_through_the_store(build, tmp_path, by_header):
    adapter = build("cnn-tiny", options={"width": 3}).eval()
    path = tmp_path / "m.safetensors"
    if by_header:
        save_weights(path, adapter)
    else:
        save_file(dict(adapter.network.state_dict()), path)
    asked = []

    def open_run(run):
        asked.append(run)
        return StoredModel({"use": "cnn-tiny", "width": 3}, path)

    again = build("run:r7@best", open_run=open_run).eval()
    assert asked == ["r7@best"]
    assert torch.equal(again(IMAGES), adapter(IMAGES))


def test_a_missing_file_is_named(build, tmp_path):
    with pytest.raises(BadFile, match=r"nowhere\.safetensors: there is no such file"):
        build(f"path:{tmp_path / 'nowhere.safetensors'}")
