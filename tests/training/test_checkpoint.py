"""State trees come back bit for bit, and nothing else is ever read."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from workbench.errors import BadFile
from workbench.training.checkpoint import read_state, state_bytes

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=8),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers(0, 99)), inner, max_size=4),
    ),
    max_leaves=20,
)


def again(tmp_path, tree):
    path = tmp_path / "state.safetensors"
    path.write_bytes(state_bytes(tree))
    return read_state(path)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(TREES)
def test_any_tree_comes_back_with_types_keys_and_order(tmp_path_factory, tree):
    found = again(tmp_path_factory.mktemp("tree"), tree)
    assert repr(found) == repr(tree)


def test_every_float_comes_back_exactly(tmp_path):
    values = [0.1, 1 / 3, 5e-324, -0.0, math.inf, -math.inf, math.nan, 1e308]
    assert [x.hex() for x in again(tmp_path, values)] == [x.hex() for x in values]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_come_back_with_dtype_shape_and_bits(tmp_path, dtype):
    generator = torch.Generator().manual_seed(0)
    tensor = (torch.randn(3, 5, generator=generator) * 3).to(dtype)
    found = again(tmp_path, {"t": tensor, "scalar": tensor[0, 0], "empty": tensor[:0]})
    assert torch.equal(found["t"], tensor)
    assert found["t"].dtype == dtype
    assert found["scalar"].shape == ()
    assert found["empty"].shape == (0, 5)


def test_tied_and_transposed_tensors_are_saved_by_value(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    found = again(tmp_path, {"a": weight, "b": weight, "c": weight.T})
    assert torch.equal(found["a"], found["b"])
    assert torch.equal(found["c"], weight.T)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_an_optimiser_goes_on_with_the_same_bits(tmp_path, name):
    from workbench.registries import OPTIMISERS

    spec = OPTIMISERS.get(name).model_validate(
        {"use": name, "lr": 0.1, **({"momentum": 0.9} if name == "sgd" else {})}
    )

    def steps(model, optimiser, count: int, first: int) -> None:
        for step in range(first, first + count):
            data = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            optimiser.zero_grad()
            model(data).square().sum().backward()
            optimiser.step()

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimiser = spec.build([list(model.parameters())])
    optimiser.param_groups[0]["lr"] = 0.05
    steps(model, optimiser, 5, 0)
    kept = again(tmp_path, {"m": dict(model.state_dict()), "o": optimiser.state_dict()})
    steps(model, optimiser, 5, 5)
    other = torch.nn.Linear(3, 2)
    resumed = spec.build([list(other.parameters())])
    other.load_state_dict(kept["m"])
    resumed.load_state_dict(kept["o"])
    steps(other, resumed, 5, 5)
    assert torch.equal(other.weight, model.weight)


@pytest.mark.parametrize("leaf", [{1, 2}, object(), b"bytes", 1j])
def test_what_has_no_form_is_refused_with_its_place(leaf):
    with pytest.raises(TypeError, match=rf"state\.a\.0: {type(leaf).__name__} has no checkpoint"):
        state_bytes({"a": [leaf]})


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"x" * 4000])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"WB104.*state\.safetensors cannot be read"):
        read_state(path)


def test_another_safetensors_file_is_no_checkpoint(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(BadFile, match="is no checkpoint of this workbench"):
        read_state(tmp_path / "weights.safetensors")
