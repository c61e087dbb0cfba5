"""Workbench: knowledge distillation that you see live, touch while it runs, and replay.

Importing this loads neither torch nor pandas; names arrive at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.runs.experiment import Experiment
    from workbench.runs.expression import CE, CKA, DKD, KD, Hint, term
    from workbench.runs.pair import inspect_pair
    from workbench.runs.run import Run
    from workbench.store.store import Store

__version__ = "0.1.0"
__all__ = ["CE", "CKA", "DKD", "KD", "Experiment", "Hint", "Run", "Store", "inspect_pair", "term"]

_HOMES = {
    "CE": "workbench.runs.expression",
    "CKA": "workbench.runs.expression",
    "DKD": "workbench.runs.expression",
    "Experiment": "workbench.runs.experiment",
    "Hint": "workbench.runs.expression",
    "KD": "workbench.runs.expression",
    "Run": "workbench.runs.run",
    "Store": "workbench.store.store",
    "inspect_pair": "workbench.runs.pair",
    "term": "workbench.runs.expression",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext workbench``: a notebook's cell can become a module that runs find."""
    from workbench.runs.cells import load

    load(shell)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
