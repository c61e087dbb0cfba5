"""Modules that load at first use, so that maths can be described without loading torch."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """Stands for a module until one of its names is used.

    Unlike ``importlib.util.LazyLoader`` it leaves ``sys.modules`` alone, so a test can
    tell whether torch was really loaded.

    Example:
        >>> math = LazyModule("math")
        >>> math.sqrt(4.0)
        2.0
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self.__dict__["_name"]), attribute)
        self.__dict__[attribute] = value  # later look-ups cost what a module's do
        return value

    def __repr__(self) -> str:
        return f"<lazy module {self.__dict__['_name']!r}>"
