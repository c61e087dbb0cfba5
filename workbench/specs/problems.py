"""Validation errors in a user's words: path, value, what is allowed, nearest valid name."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from workbench.errors import InvalidExperiment

_WORDS = {
    "missing": "is missing; it is required",
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be ≥ {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be ≤ {le}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_short": "must have at least {min_length} entry",
    "literal_error": "must be one of {expected}",
}


def invalid(error: ValidationError, *, source: str) -> InvalidExperiment:
    """The one error that carries all problems of a validation."""
    return InvalidExperiment([sentence(item) for item in error.errors()], source=source)


def sentence(item: Any) -> str:
    """One problem: ``path: what is wrong (got value)``."""
    path = ".".join(str(part) for part in item["loc"]) or "the file"
    kind = item["type"]
    text = _WORDS[kind].format(**item.get("ctx", {})) if kind in _WORDS else _own(item["msg"])
    if kind in {"missing", "unknown_field", "unknown_name", "stages"}:  # the words have the value
        return f"{path}: {text}"
    return f"{path}: {text} (got {_short(item['input'])})"


def _own(message: str) -> str:
    return message.removeprefix("Value error, ")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
