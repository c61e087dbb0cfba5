"""The rows of a comparison in words and on one axis, from what the command line prints too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from workbench_widgets.skeleton import nice_ticks
from workbench_widgets.words import MINUS, NONE, count, fixed, percent

from workbench.dashboard import wording
from workbench.runs.comparison import Measure

COLUMNS = (
    ("probe-last", "last", "probe accuracy, %"),
    ("probe-best", "best (optimistic)", "probe accuracy, %"),
    ("probe-lately", "mean of last k", "probe accuracy, %"),
    ("test-accuracy", "accuracy, %", "test"),
    ("test-nll", "NLL, nats", "test"),
    ("test-ece", "ECE, %", "test"),
)
"""Numbers of the table: name, head, and the head above it."""
ON_PROBE = {"test-nll": "probe-nll", "test-ece": "probe-ece"}
"""What stands in a cell until test has been read."""


def row_of(row: Mapping[str, Any], measure: Measure, style: Mapping[str, str]) -> dict[str, Any]:
    """One row: who it is, how far it is, its cells and its difference.

    Args:
        row: A setting of the comparison.
        measure: That differences are of.
        style: Its role and dash.
    """
    runs = row["runs"]
    live = next((run for run in runs if run["live"]), None)
    ended = sum(run["status"] == "finished" for run in runs)
    seeds = f"{count(len(runs))} seeds" if len(runs) > 1 else f"seed {runs[0]['seed']}"
    words = [seeds, f"{count(runs[0]['steps'])} steps" if runs[0]["steps"] else ""]
    if live is not None:
        icon, word = wording.CHIPS[live["status"]]
        words = [seeds, f"{icon} {word}, step {count(live['step'])} of {count(live['steps'])}"]
    elif ended < len(runs):
        odd = next(run for run in runs if run["status"] != "finished")
        icon, word = wording.CHIPS[odd["status"]]
        words = [seeds, f"{icon} {word} at step {count(odd['step'])}"]
    return {
        **style,
        "run": row["run"],
        "name": row["name"],
        "part": row["part"],
        "words": " · ".join(filter(None, words)),
        "live": live is not None,
        "cells": [_cell(row, name) for name, *_ in COLUMNS],
        "difference": _difference(row["difference"], measure),
        "runs": [{"run": run["of"], "seed": run["seed"]} for run in runs],
    }


def _cell(row: Mapping[str, Any], name: str) -> list[str]:
    """A number and what stands under it."""
    numbers = row["numbers"]
    if name not in numbers and ON_PROBE.get(name) in numbers:
        found, under = numbers[ON_PROBE[name]], "on probe"
    elif name in numbers:
        found, under = numbers[name], ""
    else:
        return [NONE, "at the end" if any(run["live"] for run in row["runs"]) else ""]
    share = "nll" not in name
    scale, digits = (100, 1) if share else (1, 3)
    if found["sd"] is not None and not under:
        under = f"sd {fixed(scale * found['sd'], digits)}"
    if 1 < found["n"] < len(row["runs"]):
        under = f"{under}, {found['n']} of {len(row['runs'])}"
    if name == "probe-lately":
        looks = [run["probe"]["k"] for run in row["runs"] if run["probe"] and run["probe"]["k"]]
        under = f"{under}{', ' if under else ''}k = {max(looks)}" if looks else under
    return [fixed(scale * found["mean"], digits), under]


def _difference(told: Mapping[str, Any] | None, measure: Measure) -> dict[str, Any] | None:
    """Points, mean and interval in the unit of the axis; None for the baseline itself."""
    if told is None:
        return None
    if told["refused"]:
        return {"refused": told["refused"]}
    scale = measure.scale
    interval = told["interval"] and [scale * end for end in told["interval"]]
    spread = (
        f"{_signed(interval[0], measure)} to {_signed(interval[1], measure)}" if interval else ""
    )
    return {
        "refused": "",
        "points": [
            {
                "seed": pair["seed"],
                "value": scale * pair["value"],
                "text": f"seed {pair['seed']}: {_signed(scale * pair['value'], measure)}",
            }
            for pair in told["pairs"]
        ],
        "mean": scale * told["mean"],
        "text": _signed(scale * told["mean"], measure),
        "interval": interval,
        "interval_text": spread or "too few for an interval",
        "verdict": _verdict(interval, measure),
        "why": told["why"] or "",
    }


def _verdict(interval: Sequence[float] | None, measure: Measure) -> str:
    """What the interval says, in words; nothing where there is none."""
    if not interval:
        return ""
    if interval[0] <= 0 <= interval[1]:
        return "not told apart"
    return "better" if (interval[0] > 0) == measure.higher else "worse"


def _signed(value: float, measure: Measure) -> str:
    digits = 2 if measure.unit == "%" else 3
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def axis_of(settings: Sequence[Mapping[str, Any]], measure: Measure) -> dict[str, Any]:
    """Of all differences, zero included: ``low``, ``high`` and ticks, in the measure's unit."""
    found = [0.0]
    for row in settings:
        told = row["difference"]
        if told and not told["refused"]:
            found += [pair["value"] for pair in told["pairs"]] + list(told["interval"] or ())
    low, high = measure.scale * min(found), measure.scale * max(found)
    if high == low:
        low, high = -1.0, 1.0
    ticks = nice_ticks(high - low)
    step = ticks[1] if len(ticks) > 1 else high - low
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return {
        "low": first * step,
        "high": last * step,
        "ticks": [
            {"at": k * step, "text": f"{'+' if k > 0 else MINUS if k < 0 else ''}{abs(k * step):g}"}
            for k in range(first, last + 1)
        ],
    }


def difference_head(told: Mapping[str, Any], measure: Measure) -> str:
    """What stands above the dots."""
    names = {one["run"]: one["name"] for one in told["baselines"]}
    if told["against"] is None:
        return "difference"
    unit = "percentage points" if measure.unit == "%" else measure.unit
    return f"difference to {names[told['against']]}: {measure.words}, {unit}"


def footer(told: Mapping[str, Any], measure: Measure) -> str:
    """Under what the numbers were made, as far as it holds for all rows."""
    rows = {
        split: {run[split]["n"] for row in told["settings"] for run in row["runs"] if run[split]}
        for split in ("test", "probe")
    }
    parts = [
        f"n = {', '.join(count(n) for n in sorted(found - {None}))} {split} samples a seed"
        for split, found in rows.items()
        if found - {None}
    ]
    parts.append("test: read once, last step; sd over seeds")
    side = "right" if measure.higher else "left"
    parts.append(
        f"interval: {percent(told['level'], 0)}, paired by seed, Student's t; {side} of 0 is better"
    )
    return " · ".join(parts)
