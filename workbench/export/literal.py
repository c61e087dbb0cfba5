"""Plain data as Python source: what a user typed stays data, whatever characters it has.

Unusual here: every text passes through ``repr``, which escapes quotes, backslashes, line breaks,
control characters and unpaired surrogates, so no text can end its literal. Nothing else of a user
goes into generated code, comments included.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import Any

INDENT = 4
WIDTH = 88
"""Columns up to which a list of plain values stays on one line."""


def literal(value: Any, *, indent: int = 0) -> str:
    """Python source of plain data, one key a line, the same for the same data.

    Args:
        value: Mappings with text keys, lists, tuples, texts, numbers, truth values, None.
        indent: Spaces before the line on which the literal begins.

    Raises:
        TypeError: For anything else, which has no literal.

    Example:
        >>> print(literal({"lr": 0.05, "terms": {}}))
        {
            "lr": 0.05,
            "terms": {},
        }
    """
    inside = indent + INDENT
    if isinstance(value, Mapping) and value:
        lines = [
            f"{' ' * inside}{_key(key)}: {literal(item, indent=inside)},\n"
            for key, item in value.items()
        ]
        return f"{{\n{''.join(lines)}{' ' * indent}}}"
    if isinstance(value, (list, tuple)) and value:
        flat = inline(value)
        if all(_is_leaf(item) for item in value) and indent + len(flat) <= WIDTH:
            return flat
        lines = [f"{' ' * inside}{literal(item, indent=inside)},\n" for item in value]
        opening, closing = "()" if isinstance(value, tuple) else "[]"
        return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"
    return inline(value)


def inline(value: Any) -> str:
    """Python source of plain data on one line.

    Raises:
        TypeError: For what has no literal.

    Example:
        >>> print(inline({"name": "it's", "sizes": (8,)}))
        {"name": "it's", "sizes": (8,)}
    """
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)}: {inline(item)}' for key, item in value.items())}}}"
    if isinstance(value, tuple):
        comma = "," if len(value) == 1 else ""
        return f"({', '.join(map(inline, value))}{comma})"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    raise TypeError(f"{type(value).__name__} {value!r} has no literal")


def text(value: str) -> str:
    """A text as a literal on one line, in double quotes where that needs no escape."""
    quoted = repr(str(value))
    if quoted.startswith("'") and '"' not in quoted:  # then there is no single quote inside
        return f'"{quoted[1:-1]}"'
    return quoted


def call(function: str, *given: Any, named: Mapping[str, Any]) -> str:
    """Source of a call; names that are no identifiers travel as data.

    Args:
        function: Our own words, never a user's.
        given: Positional arguments, plain data.
        named: Arguments by name, plain data; names may come from a file.
    """
    words = [inline(value) for value in given]
    if all(_is_identifier(name) for name in named):
        words += [f"{name}={inline(value)}" for name, value in named.items()]
    else:
        words.append(f"**{inline(named)}")
    return f"{function}({', '.join(words)})"


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} is no text")
    return text(key)


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_identifier(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
