"""Experiment files: read and written as plain YAML, with errors that say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workbench.errors import BadFile

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
"""Values that a file may hold, counting what an alias stands for each time: a few lines of aliases
of aliases could otherwise stand for more than any memory."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool)):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a plain word", key_node.start_mark
            )
        if key in result:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, *, source: str) -> dict[str, Any]:
    """Plain data of an experiment from YAML text.

    Raises:
        BadFile: If the text is empty, not YAML, or not a mapping.
    """
    try:
        data = _load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise BadFile(f"{source} is not valid YAML{where}: {problem}.") from None
    except RecursionError:
        raise BadFile(f"{source} is nested too deeply to be an experiment.") from None
    except ValueError as error:  # a date such as 2020-13-45, a number of 5000 digits
        raise BadFile(f"{source} holds a value that is none: {error}.") from None
    if data is None:
        raise BadFile(
            f"{source} is empty; an experiment needs name, data, teacher, student, stages."
        )
    if not isinstance(data, dict):
        raise BadFile(
            f"{source} holds a {type(data).__name__}, not a mapping; "
            "an experiment is `name: ...`, `data: ...`, `teacher: ...` and so on."
        )
    return {str(key): value for key, value in data.items()}


def read_yaml(path: Path) -> dict[str, Any]:
    """Plain data of an experiment file.

    Raises:
        BadFile: If it is missing, a folder, unreadable, too large, binary, empty, not a mapping.
    """
    source = f"{path}"
    try:
        if not path.exists():
            raise BadFile(
                f"No file {source}. Give the path of a YAML file, or the name of a recipe."
            )
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise BadFile(f"{source} is {what}, not an experiment file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadFile(f"{source} has {size} bytes; an experiment file has at most {MAX_BYTES}.")
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise BadFile(f"{source} is binary, not a YAML text file in UTF-8.") from None
    except OSError as error:
        raise BadFile(f"{source} cannot be read: {error.strerror}.") from None
    if "\x00" in text:
        raise BadFile(f"{source} is binary, not a YAML text file in UTF-8.")
    return parse_yaml(text, source=source)


class _Dumper(yaml.SafeDumper):
    """Writes rare line breaks as escapes: within plain quotes a reader folds them to a space."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump_yaml(data: Any) -> str:
    """YAML text of plain data, keys in their order; loads back to the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def parse_scalar(text: str) -> Any:
    """The value of ``--set path=value``: YAML, so numbers, words, lists and mappings work."""
    try:
        return _load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded(node, {}) > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"it stands for more than {MAX_NODES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node with every alias written out; too many where it contains itself."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # met again before it is counted: it contains itself
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        flat = (
            part for child in children for part in (child if isinstance(child, tuple) else (child,))
        )
        known[id(node)] = 1 + sum(_expanded(child, known) for child in flat)
    return known[id(node)]
