"""Distillation terms by name; nothing here loads torch."""

from workbench.terms import (
    contrast,
    further_heads,
    learned,
    masked,
    mix,
    multistage,
    ratios,
    remembering,
)
from workbench.terms.losses import FeatureTerm, LossTerm, register_losses
from workbench.terms.term import Term, TermContext, TermKind, TermValue

register_losses()

__all__ = [
    "FeatureTerm",
    "LossTerm",
    "Term",
    "TermContext",
    "TermKind",
    "TermValue",
    "contrast",
    "further_heads",
    "learned",
    "masked",
    "mix",
    "multistage",
    "ratios",
    "register_losses",
    "remembering",
]
