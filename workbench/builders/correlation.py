"""Does the score rank students as training does? Measured, beside the parameter count alone.

Unusual here: a training-free score is a promise about accuracies, so some random candidates of the
same space and budget are trained and the rank correlation is shown with its interval. On sklearn's
digits DisWOT's scores do not rank students at all while their parameter counts do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import torch

from workbench.builders.search import Scored, Search
from workbench.errors import BadFile, BadModel
from workbench.functional.similarity import spearman
from workbench.randomness import key

LEAST = 4
"""Candidates below which a rank correlation has no interval."""
CERTAIN = 1 - 1e-12
"""Correlations beyond are those of equal orders; an interval of them says nothing."""


def rank_correlations(
    accuracies: Sequence[float], scores: Mapping[str, Sequence[float]], *, confidence: float = 0.95
) -> dict[str, dict[str, float | None]]:
    """Spearman's rank correlation of each score with the accuracies, ties at their mean rank.

    Args:
        accuracies: Of each candidate, length n.
        scores: By name, each of length n.
        confidence: Coverage of the interval, in (0, 1).

    Returns:
        By name ``rho`` in [-1, 1], ``low`` and ``high``. ``rho`` is None where a side is constant
        or has fewer than two numbers; the interval is None too for n < 4 and for equal orders.

    Raises:
        ValueError: If the lengths differ.

    Reference:
        Bonett, Wright 2000, Psychometrika 65: Fisher's z, variance (1 + rho² / 2) / (n - 3).

    Example:
        >>> found = rank_correlations([0.1, 0.2, 0.3], {"parameters": [10, 30, 20]})
        >>> round(found["parameters"]["rho"], 3)
        0.5
    """
    found: dict[str, dict[str, float | None]] = {}
    for name, values in scores.items():
        if len(values) != len(accuracies):
            raise ValueError(f"{name} has {len(values)} numbers, accuracy has {len(accuracies)}.")
        rho = _rho(values, accuracies)
        low, high = _interval(rho, len(values), confidence)
        found[name] = {"rho": rho, "low": low, "high": high}
    return found


class Study:
    """Trains random candidates of a search one by one and correlates; a candidate a step.

    Args:
        search: Gives candidates and their scores; its own state stays as it is.
        train: Trains the model that a plain mapping names, by plain KD and the same for all, and
            returns its accuracy in [0, 1] on rows that choose nothing else.

    Attributes:
        candidates: What is trained, pure in the search's seed, within its budget; may be fewer
            than asked for where the budget leaves fewer.

    Raises:
        BadModel: If a candidate has no finite score.

    Reference:
        Dong, Li, Wei 2023 (DisWOT), arXiv:2303.15678, §4: rank correlation with distilled accuracy.
    """

    def __init__(self, search: Search, train: Callable[[Mapping[str, Any]], float]) -> None:
        self._search, self._train = search, train
        self.candidates = search.sample(search.spec.measure)
        self._scored: list[Scored] = []
        self._accuracies: list[float] = []

    @property
    def total(self) -> int:
        """Candidates that are trained."""
        return len(self.candidates)

    @property
    def steps(self) -> int:
        """Candidates that were trained."""
        return len(self._accuracies)

    @property
    def done(self) -> bool:
        """Whether all were trained."""
        return self.steps >= self.total

    def step(self) -> None:
        """Train the next candidate and score it."""
        if self.done:
            return
        candidate = self.candidates[self.steps]
        scored = self._judged(self.steps)
        self._accuracies.append(float(self._train(self._search.mapping(candidate))))
        self._scored.append(scored)

    def row(self) -> dict[str, float]:
        """Accuracy and scores of the last candidate; empty before the first."""
        if not self._accuracies:
            return {}
        values = {name: numbers[-1] for name, numbers in self._columns().items()}
        return {"accuracy": self._accuracies[-1], **values}

    def state(self) -> dict[str, Any]:
        """The accuracies so far, as JSON values."""
        return {"study": self._identity(), "accuracies": list(self._accuracies)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave; scores are computed again.

        Raises:
            BadFile: If it is damaged, or of another search.
        """
        accuracies = state.get("accuracies")
        if state.get("study") != self._identity() or not isinstance(accuracies, list):
            raise BadFile(
                "The state of the measured correlation is damaged or of another search. "
                "Resume with the experiment it was saved by, or measure anew."
            )
        if len(accuracies) > self.total or not all(type(value) is float for value in accuracies):
            raise BadFile("The state of the measured correlation is damaged. Measure anew.")
        self._accuracies = list(accuracies)
        self._scored = [self._judged(index) for index in range(self.steps)]

    def result(self) -> dict[str, Any]:
        """What was measured, as JSON values.

        Returns:
            ``n``; ``spearman``, each score and the parameter count with ``rho``, ``low``, ``high``
            (95 %); ``candidates``: mapping, accuracy and scores of each.
        """
        columns = self._columns()
        return {
            "n": self.steps,
            "spearman": rank_correlations(self._accuracies, columns),
            "candidates": [
                {
                    "student": self._search.mapping(self.candidates[index]),
                    "accuracy": accuracy,
                    **{name: numbers[index] for name, numbers in columns.items()},
                }
                for index, accuracy in enumerate(self._accuracies)
            ],
        }

    def _columns(self) -> dict[str, list[float]]:
        """Scores by name, then the counts that need no teacher."""
        columns = {"relation": [scored.relation for scored in self._scored]}
        semantic = [scored.semantic for scored in self._scored if scored.semantic is not None]
        if len(semantic) == self.steps:
            columns["semantic"] = semantic
            pairs = zip(columns["relation"], semantic, strict=True)
            columns["diswot"] = [relation + other for relation, other in pairs]
        columns["parameters"] = [float(scored.parameters) for scored in self._scored]
        columns["macs"] = [float(scored.macs) for scored in self._scored]
        return columns

    def _judged(self, index: int) -> Scored:
        scored = self._search.evaluate(self.candidates[index])
        if scored is None:
            raise BadModel(
                f"search: {self._search.mapping(self.candidates[index])} has no finite score, so "
                "its rank means nothing. Look at the data, or set `measure: 0`."
            )
        return scored

    def _identity(self) -> int:
        return key([self._search.mapping(candidate) for candidate in self.candidates])


def _rho(values: Sequence[float], accuracies: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    sides = [torch.tensor([list(side)], dtype=torch.float64) for side in (values, accuracies)]
    rho = float(spearman(*sides))
    return None if math.isnan(rho) else rho


def _interval(
    rho: float | None, count: int, confidence: float
) -> tuple[float | None, float | None]:
    if rho is None or count < LEAST or abs(rho) > CERTAIN:
        return None, None
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + rho**2 / 2) / (count - 3))
    centre = math.atanh(rho)
    return math.tanh(centre - half), math.tanh(centre + half)
