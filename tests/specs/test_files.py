"""Experiment files: hostile, broken and large ones are told apart in words, never a traceback."""

from __future__ import annotations

import os
import time

import pytest
import yaml

from workbench.errors import BadFile
from workbench.specs.files import MAX_BYTES, dump_yaml, parse_scalar, parse_yaml, read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
"""A billion laughs: 12 lines that stand for 9**11 values."""
MERGE_BOMB = "b0: &b0 {k0: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; an experiment needs name, data, teacher, student, stages"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n- b\n", "holds a list, not a mapping"),
        (b"just words", "holds a str, not a mapping"),
        (b"name: [1, 2", "is not valid YAML, line 1, column 12"),
        (b"name: a\nname: b\n", "line 2, column 1: the key 'name' is given twice"),
        (b"? [a, b]\n: c\n", "a key must be a plain word"),
        (b"a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (b"a: 2020-13-45", "holds a value that is none: month must be in 1..12"),
        (b"a: " + b"9" * 5000, "holds a value that is none"),
        (b"a: " + b"[" * 40_000, "nested too deeply"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is binary, not a YAML text file in UTF-8"),
        (b"name: a\x00b", "is binary"),
        (b"a: " + b"x" * MAX_BYTES, f"has {MAX_BYTES + 3} bytes; an experiment file has at most"),
        (BOMB.encode(), "stands for more than 100000 values"),
        (MERGE_BOMB.encode(), "stands for more than 100000 values"),
        (b"a: &a [*a]", "stands for more than 100000 values"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_that_is_no_experiment_is_told_why(tmp_path, content, said):
    path = tmp_path / "experiment.yaml"
    path.write_bytes(content)
    begun = time.process_time()
    with pytest.raises(BadFile) as caught:
        read_yaml(path)
    assert time.process_time() - begun < 5
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"[WB104] {path} ")
    assert len(message) < 1000


def test_what_is_no_file_is_told_apart(tmp_path):
    with pytest.raises(BadFile, match=r"No file .*missing\.yaml\. Give the path"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(BadFile, match="is a folder, not an experiment file"):
        read_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadFile, match="is no regular file, not an experiment file"):
        read_yaml(tmp_path / "pipe")
    with pytest.raises(BadFile, match="cannot be read: File name too long"):
        read_yaml(tmp_path / ("n" * 300))


def test_aliases_and_merges_that_stay_small_work():
    text = "base: &base {a: 1}\nmore: {<<: *base, b: 2}\nagain: *base\n"
    found = parse_yaml(text, source="text")
    assert found["more"] == {"a": 1, "b": 2}
    assert found["again"] == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ("words of text", "words of text"),
        ("", None),
        ("[1, a]", [1, "a"]),
        ("{use: kd, weight: 0.5}", {"use": "kd", "weight": 0.5}),
        ("'5'", "5"),
        ("{broken", "{broken"),
        ("2020-13-45", "2020-13-45"),
        ("a: b: c", "a: b: c"),
        ("[" * 40_000, "[" * 40_000),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_value_of_the_command_line_is_yaml_or_else_its_own_text(text, value):
    assert parse_scalar(text) == value


def test_dumped_text_loads_back_to_the_same_data_in_the_same_order():
    data = {"z": 1, "a": [0.1, 1e-300, "5e-4", "yes", None, True], "ü": {"quote": 'it\'s "x"\n'}}
    text = dump_yaml(data)
    assert yaml.safe_load(text) == data
    assert list(yaml.safe_load(text)) == ["z", "a", "ü"]


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\n", "\r", "\t"])
def test_rare_line_breaks_in_a_text_survive(mark):
    data = {"name": f"a{mark}b", "x": mark}
    assert yaml.safe_load(dump_yaml(data)) == data
