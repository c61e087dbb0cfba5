"""What the rail says of the terms' pull on the student, of the checks and of the cost. Plain data.

Shapes: R = term.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from workbench_widgets.words import MINUS, count, percent, term_name

from workbench.dashboard.wording import COLOURS
from workbench.runs.estimate import size, span
from workbench.runs.history import History
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Snapshot

AGREE = 0.3
"""Cosine above which two terms agree; below its negative they are in conflict."""
HATCHES = 4
"""Kinds of hatch that tell terms of one target apart."""
MOST_LOOKS = 60
"""Snapshots that the lines over training are drawn of, at most."""
MOST_PAIRS = 3
"""Of terms that are all told; of more, the most opposed one."""


def pull(history: History, spec: ExperimentSpec | None, waits: str | None) -> dict[str, Any]:
    """Share of the gradient of each term at the newest snapshot, and whether the terms agree.

    Returns:
        ``bars`` (name, share in [0, 1], words, colour, hatched and how), ``words`` on directions,
        ``footer``, ``ratio`` (words on what a mix gives the samples, where that is measured), and
        ``waits``: why there is no pull to see, or None.
    """
    latest = history.latest
    if latest is None or "balance" not in latest.facts:
        measured = spec is not None and any(kind.use == "balance" for kind in spec.probes)
        why = waits if measured else "Not measured: `probes` of the experiment has no balance."
        return {
            "bars": [],
            "words": "",
            "footer": "",
            "ratio": ratios(latest),
            "waits": why or "Waits for a snapshot.",
        }
    facts = latest.facts["balance"]
    names = [str(name) for name in facts["terms"]]
    shares = latest.arrays["balance.share"]
    rows = f"n = {count(facts['n'])} training samples, {count(facts['labelled'])} with a label"
    return {
        "bars": _bars(names, shares, spec),
        "words": directions(names, latest.arrays["balance.cosine"]),
        "footer": f"{rows} · step {count(latest.step)}",
        "ratio": ratios(latest),
        "waits": None,
    }


def pull_over_training(history: History, spec: ExperimentSpec | None) -> dict[str, Any] | None:
    """Norm of each term's gradient and cosine of each pair, snapshot by snapshot.

    Returns:
        ``steps`` (S,), ``norms`` and ``cosines``: lines with name, values (None where a term was
        not there) and, of terms, colour and hatch; None before there are two snapshots.
    """
    looks = history.pulls
    if len(looks) < 2:
        return None
    stride = -(-len(looks) // MOST_LOOKS)
    looks = looks[(len(looks) - 1) % stride :: stride]  # the newest is one of them
    names = looks[-1][1]
    pairs = list(combinations(names, 2))[:MOST_PAIRS]
    shown = _bars(names, np.asarray(looks[-1][2]), spec)
    norms = [
        {
            "name": bar["name"],
            "colour": bar["colour"],
            "hatch": bar["hatch"],
            "values": [_at(terms, norm, name) for _, terms, norm, _ in looks],
        }
        for name, bar in zip(names, shown, strict=True)
    ]
    cosines = [
        {
            "name": f"{term_name(one)} and {term_name(two)}",
            "values": [
                _at(terms, cosine[terms.index(one)], two) if one in terms else None
                for _, terms, _, cosine in looks
            ],
        }
        for one, two in pairs
    ]
    return {"steps": [look[0] for look in looks], "norms": norms, "cosines": cosines}


def _at(names: list[str], values: np.ndarray, name: str) -> float | None:
    """The value of a name, three digits; None where there is none."""
    found = float(values[names.index(name)]) if name in names else math.nan
    return float(f"{found:.3g}") if math.isfinite(found) else None


def ratios(latest: Snapshot | None) -> str:
    """Mean ratio of each term that has one, and where the teacher is right and where it is wrong.

    ``FUSE's ratio: mean 0.42, 0.60 where ... (n = 170), 0.05 where ...``; empty if not measured.
    """
    told = {} if latest is None else (latest.facts.get("ratio") or {}).get("terms") or {}
    words = []
    for name, ratio in told.items():
        (right, num_right), (wrong, num_wrong) = ratio["right"], ratio["wrong"]
        parts = [f"{term_name(name)}'s ratio: mean {ratio['mean']:.2f}"]
        if right is not None:
            parts.append(f"{right:.2f} where the teacher is right (n = {count(num_right)})")
        if wrong is not None:
            parts.append(f"{wrong:.2f} where it is wrong (n = {count(num_wrong)})")
        words.append(", ".join(parts))
    return "; ".join(words)


def _bars(
    names: list[str], shares: np.ndarray, spec: ExperimentSpec | None
) -> list[dict[str, Any]]:
    bars: list[dict[str, Any]] = []
    for name, share in zip(names, shares.tolist(), strict=True):
        kind = spec.stage.terms.get(name) if spec is not None else None
        colour = COLOURS.get(str(getattr(kind, "pull", "")), "ink")
        known = math.isfinite(share)
        # what pulls to the labels is never solid: print has no colours
        place = sum(bar["colour"] == colour for bar in bars) + (colour == COLOURS["labels"])
        bars.append(
            {
                "name": term_name(name),
                "share": share if known else 0.0,
                "text": percent(share, 0) if known else "no pull",
                "colour": colour,
                "hatched": place > 0,
                "hatch": 1 + (place - 1) % HATCHES if place else 0,
            }
        )
    return bars


def directions(names: list[str], cosines: np.ndarray) -> str:
    """``Directions: KD and CE agree, cos 0.73``; nothing where a term has no gradient."""
    told = [
        (float(cosines[i, j]), f"{term_name(names[i])} and {term_name(names[j])}")
        for i, j in combinations(range(len(names)), 2)
        if math.isfinite(cosines[i, j])
    ]
    if not told:
        return ""
    if len(told) > MOST_PAIRS:
        cosine, pair = min(told)
        return f"Most opposed: {pair}, {_direction(cosine)}"
    return "Directions: " + "; ".join(f"{pair} {_direction(cosine)}" for cosine, pair in told)


def _direction(cosine: float) -> str:
    word = "agree" if cosine > AGREE else "conflict" if cosine < -AGREE else "are independent"
    return f"{word}, cos {MINUS if cosine < 0 else ''}{abs(cosine):.2f}"


def checks(row: RunRow) -> list[dict[str, str]]:
    """What checks before step 0 found, stops first: words and severity."""
    found = ((row.protocol or {}).get("checks") or {}).get("found") or []
    return [
        {"severity": item["severity"], "text": f"{item['subject']}: {item['message']}"}
        for item in sorted(found, key=lambda item: item["severity"] != "stop")
    ]


def cost(row: RunRow) -> list[list[str]]:
    """Facts on time, memory and disk: estimated, and what it came to where the run has ended."""
    protocol = row.protocol or {}
    told, spent = protocol.get("estimate"), protocol.get("spent") or {}
    if not isinstance(told, Mapping):
        return []
    facts = []
    for name, key, words in (
        ("time", "seconds", span),
        ("memory", "memory_bytes", size),
        ("disk", "disk_bytes", size),
    ):
        guess = f"about {words(told[key])}"
        if name == "time" and row.pace is not None:
            guess += " at full speed"  # slow motion takes as long as a person lets it
        real = spent.get(key)
        facts.append(
            [name, guess if real is None else f"{words(real)}, estimated {words(told[key])}"]
        )
    return facts
