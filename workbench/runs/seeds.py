"""Runs of one experiment, seed by seed: mean, sd, and the paired difference to their controls.

Unusual here: fewer than three pairs get no interval but a sentence that says why; student and
control of one seed share initial weights and data order, so the interval is that of the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from workbench.functional.quantiles import student_t_quantile

LEVEL = 0.95
FEWEST = 3
"""Pairs that an interval takes: with two, Student's t has one degree of freedom."""
CONTROLS = {"control": "difference", "plain_kd": "difference_to_plain_kd"}
"""A control's part to the name of the student's paired difference to it."""


def summary(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds and paired differences, student minus control.

    Args:
        results: The fixed JSON of each run, in the order of their seeds.

    Returns:
        ``seeds`` (of the runs that have numbers), for ``student``, ``control`` and, if asked for,
        ``plain_kd``: metric to ``{mean, sd, n}``; None where no run has that part. ``difference``
        (and ``difference_to_plain_kd``): metric to ``{mean, sd, n, interval, why}``.
    """
    metrics = [found["metrics"] for found in results if (found.get("metrics") or {}).get("student")]
    done = [found for found in results if (found.get("metrics") or {}).get("student")]
    told: dict[str, Any] = {
        "seeds": [(found.get("protocol") or {}).get("seed") for found in done],
        "level": LEVEL,
        "student": spread([part["student"] for part in metrics]),
    }
    for part, difference in CONTROLS.items():
        pairs = [(one["student"], one[part]) for one in metrics if one.get(part)]
        if part == "control" or any(part in (found.get("metrics") or {}) for found in results):
            told[part] = spread([control for _, control in pairs])
            told[difference] = paired(pairs)
    return told


def spread(numbers: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]] | None:
    """Mean, sample standard deviation (n - 1) and n of each metric that all have.

    None without numbers.
    """
    if not numbers:
        return None
    return {name: _moments([one[name] for one in numbers]) for name in shared(numbers)}


def paired(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]],
) -> dict[str, dict[str, Any]] | None:
    """First minus second of each pair, with the 95 % interval of the mean (Student's t).

    Returns:
        Metric to ``{mean, sd, n, interval, why}``: ``interval`` is ``[low, high]`` or None, and
        then ``why`` says why not. None without pairs.
    """
    if not pairs:
        return None
    found = {}
    for name in shared([numbers for pair in pairs for numbers in pair]):
        told = _moments([student[name] - control[name] for student, control in pairs])
        found[name] = {**told, **_interval(told)}
    return found


def shared(numbers: Sequence[Mapping[str, float]]) -> list[str]:
    """Metrics that all of them have, in the order of the first; an older run may have fewer."""
    return [name for name in numbers[0] if all(name in one for one in numbers)]


def _moments(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": fmean(values),
        "sd": stdev(values) if len(values) > 1 else None,
        "n": len(values),
    }


def _interval(told: Mapping[str, Any]) -> dict[str, Any]:
    n = told["n"]
    if n < FEWEST:
        seeds = "one seed" if n == 1 else f"{n} seeds"
        return {
            "interval": None,
            "why": f"{seeds}: an interval takes at least {FEWEST}; run more (--seeds 5)",
        }
    half = student_t_quantile((1 + LEVEL) / 2, n - 1) * told["sd"] / math.sqrt(n)
    return {"interval": [told["mean"] - half, told["mean"] + half], "why": None}
