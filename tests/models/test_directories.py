from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from workbench.errors import BadFile, BadModel

IMAGES = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(6))


@pytest.fixture
def timm_folder(tmp_path):
    """What timm's own ``save_pretrained`` writes, as safetensors."""
    import timm
    from timm.models._hub import save_for_hf

    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=10).eval()
    save_for_hf(network, tmp_path / "timm", safe_serialization=True)
    return tmp_path / "timm", network


@pytest.fixture
def transformers_folder(tmp_path):
    """What transformers' ``save_pretrained`` writes for a tiny ViT and its image processor."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=5, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, num_labels=10,
    )  # fmt: skip
    network = ViTForImageClassification(config).eval()
    network.save_pretrained(tmp_path / "vit")
    size = {"height": 32, "width": 32}
    processor = ViTImageProcessor(size=size, image_mean=[0.2, 0.3, 0.4], image_std=[0.5, 0.6, 0.7])
    processor.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit", network


def standardised(images, mean, std, side):
    resized = torch.nn.functional.interpolate(
        images, size=(side, side), mode="bilinear", antialias=images.shape[-1] > side
    )
    shape = (1, -1, 1, 1)
    return (resized - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def test_a_timm_folder_gives_the_logits_of_plain_timm(build, timm_folder):
    folder, network = timm_folder
    adapter = build(f"path:{folder}", channels=3, height=40, width=40).eval()
    config = network.pretrained_cfg
    with torch.no_grad():
        expected = network(standardised(IMAGES, config["mean"], config["std"], 160))
        torch.testing.assert_close(adapter(IMAGES), expected)
    assert adapter.facts.input_size == (3, 160, 160)


def test_a_transformers_folder_gives_the_logits_of_plain_transformers(build, transformers_folder):
    folder, network = transformers_folder
    adapter = build(f"path:{folder}", channels=3, height=40, width=40).eval()
    prepared = standardised(IMAGES, (0.2, 0.3, 0.4), (0.5, 0.6, 0.7), 32)
    with torch.no_grad():
        torch.testing.assert_close(adapter(IMAGES), network(pixel_values=prepared).logits)
        taps = adapter.taps(IMAGES, adapter.facts.stages)
        hidden = network(pixel_values=prepared, output_hidden_states=True).hidden_states
    torch.testing.assert_close(taps["stage4"], hidden[-1])
    torch.testing.assert_close(taps["stage1"], hidden[1])


def test_an_image_in_0_to_255_is_announced_by_the_processor(build, transformers_folder):
    folder, network = transformers_folder
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "do_rescale": False, "image_mean": [51.0, 76.5, 102.0],
                                "image_std": [127.5, 153.0, 178.5]}))  # fmt: skip
    adapter = build(f"path:{folder}", channels=3, height=40, width=40).eval()
    prepared = standardised(IMAGES, (0.2, 0.3, 0.4), (0.5, 0.6, 0.7), 32)
    with torch.no_grad():
        expected = network(pixel_values=prepared).logits.numpy()
        np.testing.assert_allclose(adapter(IMAGES).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("folder", ["timm_folder", "transformers_folder"])
def test_other_classes_are_refused_unless_a_new_head_is_asked_for(build, request, folder):
    path, _ = request.getfixturevalue(folder)
    with pytest.raises(BadModel, match=r"into 10 classes, the data has 4.*new_head: true"):
        build(f"path:{path}", channels=3, num_classes=4)
    options = {"new_head": True}
    adapter = build(f"path:{path}", options=options, channels=3, num_classes=4).eval()
    other = build(f"path:{path}", options=options, channels=3, num_classes=4, seed=8).eval()
    logits = adapter(IMAGES)
    assert logits.shape == (2, 4)
    assert not torch.equal(logits, other(IMAGES)), "the new head follows the seed"
    kept = adapter.facts.stages[-1]
    assert torch.equal(adapter.taps(IMAGES, [kept])[kept], other.taps(IMAGES, [kept])[kept])


@pytest.mark.parametrize("folder", ["timm_folder", "transformers_folder"])
def test_a_pretrained_model_saved_by_us_comes_back_without_its_folder(
    build, request, folder, tmp_path
):
    from workbench.models.weights import save_weights

    path, _ = request.getfixturevalue(folder)
    adapter = build(f"path:{path}", channels=1).eval()
    save_weights(tmp_path / "student.safetensors", adapter, {"use": f"path:{path}"})
    for entry in path.iterdir():
        entry.unlink()
    again = build(f"path:{tmp_path / 'student.safetensors'}", channels=1).eval()
    with torch.no_grad():
        assert torch.equal(again(IMAGES[:, :1]), adapter(IMAGES[:, :1]))


def test_a_folder_without_its_processor_is_refused(build, transformers_folder):
    folder, _ = transformers_folder
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(BadFile, match=r"no preprocessor_config\.json.*normalisation is unknown"):
        build(f"path:{folder}", channels=3)


def test_missing_weights_would_stay_random_and_are_refused(build, transformers_folder):
    from safetensors.torch import load_file, save_file

    folder, _ = transformers_folder
    state = load_file(folder / "model.safetensors")
    del state["classifier.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadFile, match=r"lack classifier\.weight, which would stay random"):
        build(f"path:{folder}", channels=3)


def test_a_folder_with_only_a_pickle_is_refused_with_the_reason(build, timm_folder):
    folder, _ = timm_folder
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadFile, match=r"only pytorch_model\.bin, a pickle.*save_pretrained"):
        build(f"path:{folder}", channels=3)


def test_an_empty_or_foreign_folder_is_refused(build, tmp_path):
    with pytest.raises(BadFile, match=r"config\.json: there is no such file"):
        build(f"path:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadFile, match="neither `architecture`"):
        build(f"path:{tmp_path}")
