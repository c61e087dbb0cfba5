from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

from workbench.errors import BadFile
from workbench.export import export_run
from workbench.export.weights import Student, expects, load_lines, student_of
from workbench.models.facts import Architecture
from workbench.models.weights import weights_hash
from workbench.store.runs import RunRow
from workbench.store.store import Store

TIMM = {"use": "timm/resnet10t", "drop_rate": 0.1}


def logits_elsewhere(
    lines: list[str], shape: tuple[int, ...], fresh: Callable[..., Any], folder: Path
) -> np.ndarray:
    """What a fresh process gets for fixed images from a network that the lines rebuild."""
    program = [
        *lines,
        "import torch",
        "torch.set_num_threads(1)",
        f"images = torch.linspace(-1, 1, {int(np.prod(shape))}).view{shape}",
        "with torch.no_grad():",
        "    logits = student.eval()(images)",
        "safetensors.torch.save_file({'logits': logits.contiguous()}, 'logits.safetensors')",
    ]
    done: subprocess.CompletedProcess[str] = fresh("-c", "\n".join(program), folder=folder)
    assert done.returncode == 0, done.stderr
    return np.asarray(load_arrays(folder / "logits.safetensors")["logits"])


@pytest.mark.parametrize("model", ["cnn-tiny", TIMM], ids=["own", "timm"])
def test_three_lines_load_it_in_a_fresh_process(
    model: Any,
    store: Store,
    train: Callable[..., RunRow],
    fresh: Callable[..., Any],
    tmp_path: Path,
):
    row = train({"student": model, "stages.main.steps": 2, "stages.main.batch_size": 8})
    student = student_of(store, store.runs.get(row.id))
    assert student.architecture is not None
    folder = tmp_path / 'it\'s "here" {0}'
    folder.mkdir()
    path = export_run(store, row.id, "weights", folder)
    assert path == folder / "student.safetensors"
    lines = load_lines(student, path)
    assert len(lines) == 3
    shape = (4, *student.architecture.input_size)
    found = logits_elsewhere(lines, shape, fresh, tmp_path)

    from workbench.models.architectures import make_network

    network = make_network(student.architecture, source="the test")
    network.load_state_dict(load_file(store.runs.folder(row.id) / "student.safetensors"))
    with torch.no_grad():
        expected = network.eval()(torch.linspace(-1, 1, int(np.prod(shape))).view(shape))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert np.ptp(found) > 0


def test_file_holds_the_recorded_tensors_under_plain_names(
    store: Store, nasty: RunRow, tmp_path: Path
):
    path = export_run(store, nasty.id, "weights", tmp_path / "mine.safetensors")
    tensors = load_file(path)
    assert weights_hash(tensors) == (nasty.result or {})["weights"]
    assert {"blocks.0.0.weight", "classifier.bias"} <= set(tensors)
    assert [item.name for item in tmp_path.iterdir()] == ["mine.safetensors"]
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["load"].splitlines()[-1].endswith('load_file("mine.safetensors"))')
    assert json.loads(header["workbench"])["architecture"]["name"] == "cnn-tiny"


def test_workbench_takes_it_as_a_teacher(
    store: Store, nasty: RunRow, train: Callable[..., RunRow], tmp_path: Path
):
    path = export_run(store, nasty.id, "weights", tmp_path)
    row = train({"teacher": f"path:{path}", "stages.main.steps": 2})
    assert (row.protocol or {})["teacher"]["hash"] == (nasty.result or {})["weights"]


def test_damaged_weights_are_not_passed_on(
    store: Store, train: Callable[..., RunRow], tmp_path: Path
):
    row = train({"stages.main.steps": 2})
    final = store.runs.folder(row.id) / "student.safetensors"
    content = bytearray(final.read_bytes())
    content[-1] ^= 1
    final.write_bytes(content)
    with pytest.raises(BadFile, match=r"not the weights that run .* recorded.*replay"):
        export_run(store, row.id, "weights", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_final_weights_gives_those_of_its_newest_checkpoint(
    store: Store, train: Callable[..., RunRow], tmp_path: Path
):
    row = train({"stages.main.steps": 3})
    (store.runs.folder(row.id) / "student.safetensors").unlink()
    store.runs.update(row.id, status="stopped")
    student = student_of(store, store.runs.get(row.id))
    assert student.step == 3
    path = export_run(store, row.id, "weights", tmp_path)
    assert weights_hash(load_file(path)) == (row.result or {})["weights"]


def test_lines_for_transformers_and_for_a_users_module():
    built = Architecture("transformers", "vit", (3, 32, 32), 10, (0.5,) * 3, (0.5,) * 3, {"a-b": 1})
    lines = load_lines(Student({}, {}, built, 1), "x.safetensors")
    assert lines[1] == (
        "student = tf.AutoModelForImageClassification.from_config("
        'tf.AutoConfig.for_model("vit", **{"a-b": 1}))'
    )
    assert "mean [0.5, 0.5, 0.5]" in str(expects(Student({}, {}, built, 1)))
    own = Student({}, {"use": "object", "of": "x)\nimport os"}, None, 1)
    assert "import os" not in "\n".join(load_lines(own, "x.safetensors"))
    assert expects(own) is None
