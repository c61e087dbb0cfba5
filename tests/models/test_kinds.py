from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from workbench.errors import BadModel, UnknownName
from workbench.models.weights import weights_hash
from workbench.registries import MODELS

DECLARING = """
import sys, workbench.models
from workbench.registries import MODELS
assert {"cnn-small", "cnn-tiny", "mlp", "timm/", "hub:", "path:", "run:"} <= set(MODELS.names())
MODELS.get("timm/resnet10t").model_validate({"use": "timm/resnet10t", "drop_rate": 0.1})
MODELS.get("hub:a/b").model_validate({"use": "hub:timm/resnet18.a1_in1k"})
loaded = {"torch", "timm", "transformers", "pandas", "huggingface_hub"} & set(sys.modules)
assert not loaded, loaded
"""


def parse(use, **options):
    return MODELS.get(use).model_validate({"use": use, **options})


def test_models_are_declared_and_validated_without_torch_or_a_model_library():
    subprocess.run([sys.executable, "-c", DECLARING], check=True)


def test_initial_weights_are_a_pure_function_of_the_seed(build):
    torch.manual_seed(1)
    first = weights_hash(build("timm/test_resnet", seed=3))
    torch.manual_seed(2)
    torch.rand(5)
    assert weights_hash(build("timm/test_resnet", seed=3)) == first
    assert weights_hash(build("timm/test_resnet", seed=4)) != first


@pytest.mark.parametrize("use", ["cnn-small", "timm/test_vit"])
def test_building_draws_nothing_from_the_global_random_state(build, use):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    build(use)
    assert torch.equal(torch.rand(3), expected)


def test_a_seed_of_62_bits_is_taken_whole(build):
    high, low = 2**61 + 5, 5
    assert weights_hash(build("cnn-tiny", seed=high)) != weights_hash(build("cnn-tiny", seed=low))


def test_default_dtype_of_the_user_does_not_reach_the_weights(build):
    expected = weights_hash(build("cnn-tiny"))
    torch.set_default_dtype(torch.float64)
    try:
        assert weights_hash(build("cnn-tiny")) == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownName, match=r"WB101.*'cnn-smal'.*Did you mean 'cnn-small'"):
        MODELS.get("cnn-smal")
    with pytest.raises(ValidationError, match=r"'resnet10x'. Did you mean 'resnet10t'\?"):
        parse("timm/resnet10x")


def test_crossvit_is_refused_with_the_reason():
    with pytest.raises(ValidationError, match="taps miss a branch"):
        parse("timm/crossvit_tiny_240")


@pytest.mark.parametrize(
    ("use", "options", "text"),
    [
        ("cnn-small", {"width": 0}, "greater than or equal to 1"),
        ("cnn-small", {"depth": 3}, "no such field"),
        ("cnn-small", {"input_size": 4}, "greater than or equal to 8"),
        ("mlp", {"hidden": []}, "at least 1 item"),
        ("mlp", {"hidden": [64, 0]}, r"each width must be in 1\.\.8192"),
        ("timm/resnet10t", {"drop_rate": 1.0}, "less than 1"),
        ("timm/resnet10t", {"pretrained": True}, "no such field"),
        ("hub:resnet18", {}, "write hub:ORG/NAME"),
        ("run:abc", {}, "write run:RUN@last"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_built(use, options, text):
    with pytest.raises(ValidationError, match=text):
        parse(use, **options)


def test_what_was_given_comes_back():
    data = {"use": "mlp", "input_size": 16, "hidden": [32, 16]}
    assert parse("mlp", input_size=16, hidden=[32, 16]).given() == data


def test_input_size_resizes_the_data(build):
    adapter = build("cnn-tiny", options={"input_size": 16})
    assert adapter.facts.input_size == (1, 16, 16)
    assert adapter.eval()(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_a_run_without_a_store_says_so(build):
    with pytest.raises(BadModel, match=r"run:r1@last: there is no store.*path:FILE"):
        build("run:r1@last")


def test_an_option_that_an_architecture_lacks_is_named(build):
    with pytest.raises(BadModel, match=r"WB106.*drop_path_rate"):
        build("timm/vgg11", options={"drop_path_rate": 0.1}, height=32, width=32)
