"""`cnn-cells`: its size is that of its formula, at every shape it can have."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from workbench.models.weights import save_weights, weights_hash
from workbench.registries import MODELS

OPTIONS = {"widths": [4, 6, 8], "kernels": [3, 1, 5], "depths": [2, 1, 3], "head": 12}


def test_parameters_and_multiplications_are_those_of_the_formula(build):
    facts = build("cnn-cells", options=OPTIONS).facts
    convolutions = [  # kernel, channels before and after, pixels
        (3, 1, 4, 64), (3, 4, 4, 64), (1, 4, 6, 16), (5, 6, 8, 4), (5, 8, 8, 4), (5, 8, 8, 4),
        (1, 8, 12, 4),
    ]  # fmt: skip
    weights = sum(k * k * a * b for k, a, b, _ in convolutions)
    norms = sum(2 * after for _, _, after, _ in convolutions)
    assert facts.num_parameters == weights + norms + (12 + 1) * 10
    macs = sum(k * k * a * b * pixels for k, a, b, pixels in convolutions)
    assert facts.macs == macs + 12 * 10


def test_stages_are_the_last_map_of_each_resolution(build):
    adapter = build("cnn-cells", options=OPTIONS)
    shapes = adapter.shapes(["stage1", "stage2", "stage3"])
    assert shapes == {"stage1": (4, 8, 8), "stage2": (6, 4, 4), "stage3": (12, 2, 2)}


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (13, 32)])
def test_every_number_of_stages_and_size_trains(build, stages, size):
    options = {"widths": [3] * stages, "kernels": [5] * stages, "depths": [1] * stages, "head": 6}
    adapter = build("cnn-cells", options=options, channels=3, height=size[0], width=size[1])
    inputs = torch.rand(4, 3, *size, generator=torch.Generator().manual_seed(0))
    logits = adapter.train()(inputs)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 2])).backward()
    for parameter in adapter.network.parameters():
        assert torch.isfinite(parameter.grad).all()
    assert adapter.network.classifier.weight.grad.abs().sum() > 0


def test_what_the_classifier_reads_is_the_mean_of_the_last_stage(build):
    adapter = build("cnn-cells", options=OPTIONS).eval()
    inputs = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    taps = adapter.taps(inputs, ["stage3"])
    expected = adapter.network.classifier(taps["stage3"].mean(dim=(2, 3)))
    torch.testing.assert_close(taps["logits"], expected)


def test_a_saved_network_opens_in_a_process_that_never_named_its_kind(build, tmp_path):
    adapter = build("cnn-cells", options=OPTIONS)
    path = tmp_path / "cells.safetensors"
    save_weights(path, adapter, {"use": "cnn-cells", **OPTIONS})
    code = f"""
from pathlib import Path
from workbench.models.facts import ModelContext
from workbench.models.files import load_file
from workbench.models.weights import weights_hash
context = ModelContext(1, 8, 8, 10, (0.3,), (0.4,), 0)
print(weights_hash(load_file(Path({str(path)!r}), context, name="saved")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == weights_hash(adapter), done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": []}, "at least 1 item"),
        ({"widths": [4] * 5}, "at most 4 items"),
        ({"widths": [4, 0, 4]}, r"each width must be in 1\.\.512"),
        ({"depths": [1, 9, 1]}, r"each depth must be in 1\.\.8"),
        ({"kernels": [3, 2, 3]}, "Input should be 1, 3 or 5"),
        ({"widths": [4, 4]}, "one entry a stage each, got 2, 3 and 3 entries"),
        ({"head": 0}, "greater than or equal to 1"),
        ({"width": 4}, "Did you mean 'widths'"),
    ],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(ValidationError, match=text):
        MODELS.get("cnn-cells").model_validate({"use": "cnn-cells", **options})
