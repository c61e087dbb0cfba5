"""Losses as an expression in Python: ``0.9 * KD(temperature=4) + 0.1 * CE()``.

It builds the same mapping that an experiment file holds; there is no expression language in files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.errors import BadInput


@dataclass(frozen=True)
class TermExpression:
    """A term with its options; multiply by a number to weigh it."""

    use: str
    options: dict[str, Any] = field(default_factory=dict)
    weight: float | None = None

    def __mul__(self, factor: float) -> TermExpression:
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            return NotImplemented
        return replace(self, weight=factor * (1.0 if self.weight is None else self.weight))

    __rmul__ = __mul__

    def __add__(self, other: TermExpression | Sum) -> Sum:
        return Sum((self,)).__add__(other)

    def mapping(self) -> dict[str, Any]:
        """As in a file: ``{use, weight, options}``."""
        weight = {} if self.weight is None else {"weight": self.weight}
        return {"use": self.use, **weight, **self.options}


@dataclass(frozen=True)
class Sum:
    """Terms added up; each gets a key of its own."""

    terms: tuple[TermExpression, ...]

    def __add__(self, other: TermExpression | Sum) -> Sum:
        if isinstance(other, Sum):
            return Sum((*self.terms, *other.terms))
        return Sum((*self.terms, other)) if isinstance(other, TermExpression) else NotImplemented

    def __mul__(self, factor: float) -> Sum:
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            return NotImplemented
        return Sum(tuple(factor * term for term in self.terms))

    __rmul__ = __mul__

    def mapping(self) -> dict[str, dict[str, Any]]:
        """Key to term; a second term of one kind gets the key ``NAME-2``."""
        found: dict[str, dict[str, Any]] = {}
        for term in self.terms:
            key, number = term.use, 2
            while key in found:
                key, number = f"{term.use}-{number}", number + 1
            found[key] = term.mapping()
        return found


def as_mapping(terms: Sum | TermExpression | Mapping[str, Any]) -> dict[str, Any]:
    """Terms as a file holds them, from an expression or from a mapping of either.

    Raises:
        BadInput: If it is none of these.
    """
    if isinstance(terms, TermExpression):
        terms = Sum((terms,))
    if isinstance(terms, Sum):
        return terms.mapping()
    if not isinstance(terms, Mapping):
        raise BadInput(
            f"terms: a {type(terms).__name__} is no loss. Write 0.9 * KD(temperature=4) + 0.1 * "
            "CE(), or a mapping of key to term as in a file."
        )
    return {
        str(key): value.mapping() if isinstance(value, TermExpression) else value
        for key, value in terms.items()
    }


def term(use: str, **options: Any) -> TermExpression:
    """Any registered term by name: ``term("dkd", beta=8)``."""
    return TermExpression(use, options)


def CE(**options: Any) -> TermExpression:  # noqa: N802  (reads as the field writes it)
    """Cross-entropy with the labels."""
    return TermExpression("ce", options)


def KD(**options: Any) -> TermExpression:  # noqa: N802
    """Hinton's soft targets; ``temperature`` is 4 by default."""
    return TermExpression("kd", options)


def DKD(**options: Any) -> TermExpression:  # noqa: N802
    """Decoupled distillation."""
    return TermExpression("dkd", options)


def Hint(**options: Any) -> TermExpression:  # noqa: N802
    """Regress a teacher's layer through a learned projector."""
    return TermExpression("hint", options)


def CKA(**options: Any) -> TermExpression:  # noqa: N802
    """One minus CKA between two layers."""
    return TermExpression("cka", options)
