"""Pure tensor functions: losses and measures. Importing them loads no torch."""

from __future__ import annotations

from workbench.functional import attention, cka, features, logits, loyalty, relations, trilateral
from workbench.functional.metadata import LOSSES, Loss, Parameter, loss

__all__ = [
    "LOSSES",
    "Loss",
    "Parameter",
    "attention",
    "cka",
    "features",
    "logits",
    "loss",
    "loyalty",
    "relations",
    "trilateral",
]
