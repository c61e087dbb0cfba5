from __future__ import annotations

import pytest
import torch

from workbench.errors import BadModel, UnknownName
from workbench.models.timm_models import check_architecture, known_architectures, make_network

SMALL = [
    "resnet10t", "mobilenetv3_small_050", "convnext_atto", "test_vit", "efficientnet_lite0",
    "test_coatnet", "levit_128s", "test_nfnet", "regnetx_002", "ghostnet_050", "edgenext_xx_small",
    "test_mambaout", "xcit_nano_12_p8_224", "efficientformerv2_s0", "dla46x_c", "pvt_v2_b0",
]  # fmt: skip


def test_names_read_from_the_source_are_those_of_timm():
    import timm

    assert known_architectures() == set(timm.list_models())


@pytest.mark.parametrize("arch", SMALL)
def test_small_architectures_train_on_digits(build, arch):
    adapter = build(f"timm/{arch}").train()
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    taps = adapter.taps(images, adapter.facts.stages)
    loss = torch.nn.functional.cross_entropy(taps["logits"], torch.tensor([0, 4, 9]))
    (loss + taps[adapter.stage(1)].float().pow(2).mean()).backward()
    gradients = [parameter.grad for parameter in adapter.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("arch", ["resnet10t", "test_vit", "test_coatnet", "inception_v3"])
@pytest.mark.parametrize(
    ("channels", "classes", "height", "width"), [(4, 100, 64, 64), (3, 2, 13, 40), (1, 10, 28, 28)]
)
def test_any_channels_classes_and_size(build, arch, channels, classes, height, width):
    adapter = build(
        f"timm/{arch}", channels=channels, num_classes=classes, height=height, width=width
    ).eval()
    with torch.no_grad():
        assert adapter(torch.rand(2, channels, height, width)).shape == (2, classes)


@pytest.mark.parametrize(
    ("arch", "side", "expected"),
    [
        ("resnet10t", 8, 32),  # total stride 32: one cell
        ("resnet10t", 40, 40),  # convolutions take the data as it is
        ("test_vit", 8, 64),  # four tokens of 16 pixels a side
        ("test_vit", 72, 80),  # up to whole tokens
        ("swin_s3_tiny_224", 28, 32),
        ("inception_v3", 8, 96),  # the first size that survives its unpadded stem
    ],
)
def test_the_size_is_the_smallest_that_makes_sense(build, arch, side, expected):
    adapter = build(f"timm/{arch}", height=side, width=side)
    assert adapter.facts.input_size == (1, expected, expected)


def test_an_asked_size_is_kept_or_refused(build):
    adapter = build("timm/test_vit", options={"input_size": 48})
    assert adapter.facts.input_size == (1, 48, 48)
    with pytest.raises(BadModel, match=r"inception_v3: cannot be built.*16x16.*input_size"):
        build("timm/inception_v3", options={"input_size": 16})


def test_rates_reach_the_network(build):
    network = build("timm/resnet10t", options={"drop_rate": 0.25}).network
    assert network.drop_rate == 0.25


def test_unknown_architectures_offer_near_ones():
    with pytest.raises(UnknownName, match=r"WB101.*'vit_tini'.*nearest of"):
        check_architecture("vit_tini")
    with pytest.raises(UnknownName):
        check_architecture("hf-hub:someone/model")


@pytest.mark.parametrize(
    "argument", ["checkpoint_path", "pretrained", "pretrained_cfg", "features_only", "cache_dir"]
)
def test_arguments_that_load_files_are_refused(argument):
    with pytest.raises(BadModel, match=f"'{argument}' may not be given"):
        make_network("resnet10t", {argument: "x"})
