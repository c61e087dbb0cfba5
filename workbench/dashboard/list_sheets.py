"""The lists of the places Runs and Models as tables: what a list's address finds, in its order.

Unusual here: a file holds every row that the filters leave, however many of them the page has drawn
so far. In CSV no number is rounded and columns are called as ``workbench runs --json`` and
``workbench models --kept --json`` call them; the file for print has the columns of the page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from workbench_widgets.sheets import Cell, Sheet

from workbench.dashboard import wording
from workbench.dashboard.models_place import ModelsAsked, models_meant, title
from workbench.dashboard.runs_place import PARTS, RISING, RunsAsked, runs_meant
from workbench.runs.apart import apart
from workbench.runs.kept_models import KeptModel
from workbench.runs.listing import Line
from workbench.training.card import SHORT

RUN_COLUMNS: Final = (
    *("run", "name", "recipe", "seed", "status", "step", "steps", "accepted"),
    *(f"{part} accuracy" for part in PARTS),
    *("test n", "seconds", "slow motion", "group", "parent", "forked_at", "touched"),
    *("differs in", "compared with", "error"),
)
PRINTED_RUN_COLUMNS: Final = (
    *("run", "seed", "status", "differs in"),
    *(f"{part}, %" for part in PARTS),
    *("test n", "time, s"),
)
MODEL_COLUMNS: Final = (
    *("id", "role", "name", "options", "which", "step", "parameters", "bytes", "data"),
    *("accuracy", "ece", "split", "n", "hash", "file_hash", "run", "used_by", "accepted"),
)
PRINTED_MODEL_COLUMNS: Final = (
    *("model", "role", "run", "weights", "KiB"),
    *("accuracy, %", "ECE, %", "split", "n", "hash"),
)
SORTED_BY: Final = {"new": "accepted", "time": "seconds", "apart": "what differs"}
"""Orders whose name in an address is not the column's."""
TEST: Final = "test split, read once when the run ended"
SECONDS: Final = "from its worker's start to its end, teacher and controls included"
CHOSEN: Final = "best: chosen on the rows that it is measured on, so it is optimistic"


def runs_sheet(lines: Sequence[Line], asked: RunsAsked, to: str) -> Sheet:
    """The list of runs.

    Args:
        lines: All runs, newest first.
        asked: Filters and order, as the list's address holds them.
        to: ``csv`` for all that is known, or ``tex`` for what the page shows.
    """
    told = apart(lines)
    found = runs_meant(lines, asked, told)
    wanted = {"filter": asked.find, "status": asked.status, "recipe": asked.recipe}
    falling = (asked.sort in RISING) == asked.turned
    by = SORTED_BY.get(asked.sort, asked.sort)
    order = f"ordered by {by}, {'falling' if falling else 'rising'}"
    notes: tuple[str, ...] = (_how_many(len(found), len(lines), "runs", wanted), order)
    rows: list[tuple[Cell, ...]]
    if to == "tex":
        rows = [
            (
                *(line.id, line.seed, wording.CHIPS[line.status][1], told[line.id].words),
                *(_percent(line.accuracy.get(part)) for part in PARTS),
                *(line.num_test or None, line.seconds),
            )
            for line in found
        ]
        notes = (*notes, f"accuracy: {TEST}; time: {SECONDS}")
        return Sheet("Runs", PRINTED_RUN_COLUMNS, rows, notes)
    rows = [
        (
            *(line.id, line.name, line.recipe or "", line.seed, line.status, line.step),
            *(line.steps, _clock(line.created_ns), *map(line.accuracy.get, PARTS)),
            *(line.num_test or None, line.seconds, line.slow, line.group, line.parent or ""),
            *(line.forked_at, line.touched, told[line.id].words, told[line.id].than, line.error),
        )
        for line in found
    ]
    notes = (*notes, f"accuracy: in [0, 1], {TEST}; seconds: {SECONDS}; empty: not known")
    return Sheet("Runs", RUN_COLUMNS, rows, notes)


def models_sheet(models: Sequence[KeptModel], asked: ModelsAsked, to: str) -> Sheet:
    """The list of kept models.

    Args:
        models: All that the store keeps.
        asked: Filters, as the list's address holds them.
        to: ``csv`` for all that is known, or ``tex`` for what the page shows.
    """
    found = models_meant(models, asked)
    wanted = {"filter": asked.find, "role": asked.role}
    notes = (_how_many(len(found), len(models), "models", wanted), CHOSEN)
    if to == "tex":
        return Sheet("Models", PRINTED_MODEL_COLUMNS, [_printed(model) for model in found], notes)
    rows = [_whole(model) for model in found]
    return Sheet("Models", MODEL_COLUMNS, rows, (*notes, "accuracy and ece in [0, 1]"))


def _whole(model: KeptModel) -> tuple[Cell, ...]:
    score = model.score
    measured = (
        (score.accuracy, score.ece, score.split, score.n) if score else (None, None, "", None)
    )
    return (
        *(model.id, model.role, model.name),
        json.dumps(dict(model.options), sort_keys=True) if model.options else "",
        *(model.which, model.step, model.parameters, model.bytes, model.data),
        *(*measured, model.hash, model.file_hash, model.run),
        *(" ".join(model.used_by), _clock(model.created_ns)),
    )


def _printed(model: KeptModel) -> tuple[Cell, ...]:
    score = model.score
    return (
        *(title(model), model.role, model.run, model.parameters, f"{model.bytes / 1024:.1f}"),
        *(_percent(value) for value in ((score.accuracy, score.ece) if score else (None, None))),
        *((score.split, score.n) if score else ("", None)),
        (model.hash or model.file_hash)[:SHORT],
    )


def _how_many(found: int, of: int, what: str, wanted: dict[str, str]) -> str:
    """How many rows there are, of how many, and by which filters."""
    filters = [f"{name} {value}" for name, value in wanted.items() if value]
    return ", ".join([f"{found} of {of} {what}", *filters])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _clock(nanoseconds: int) -> str:
    """As the command line writes a time: UTC, to the second."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="seconds")
