from __future__ import annotations

import errno
import hashlib
import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.errors import BadFile, DiskFull
from workbench.models.weights import (
    load_weights,
    read_description,
    read_tensors,
    save_weights,
    weights_hash,
)


def test_the_hash_is_sha256_over_name_dtype_shape_and_little_endian_bytes():
    state = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7)}
    expected = hashlib.sha256()
    expected.update(b"a\0int64\0\0" + np.array(7, "<i8").tobytes())
    expected.update(b"b\0float32\x002x3\0" + np.arange(6, dtype="<f4").tobytes())
    assert weights_hash(state) == expected.hexdigest()


def test_the_hash_sees_name_dtype_shape_and_every_bit():
    base = {"w": torch.zeros(2, 3)}
    others = [
        {"v": torch.zeros(2, 3)},
        {"w": torch.zeros(2, 3, dtype=torch.int32)},
        {"w": torch.zeros(3, 2)},
        {"w": torch.zeros(2, 3).index_fill(0, torch.tensor([0]), -0.0)},
        {"w": torch.zeros(2, 3, dtype=torch.bfloat16)},
    ]
    assert len({weights_hash(state) for state in [base, *others]}) == 6


def test_the_hash_ignores_strides_and_the_order_of_names():
    matrix = torch.rand(4, 5)
    assert weights_hash({"a": matrix, "b": matrix}) == weights_hash(
        {"b": matrix.t().contiguous().t(), "a": matrix}
    )


def test_a_changed_buffer_changes_the_hash(build):
    adapter = build("cnn-tiny")
    before = weights_hash(adapter)
    adapter.network.blocks[0][1].running_mean += 1e-7
    assert weights_hash(adapter) != before


def test_a_saved_file_loads_in_plain_timm_with_the_same_logits(build, tmp_path):
    import timm

    adapter = build("timm/test_resnet").eval()
    save_weights(tmp_path / "model.safetensors", adapter, {"use": "timm/test_resnet"})
    plain = timm.create_model("test_resnet", num_classes=10, in_chans=1).eval()
    plain.load_state_dict(load_file(tmp_path / "model.safetensors"))
    images = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(plain(adapter.prepare(images)), adapter(images))
    assert weights_hash(plain) == weights_hash(adapter)
    assert weights_hash(read_tensors(tmp_path / "model.safetensors")) == weights_hash(adapter)


def test_header_and_sidecar_say_what_rebuilds_the_network(build, tmp_path):
    adapter = build("cnn-tiny")
    save_weights(tmp_path / "model.safetensors", adapter, {"use": "cnn-tiny"})
    description = read_description(tmp_path / "model.safetensors")
    assert description == json.loads((tmp_path / "model.json").read_text())
    assert description["spec"] == {"use": "cnn-tiny"}
    assert description["architecture"]["arguments"] == {"width": 6}


def test_tied_and_strided_tensors_are_saved_whole(tmp_path):
    base = torch.rand(4, 4)
    state = {"a": base, "tied": base, "part": base[1:3], "turned": base.t()}
    save_weights(tmp_path / "s.safetensors", state)
    assert weights_hash(load_file(tmp_path / "s.safetensors")) == weights_hash(state)


def test_a_full_disk_leaves_the_old_file_and_no_scraps(build, tmp_path, monkeypatch):
    adapter, path = build("cnn-tiny"), tmp_path / "model.safetensors"
    save_weights(path, adapter)
    before = weights_hash(read_tensors(path))
    with torch.no_grad():
        adapter.network.classifier.bias += 1

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=r"WB202.*no space for \d+ bytes"):
        save_weights(path, adapter)
    assert weights_hash(read_tensors(path)) == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_weights_of_another_network_are_listed_five_at_most(build, tmp_path):
    save_file({f"extra{i}": torch.zeros(1) for i in range(8)}, tmp_path / "x.safetensors")
    with pytest.raises(BadFile, match=r"WB104.*missing: .* and 9 more.*extra4 and 3 more"):
        load_weights(build("cnn-tiny").network, tmp_path / "x.safetensors")


def test_another_shape_is_named_on_both_sides(build, tmp_path):
    save_weights(tmp_path / "x.safetensors", build("cnn-tiny", num_classes=7))
    with pytest.raises(BadFile, match=r"classifier\.weight \(7, 12\) in the file, \(10, 12\)"):
        load_weights(build("cnn-tiny").network, tmp_path / "x.safetensors")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt", ".PTH"])
def test_pickles_are_refused_with_the_reason_and_the_way(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"\x80\x02")
    with pytest.raises(BadFile, match=r"can run code.*safetensors\.torch\.save_file"):
        read_tensors(path)


def test_missing_empty_and_damaged_files_are_told_apart(build, tmp_path):
    whole, path = tmp_path / "whole.safetensors", tmp_path / "m.safetensors"
    save_weights(whole, build("cnn-tiny"))
    with pytest.raises(BadFile, match="there is no such file"):
        read_tensors(path)
    path.write_bytes(b"")
    with pytest.raises(BadFile, match="is empty"):
        read_tensors(path)
    path.write_bytes(whole.read_bytes()[:-7])
    with pytest.raises(BadFile, match="no readable safetensors"):
        read_tensors(path)
    with pytest.raises(BadFile, match="is a folder"):
        read_tensors(tmp_path)
    with pytest.raises(BadFile, match=r"must end in \.safetensors"):
        save_weights(tmp_path / "m.pt", build("cnn-tiny"))
