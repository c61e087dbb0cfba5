"""Pure tensor functions: losses and measures. Importing them loads no torch."""

from __future__ import annotations

from workbench.functional import (
    attention,
    binary,
    calibration,
    cka,
    contrast,
    divergences,
    features,
    logits,
    loyalty,
    relations,
    soft_targets,
    token_graph,
    trilateral,
)
from workbench.functional.metadata import LOSSES, Loss, Parameter, loss

__all__ = [
    "LOSSES",
    "Loss",
    "Parameter",
    "attention",
    "binary",
    "calibration",
    "cka",
    "contrast",
    "divergences",
    "features",
    "logits",
    "loss",
    "loyalty",
    "relations",
    "soft_targets",
    "token_graph",
    "trilateral",
]
