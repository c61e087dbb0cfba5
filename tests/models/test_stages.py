from __future__ import annotations

import pytest
import torch

from workbench.models.stages import MAX_LAYERS, evenly

FAMILIES = [
    "resnet10t", "convnext_atto", "test_vit", "deit_tiny_distilled_patch16_224", "test_coatnet",
    "swin_s3_tiny_224", "levit_128s", "hrnet_w18_small", "mvitv2_tiny", "densenet121",
]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "expected"),
    [(4, [0, 1, 2, 3]), (12, [2, 5, 8, 11]), (3, [0, 1, 2]), (6, [1, 2, 3, 5])],
)
def test_four_are_picked_evenly_and_the_last_always(count, expected):
    assert evenly(count, 4) == expected


@pytest.mark.parametrize("arch", FAMILIES)
def test_stages_are_the_intermediates_of_timm_value_for_value(build, arch):
    adapter = build(f"timm/{arch}").eval()
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        taps = adapter.taps(images, adapter.facts.stages)
        known = adapter.network.forward_intermediates(
            adapter.prepare(images), intermediates_only=True
        )
    places = [position(taps[stage], known) for stage in adapter.facts.stages]
    assert None not in places
    assert places == sorted(set(places)) and places[-1] == len(known) - 1


def position(tap, known):
    for index, intermediate in enumerate(known):
        wanted, given = intermediate, tap
        if tap.ndim == 3:  # tokens, class tokens first
            wanted = intermediate.flatten(2).transpose(1, 2)
            given = tap[:, -wanted.shape[1] :]
        if given.shape == wanted.shape and torch.equal(given, wanted):
            return index
    return None


@pytest.mark.parametrize("arch", ["resnet50", "efficientnet_lite0", "test_vit", "densenet121"])
def test_layers_run_from_input_to_logits_and_hold_the_stages(build, arch):
    adapter = build(f"timm/{arch}").eval()
    layers, order = adapter.facts.layers, []
    handles = [
        adapter.network.get_submodule(path).register_forward_hook(
            lambda module, arguments, value, path=path: order.append(path)
        )
        for path in layers[:-1]
    ]
    adapter(torch.rand(1, 1, 8, 8))
    for handle in handles:
        handle.remove()
    assert layers == (*order, "logits")
    assert set(adapter.facts.stage_paths) <= set(layers)
    assert 5 <= len(layers) <= MAX_LAYERS
