"""Distillation terms by name; nothing here loads torch."""

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
    "register_losses",
]
