"""The small vision transformer: timm's with the same weights, its formulas, the laws of masking."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from timm.models.vision_transformer import VisionTransformer as TimmTransformer

from workbench.errors import BadModel
from workbench.models.vit import VisionTransformer, patchify, sine_positions
from workbench.models.weights import save_weights, weights_hash
from workbench.registries import MODELS

SIZE = (3, 8, 12)
SMALL = {"patch": 4, "width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2.0}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(5, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(SIZE, 7, **SMALL).eval()


def ported(network: VisionTransformer) -> TimmTransformer:
    """timm's transformer with our weights."""
    other = TimmTransformer(
        img_size=SIZE[1:], patch_size=4, in_chans=3, num_classes=7,
        embed_dim=16, depth=2, num_heads=2, mlp_ratio=2.0,
    )  # fmt: skip
    names = {
        "class_token": "cls_token", "patch_embed.": "patch_embed.proj.",
        "classifier.": "head.", "mlp.0.": "mlp.fc1.", "mlp.2.": "mlp.fc2.",
    }  # fmt: skip
    state = {}
    for name, tensor in network.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name] = tensor
    state["pos_embed"] = torch.cat([torch.zeros(1, 16), network.positions])[None]
    other.load_state_dict(state)
    return other.eval()


@torch.no_grad()
def test_logits_and_tokens_are_timms_with_the_same_weights(network, images):
    theirs = ported(network)
    torch.testing.assert_close(network(images), theirs(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        network.encode(images), theirs.forward_features(images), rtol=1e-4, atol=1e-5
    )


def test_parameters_and_multiplications_follow_their_formulas(build):
    facts = build("vit-micro").facts
    width, length, patch_values = 48, 17, 4
    block = 4 * width**2 + 4 * width + 4 * width**2 + 3 * width + 4 * width
    fixed = (patch_values + 1) * width + width + 2 * width + (width + 1) * 10
    assert facts.num_parameters == 4 * block + fixed
    products = 8 * width**2 * length + 2 * length**2 * width
    assert facts.macs == 4 * products + 16 * patch_values * width + width * 10


def test_the_norm_is_tapped_as_tokens_and_stages_are_blocks(build):
    adapter = build("vit-micro", options={"depth": 8}).eval()
    assert adapter.facts.stages == ("stage1", "stage2", "stage3", "stage4")
    assert adapter.facts.stage_paths == ("blocks.1", "blocks.3", "blocks.5", "blocks.7")
    inputs = torch.rand(3, 1, 8, 8)
    taps = adapter.taps(inputs, ["norm", "stage4"])
    assert taps["norm"].shape == (3, 17, 48) == (3, *adapter.shapes(["norm"])["norm"])
    assert torch.equal(taps["norm"], adapter.network.encode(adapter.prepare(inputs)))
    assert torch.equal(taps["logits"], adapter.network.classifier(taps["norm"][:, 0]))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_shallow_one_has_a_stage_a_block_and_ends_at_the_last(build, depth):
    paths = build("vit-micro", options={"depth": depth}).facts.stage_paths
    assert paths[-1] in ("blocks", f"blocks.{depth - 1}")
    assert len(paths) == max(depth, 2)


def test_positions_are_the_formula_of_the_paper():
    rows, columns, width = 3, 2, 8
    expected = np.zeros((rows * columns, width))
    for row in range(rows):
        for column in range(columns):
            halves = []
            for place in (column, row):
                angles = [place / 10_000 ** (i / 2) for i in range(2)]
                halves += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            expected[row * columns + column] = halves
    actual = sine_positions((rows, columns), width).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-7)


def test_patches_are_cut_row_by_row_and_hold_row_column_channel(images):
    patches = patchify(images, 4)
    assert patches.shape == (5, 6, 48)
    fifth = images[2, :, 4:8, 4:8]  # second row of patches, second column
    assert torch.equal(patches[2, 4], fifth.permute(1, 2, 0).flatten())


def test_the_embedding_of_patches_is_a_linear_map_of_what_patchify_gives(network, images):
    weight = network.patch_embed.weight.permute(0, 2, 3, 1).flatten(1)
    embedded = network.patchify(images) @ weight.T + network.patch_embed.bias
    torch.testing.assert_close(
        embedded, network.patch_embed(images).flatten(2).mT, rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_the_order_of_the_kept_patches_orders_the_tokens_and_changes_nothing_else(network, images):
    order = torch.stack([torch.randperm(6, generator=torch.Generator().manual_seed(i))
                         for i in range(5)])  # fmt: skip
    whole, shuffled = network.encode(images), network.encode(images, order)
    rows = torch.arange(5)[:, None]
    torch.testing.assert_close(shuffled[:, 0], whole[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shuffled[:, 1:], whole[:, 1:][rows, order], rtol=1e-4, atol=1e-5)


def test_a_patch_left_out_is_not_seen_and_gets_no_gradient(network, images):
    keep = torch.tensor([[0, 4], [1, 2], [5, 3], [0, 1], [2, 5]])
    inputs = images.clone().requires_grad_()
    tokens = network.encode(inputs, keep)
    assert tokens.shape == (5, 3, 16)
    tokens.square().sum().backward()
    seen = patchify(inputs.grad, 4).abs().sum(-1) > 0
    expected = torch.zeros(5, 6, dtype=torch.bool).scatter_(1, keep, True)
    assert torch.equal(seen, expected)


def test_dropout_draws_while_training_only(images):
    torch.manual_seed(0)
    network = VisionTransformer(SIZE, 7, **SMALL, dropout=0.5)
    torch.manual_seed(1)
    first = network(images)
    torch.manual_seed(1)
    assert torch.equal(network(images), first)
    assert not torch.equal(network(images), first)
    network.eval()
    assert torch.equal(network(images), network(images))


def test_every_parameter_gets_a_gradient(build):
    adapter = build("vit-micro", channels=3, height=16, width=8, num_classes=2).train()
    logits = adapter(torch.rand(4, 3, 16, 8, generator=torch.Generator().manual_seed(0)))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
    still = [name for name, p in adapter.network.named_parameters() if not p.grad.any()]
    assert still == []


def test_a_stored_one_opens_with_the_same_bits(build, context, tmp_path):
    adapter = build("vit-micro", options={"width": 16, "depth": 2, "heads": 2}).eval()
    save_weights(tmp_path / "vit.safetensors", adapter)
    use = f"path:{tmp_path / 'vit.safetensors'}"
    opened = MODELS.get(use).model_validate({"use": use}).build(context()).eval()
    assert weights_hash(opened) == weights_hash(adapter)
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.equal(opened(inputs), adapter(inputs))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patch": 3}, r"WB106.*`patch` is 3.*8 x 8 pixels\. Use 1, 2, 4 or 8, or set"),
        ({"width": 44, "heads": 3}, r"`width` is 44, `heads` is 3.*Use 12 or a multiple"),
        ({"width": 6, "heads": 1}, "divisible by 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_a_way_out(build, options, text):
    with pytest.raises(BadModel, match=text):
        build("vit-micro", options=options)


def test_rows_of_a_table_are_refused():
    with pytest.raises(BadModel, match=r"takes images.*shape \(30,\)\. Use `mlp`"):
        VisionTransformer((30,), 2, **SMALL)


def test_an_unknown_option_is_refused():
    with pytest.raises(ValidationError, match="no such field"):
        MODELS.get("vit-micro").model_validate({"use": "vit-micro", "blocks": 3})
