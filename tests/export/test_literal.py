from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.export.literal import call, inline, literal, text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_literal_reads_back_as_the_same_data(value: Any):
    read = ast.literal_eval(literal(value))
    assert read == value
    assert repr(read) == repr(value)  # -0.0, True and 1 are told apart


@given(st.text())
def test_text_is_one_printable_line(value: str):
    source = text(value)
    assert ast.literal_eval(source) == value
    assert source.isprintable()
    assert len(source.splitlines()) == 1


def test_hostile_text_is_one_constant_and_no_code(hostile: str):
    tree = ast.parse(f"NAME = {text(hostile)}\n")
    assert len(tree.body) == 1
    (assignment,) = tree.body
    assert isinstance(assignment, ast.Assign)
    assert isinstance(assignment.value, ast.Constant)
    assert assignment.value.value == hostile


def test_unpaired_surrogate_survives_a_file_in_utf8():
    source = literal({"name": "\udcff"}).encode().decode()
    assert ast.literal_eval(source) == {"name": "\udcff"}


def test_one_key_stands_on_one_line():
    source = literal({"a": {"b": 1, "c": [1, 2]}, "d": {}})
    assert source.splitlines() == [
        "{",
        '    "a": {',
        '        "b": 1,',
        '        "c": [1, 2],',
        "    },",
        '    "d": {},',
        "}",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: "a"}, object(), b"x", {1, 2}])
def test_what_has_no_literal_is_refused(value: Any):
    with pytest.raises(TypeError, match=r"has no literal|is no text"):
        literal(value)
    with pytest.raises(TypeError, match=r"has no literal|is no text"):
        inline(value)


@pytest.mark.parametrize("name", ["x=1, y", "class", "a b", "x);import os;(", "ｆull"])
def test_argument_that_is_no_identifier_travels_as_data(name: str):
    made = ast.parse(call("f", "a", named={name: 1}), mode="eval").body
    assert isinstance(made, ast.Call)
    (keyword,) = made.keywords
    assert keyword.arg is None
    assert ast.literal_eval(keyword.value) == {name: 1}


def test_call_reads_like_one_by_hand():
    assert call("f", "a", (1, 8), named={"width": 4}) == 'f("a", (1, 8), width=4)'
