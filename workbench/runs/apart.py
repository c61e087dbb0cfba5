"""By which settings each run of a list differs: from its group, its parent, or its recipe.

Unusual here: a run is told apart from what stands beside it. In a sweep that is the others of the
sweep, for a fork the run that it left, for a single run the recipe; so the words stay short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.recipes import names, open_experiment
from workbench.runs.listing import Line
from workbench.runs.settings import SEEDS, in_words, short_path, values_of

SCALE: Final = "demo"
"""A recipe as it is written."""
ASIDE: Final = (*SEEDS, "name", "recipe")
"""Fields that a list of runs shows elsewhere, or that change nothing."""
GONE: Final = "none"
MOST_KNOWN: Final = 4096
_KNOWN: dict[tuple[str, int], tuple[Mapping[str, Any], Apart]] = {}


@dataclass(frozen=True)
class Apart:
    """What sets one run apart.

    Attributes:
        parts: ``kd.temperature = 4``, one a field; empty where nothing differs.
        words: The same in one line, or what it is the same as; empty where there is nothing to
            compare it with.
        than: What it is compared with.
    """

    parts: tuple[str, ...] = ()
    words: str = ""
    than: str = ""


def apart(lines: Sequence[Line]) -> dict[str, Apart]:
    """Of each run, by its id, what sets it apart from what stands beside it."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(line)
    found: dict[str, Apart] = {}
    for group in groups.values():
        paths = _differing([line.values for line in group])
        for line in group:
            found[line.id] = _of_fork(line) or _of_group(line, paths) or _of_recipe(line)
    return found


def is_meant(apart: Apart, word: str) -> bool:
    """Whether a word that somebody looks for is a difference: ``temperature=4``, ``kd.weight=``."""
    told = [part.replace(" ", "").lower() for part in apart.parts]
    if word.endswith("="):
        return any(word in part for part in told)
    return any(part.endswith(word) for part in told)


def _of_fork(line: Line) -> Apart | None:
    if line.forked is None:
        return None
    parts = _parts(line.forked, line.forked)
    words = ", ".join(parts) or "nothing changed"
    return Apart(parts, words, f"at the fork, step {line.forked_at or 0}")


def _of_group(line: Line, paths: Sequence[str]) -> Apart | None:
    if not paths:
        return None
    parts = _parts(line.values, paths)
    return Apart(parts, ", ".join(parts) or "untouched", "in its group")


def _of_recipe(line: Line) -> Apart:
    """Kept by the values themselves, which seeds of one setting share: a list is drawn often."""
    key = (line.recipe or "", id(line.values))
    known = _KNOWN.get(key)
    if known is None or known[0] is not line.values:
        if len(_KNOWN) >= MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[key] = (line.values, _from_recipe(line))
    return known[1]


def _from_recipe(line: Line) -> Apart:
    scales = _scales(line.recipe) if line.recipe else {}
    if not scales:
        return Apart()
    apart = {name: _differing([line.values, values]) for name, values in scales.items()}
    scale = min(apart, key=lambda name: len(apart[name]))
    parts = _parts(line.values, _without_children(apart[scale], line.values))
    than = "the recipe" if scale == SCALE else f"the recipe at scale {scale}"
    return Apart(parts, ", ".join(parts) or f"as {than}", than)


@lru_cache(maxsize=64)
def _scales(recipe: str) -> Mapping[str, Mapping[str, Any]]:
    """The values of a recipe at each scale; nothing if it is gone or cannot be read any more."""
    if recipe not in names():
        return {}
    try:
        spec, _, _ = open_experiment(recipe)
        scales = [SCALE, *(spec.recipe.scales if spec.recipe else ())]
        return {scale: values_of(spec.at_scale(scale).given(), ())[1] for scale in scales}
    except WorkbenchError:
        return {}


def _differing(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Paths at which not all are the same, in the order of the experiment."""
    paths = dict.fromkeys(path for values in found for path in values)
    first = found[0]
    return [
        path
        for path in paths
        if path.partition(".")[0] not in ASIDE
        and any(values.get(path, GONE) != first.get(path, GONE) for values in found[1:])
    ]


def _without_children(paths: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Of what is gone as a whole only its kind: ``hint.use = none`` says the rest."""
    gone = {path.rpartition(".")[0] for path in paths if path.endswith(".use")}
    kept = []
    for path in paths:
        above = path.rpartition(".")[0]
        if path in values or path.endswith(".use") or above not in gone:
            kept.append(path)
    return kept


def _parts(values: Mapping[str, Any], paths: Iterable[str]) -> tuple[str, ...]:
    """``kd.temperature = 4`` of each path; what was done by hand stays out where it was not."""
    return tuple(
        f"{short_path(path)} = {in_words(values[path]) if path in values else GONE}"
        for path in paths
        if path in values or not path.startswith("from step ")
    )
