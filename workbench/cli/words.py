"""Results as a shell shows them: a run's numbers with its protocol, or a table over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.runs.results import result_of
from workbench.runs.seeds import CONTROLS, LEVEL, summary
from workbench.runs.settings import by_setting, in_words, settings_apart
from workbench.store.runs import PARTS, RunRow
from workbench.training import card
from workbench.training.journal import part_words

METRICS = {"accuracy": "accuracy, %", "nll": "NLL, nats", "ece": "ECE, %", "aurc": "AURC, %"}
"""Metrics of the table with their units."""
ORDER = ("teacher", *(part for part in PARTS if part != "teacher"))


def result_words(rows: Sequence[RunRow]) -> list[str]:
    """Lines for a run; for several of one group, a table with the paired difference too.

    The settings of a sweep follow one another, each under what sets it apart.
    """
    settings = by_setting(rows)
    if len(settings) > 1:
        return list(_swept(settings))
    return list(_single(rows[0]) if len(rows) == 1 else _several(rows))


def _swept(settings: Sequence[Sequence[RunRow]]) -> Iterator[str]:
    for rows, apart in zip(settings, settings_apart(settings), strict=True):
        yield ", ".join(f"{path} = {in_words(value)}" for path, value in apart.items())
        yield from (f"  {line}" for line in result_words(rows))
    runs = " ".join(row.id for rows in settings for row in rows)
    yield f"Side by side: workbench compare {runs}"


def _single(row: RunRow) -> Iterator[str]:
    metrics: dict[str, Any] = (row.result or {}).get("metrics") or {}
    yield f"{row.id}: {row.status} at step {row.step} of {row.steps}"
    for part in ORDER:
        found = metrics.get(part)
        if found:
            yield (
                f"  {part_words(part):8} accuracy {found['accuracy']:7.2%}   "
                f"NLL {found['nll']:.4f} nats   ECE {found['ece']:.2%}"
            )
    if metrics:
        yield from (f"  {line}" for line in card.text(row.protocol or {}))


def _several(rows: Sequence[RunRow]) -> Iterator[str]:
    yield f"{len(rows)} runs of {rows[0].name}, seed by seed, one teacher"
    parts = [part for part in ORDER if any(_metrics(row).get(part) for row in rows)]
    if parts:
        heads = "".join(f"{part_words(part):>12}" for part in parts)
        yield f"  {'seed':>6} {heads}   test accuracy, %"
    for row in rows:
        numbers = "".join(_cell(_metrics(row).get(part)) for part in parts)
        yield f"  {row.experiment.get('seed', 0):>6} {numbers}   {row.id} {row.status}"
    told = summary([result_of(row) for row in rows])
    for name, words in METRICS.items():
        yield from _summed(told, name, words)
    done = [row for row in rows if _metrics(row)]
    if done:
        yield f"  protocol of seed {(done[0].protocol or {}).get('seed')}:"
        yield from (f"    {line}" for line in card.text(done[0].protocol or {}))


def _summed(told: Mapping[str, Any], name: str, words: str) -> Iterator[str]:
    scale = 100.0 if words.endswith("%") else 1.0
    for part in ("student", *CONTROLS):
        found = (told.get(part) or {}).get(name)
        if found:
            yield f"  {part_words(part):>10} {words}: {_mean(found, scale)}, n = {found['n']} seeds"
    for part, difference in CONTROLS.items():
        found = (told.get(difference) or {}).get(name)
        if found:
            interval = found["why"]
            if found["interval"]:
                low, high = (scale * end for end in found["interval"])
                interval = f"{LEVEL:.0%} interval [{low:+.4g}, {high:+.4g}]"
            than = part_words(part)
            yield f"  student - {than}, {words}, paired: {_mean(found, scale)}; {interval}"


def _mean(found: Mapping[str, Any], scale: float) -> str:
    sd = "" if found["sd"] is None else f", sd {scale * found['sd']:.4g}"
    return f"mean {scale * found['mean']:.4g}{sd}"


def _metrics(row: RunRow) -> dict[str, Any]:
    return (row.result or {}).get("metrics") or {}


def _cell(found: Mapping[str, Any] | None) -> str:
    return f"{'-' if not found else format(100 * found['accuracy'], '.2f'):>12}"
