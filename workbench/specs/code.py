"""Whose code an experiment runs: kinds with their places, and what a reader's own module says now.

Weights that were trained by own code belong to that code: a network whose forward pass was edited
has the same words, the same first weights, and other last ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

from workbench.specs.base import Kind, Spec

HERE: Final = "__main__"
VERSIONED: Final = sys.stdlib_module_names | {
    "workbench", "workbench_widgets", "torch", "timm", "transformers", "pydantic"
}  # fmt: skip
"""Packages whose version stands in the fingerprint, or whose code trains nothing."""


def kinds(value: Any, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Every kind in an experiment, or in a part of one, with the path at which it stands."""
    if isinstance(value, Kind):
        yield path, value
    if isinstance(value, Spec):
        for name in type(value).model_fields:
            yield from kinds(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from kinds(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from kinds(item, f"{path}.{place}")


def own_code(classes: Iterable[type]) -> dict[str, str]:
    """SHA-256 of what some classes are made of, by module, but for :data:`VERSIONED`.

    That is the module's file; of a class of the script or the notebook that runs its own methods,
    since what else changes there has nothing to do with it. What they import is not looked at.

    Args:
        classes: Of kinds and networks; those that they derive from count as well.
    """
    found = {}
    for one in sorted({base for kind in classes for base in kind.__mro__}, key=_name):
        name = one.__module__
        file = getattr(sys.modules.get(name), "__file__", None)
        if name.partition(".")[0] in VERSIONED:
            continue
        if name == HERE or file is None:
            found[_name(one)] = hashlib.sha256(repr(_methods(one)).encode()).hexdigest()
            continue
        with contextlib.suppress(OSError):  # taken away since, or within an archive
            found[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return found


def _name(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"


def _methods(one: type) -> list[Any]:
    """What the methods of a class do, wherever they were typed."""
    found = [(name, value) for name, value in vars(one).items() if isinstance(value, FunctionType)]
    return [(name, _done(value.__code__)) for name, value in sorted(found)]


def _done(code: CodeType) -> list[Any]:
    return [code.co_code, code.co_names, [_constant(item) for item in code.co_consts]]


def _constant(item: Any) -> Any:
    if isinstance(item, frozenset):  # ``x in {"a", "b"}``: in another order in each process
        return sorted(map(repr, item))
    return _done(item) if isinstance(item, CodeType) else item
