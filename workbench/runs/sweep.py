"""Several values of a field: which experiments a sweep is made of.

Unusual here: only a comma list of plain scalars, not quoted, on a field that is no list itself is a
sweep; everything else stays the one value that it always was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from workbench.errors import BadInput, InvalidExperiment
from workbench.runs.settings import in_words
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import parse_scalar
from workbench.specs.interventions import get_path

MOST_RUNS: Final = 100
"""That one sweep may start."""
TEXTS: Final = ("name", "recipe", "interventions")
"""Fields of free text, where a comma is a comma."""
CLOSED: Final = ("[", "{", '"', "'")
"""What a value begins with that is one value whatever stands in it."""


@dataclass(frozen=True)
class Sweep:
    """Experiments that differ in the swept fields only.

    Attributes:
        values: Path to its values, in the order in which they were given; empty for no sweep.
        specs: One experiment for each combination; the last path changes fastest.
    """

    values: Mapping[str, list[Any]]
    specs: list[ExperimentSpec]

    @property
    def num_runs(self) -> int:
        """Runs to come: combinations times seeds."""
        return sum(spec.seeds for spec in self.specs)

    def words(self) -> str:
        """What is about to start: ``6 runs, one after the other: PATH = 1, 2 × 3 seeds``."""
        parts = [
            f"{path} = {', '.join(in_words(value) for value in values)}"
            for path, values in self.values.items()
        ]
        seeds = {spec.seeds for spec in self.specs}
        parts += [f"{max(seeds)} seeds"] if max(seeds) > 1 else []
        runs = f"{self.num_runs} run{'s, one after the other' if self.num_runs > 1 else ''}"
        return f"{runs}: {' × '.join(parts)}"


def sweep(spec: ExperimentSpec, texts: Mapping[str, str], more: Mapping[str, Any]) -> Sweep:
    """The experiments that assignments ask for; one where nothing is swept.

    Args:
        spec: What is changed.
        texts: Path to value as typed: ``{"stages.main.terms.kd.temperature": "1,2,4"}``.
        more: Path to value of other options, never swept.

    Raises:
        BadInput: If a list of values has a gap or says one twice, or there would be too many runs.
        InvalidExperiment: If a value is not allowed.
    """
    plain = {
        path: parse_scalar(text) for path, text in texts.items() if not _looks_swept(path, text)
    }
    swept: dict[str, list[Any]] = {}
    current = _as_chosen(spec, plain).full()
    for path, text in texts.items():
        if path in plain:
            continue
        if isinstance(get_path(current, path), list):
            plain[path] = [parse_scalar(part) for part in text.split(",")]
        else:
            swept[path] = _values(path, text)
    combinations = math.prod(len(values) for values in swept.values())
    _refuse_too_many(combinations, int(more.get("seeds", 1)), swept)
    specs = []
    for values in product(*swept.values()):
        picked = {**plain, **dict(zip(swept, values, strict=True))}
        changes = {**{path: picked[path] for path in texts}, **more}
        specs.append(spec.replace(changes) if changes else spec)
    made = Sweep(swept, specs)
    _refuse_too_many(made.num_runs, 1, swept)
    return made


def _looks_swept(path: str, text: str) -> bool:
    return (
        "," in text
        and not text.lstrip().startswith(CLOSED)
        and path.partition(".")[0] not in TEXTS
        and all(not isinstance(parse_scalar(part), (list, dict)) for part in text.split(","))
    )


def _as_chosen(spec: ExperimentSpec, plain: Mapping[str, Any]) -> ExperimentSpec:
    """With the kinds that the assignments choose, which decide what fields there are."""
    kinds = {path: value for path, value in plain.items() if path.endswith(".use")}
    try:
        return spec.replace(kinds) if kinds else spec
    except InvalidExperiment:  # a kind that needs more than its name: the whole says what is wrong
        return spec


def _values(path: str, text: str) -> list[Any]:
    values = [parse_scalar(part) for part in text.split(",")]
    if any(
        value is None and not part.strip()
        for value, part in zip(values, text.split(","), strict=True)
    ):
        raise BadInput(
            f"--set {path}={text}: a value is missing between two commas. Write {path}=1,2,4 for "
            f"three runs, or quote a text that has commas: '{path}=\"{text}\"'."
        )
    words = [in_words(value) for value in values]
    twice = [word for k, word in enumerate(words) if word in words[:k]]
    if twice:
        raise BadInput(f"--set {path}={text}: {twice[0]} is given twice; once is enough.")
    return values


def _refuse_too_many(combinations: int, seeds: int, swept: Mapping[str, list[Any]]) -> None:
    if swept and combinations * seeds > MOST_RUNS:
        parts = [f"{path} ({len(values)})" for path, values in swept.items()]
        raise BadInput(
            f"That would be {combinations * seeds} runs: {' × '.join(parts)}"
            f"{f' × {seeds} seeds' if seeds > 1 else ''}; at most {MOST_RUNS} at a time. "
            "Give fewer values, or start it in parts."
        )
