"""Numbers of runs as tables for other programs: every logged point, results, comparisons.

Unusual here: a table is read from the store, never from what is drawn, so no point is left out,
thinned or interpolated; where two series have other steps, the cell is empty. Shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from workbench_widgets.frame import VIEWS
from workbench_widgets.sheets import Cell, Sheet, joined_csv

from workbench.atomic import write_atomically
from workbench.errors import BadFile, UnknownName
from workbench.runs.agreement import Agreement
from workbench.runs.history import Answered
from workbench.runs.results import told_metrics
from workbench.runs.selected import Chosen, accuracies
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training import card

POINTS: Final = "points"
RESULT: Final = "result"
OF_A_RUN: Final = (*VIEWS, POINTS, RESULT)
"""Names of a run's tables."""
SUFFIXES: Final = (".csv", ".tex")
MEASURED: Final = ("accuracy", "nll", "ece")
UNITS: Final = {"accuracy": "accuracy", "nll": "NLL, nats", "ece": "ECE"}
SERIES: Final = ("train", "probe", "selection")
PARTS: Final = ("student", "control", "plain_kd")


def sheets_of_run(
    store: Store, run: str, name: str, step: int | None = None, ids: Sequence[int] = ()
) -> list[Sheet]:
    """A run's tables by name.

    Args:
        store: Where it lies.
        run: Its id.
        name: A view (``cka``, ...), ``points`` (all logged points; so is ``curves``) or ``result``.
        step: Of a view: the snapshot at or before it; None is the newest.
        ids: Of samples whose accuracy stands beside that of all in the points.

    Raises:
        UnknownRun: If the store has no such run.
        UnknownName: For another table.
    """
    if name not in OF_A_RUN:
        raise UnknownName("table of a run", name, OF_A_RUN)
    if name == RESULT:
        return [result_sheet(store.runs.get(run)), *agreement_sheets(store, run)]
    if name in (POINTS, "curves"):
        return [points_sheet(store, run, ids)]
    from workbench.runs.looking import frame_of

    return frame_of(store, run, name, step).sheets()


def points_sheet(store: Store, run: str, ids: Sequence[int] = ()) -> Sheet:
    """Every point that was logged, a row a step: float64 as stored, empty where a series is silent.

    Args:
        store: Where the run lies.
        run: Its id.
        ids: Of selected samples; those of them that the probe has are taken.

    Returns:
        Columns ``step``, then ``train NAME``, ``probe NAME`` and, of a control, ``control probe
        NAME``; of selected samples both models' accuracy at each snapshot.
    """
    row = store.runs.get(run)
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in PARTS:
        owner = run if part == "student" else f"{run}-{part}"
        prefix = "" if part == "student" else f"{part.replace('_', ' ')} "
        for name in SERIES:
            found = store.metrics.read(owner, name)
            for column in found.columns if len(found.steps) else ():
                columns[f"{prefix}{name} {column}"] = (found.steps, found.column(column))
    columns |= _of_selected(store, run, ids) if len(ids) else {}
    steps = np.unique(np.concatenate([np.zeros(0, np.int64), *(s for s, _ in columns.values())]))
    cells = [_aligned(steps, *pair) for pair in columns.values()]
    rows = [tuple(cell) for cell in zip(steps.tolist(), *cells, strict=True)]
    words = _words(columns)
    notes = (*protocol_notes(row), *words)
    return Sheet(f"All logged points of run {run}", ("step", *columns), rows, notes)


def result_sheet(row: RunRow) -> Sheet:
    """The test numbers of a run's parts, one row each."""
    metrics = told_metrics((row.result or {}).get("metrics") or {})
    splits = (row.protocol or {}).get("splits") or {}
    n = (splits.get("test") or {}).get("rows")
    seed = row.experiment.get("seed", 0)
    chance = (row.protocol or {}).get("chance") or {}  # an older run has none
    rows: list[tuple[Cell, ...]] = []
    for part, found in metrics.items():
        if found:
            numbers = (found.get(key) for key in MEASURED)
            null = (chance.get(part) or {}).get("ece_null_p95")
            rows.append((part.replace("_", " "), seed, "test", n, *numbers, null))
    columns = ("model", "seed", "split", "n", *(UNITS[key] for key in MEASURED), "null p95 of ECE")
    return Sheet(f"Result of run {row.id}", columns, rows, protocol_notes(row))


def agreement_sheets(store: Store, run: str) -> list[Sheet]:
    """How far student and control follow the teacher on probe, a row each, as the page shows it.

    From their last snapshots; none of a run whose snapshots keep no answers.
    """
    rows: list[tuple[Cell, ...]] = []
    for part, owner in (("student", run), ("control", f"{run}-control")):
        last = store.last_snapshot(owner)
        agreed = None if last is None else Agreement.of(last.arrays)
        if last is not None and agreed is not None:
            counts = (agreed.label_loyalty, agreed.copied, agreed.teacher_wrong)
            rows.append((part, "probe", agreed.n, last.step, *counts))
    columns = ("model", "split", "n", "step", "label loyalty", "copied errors", "teacher's errors")
    notes = ("label loyalty: share on which model and teacher name the same class",)
    return [Sheet(f"Run {run} against its teacher", columns, rows, notes)] if rows else []


def sheets_of_comparison(found: Mapping[str, Any]) -> list[Sheet]:
    """What :func:`workbench.runs.comparison.compare` found: a row a setting, then a row a run."""
    return [_settings(found), _runs(found)]


def comparison_file(found: Mapping[str, Any], to: str) -> str:
    """A comparison as ``csv`` (a row a setting, then a row a run) or ``tex`` (for print)."""
    sheets = sheets_of_comparison(found) if to == "csv" else [paper_sheet(found)]
    return written(sheets, f".{to}")


def paper_sheet(found: Mapping[str, Any]) -> Sheet:
    """The same for print: a row a setting, mean ± sd over its seeds, and the difference."""
    measure = found["measure"]
    scale, unit = _scale(measure["unit"]), _points(measure["unit"])
    columns = ("setting", "seeds", "test n", "accuracy, %", "NLL, nats", "ECE, %")
    head = f"{measure['words']}, minus baseline, {unit}"
    rows: list[tuple[Cell, ...]] = []
    for row in found["settings"]:
        numbers, told = row["numbers"], row["difference"]
        sizes = dict.fromkeys(str(run["test"]["n"]) for run in row["runs"] if run["test"])
        cells: list[Cell] = [row["name"], len(row["runs"]), ", ".join(sizes)]
        for key, times in (("test-accuracy", 100), ("test-nll", 1), ("test-ece", 100)):
            cells.append(_plus_minus(numbers.get(key), times))
        difference = interval = ""
        if row["run"] == found["against"]:
            difference = "baseline"
        elif told and not told["refused"]:
            difference = _signed(scale * told["mean"])
            if told["interval"]:
                low, high = (_signed(scale * end) for end in told["interval"])
                interval = f"[{low}, {high}]"
        rows.append((*cells, difference, interval))
    level = f"{100 * found['level']:g} % interval"
    by_seed, _, *conditions = _settings(found).notes
    notes = ("mean ± sd over seeds, test split", by_seed, *conditions)
    return Sheet("Comparison", (*columns, head, level), rows, notes)


def _plus_minus(told: Mapping[str, Any] | None, times: float) -> str:
    if not told:
        return ""
    sd = "" if told["sd"] is None else f" ± {times * told['sd']:.2f}"
    return f"{times * told['mean']:.2f}{sd}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _scale(unit: str) -> float:
    return 100.0 if unit == "%" else 1.0


def _points(unit: str) -> str:
    return "percentage points" if unit == "%" else unit


def protocol_notes(row: RunRow) -> tuple[str, ...]:
    """The run and the conditions of its numbers, a line each."""
    protocol = {"seed": row.experiment.get("seed", 0), **(row.protocol or {})}
    state = "" if row.status == "finished" else f", {row.status} at step {row.step} of {row.steps}"
    return (f"run {row.id}{state}; seed {protocol['seed']}", *card.text(protocol))


def written(sheets: Sequence[Sheet], suffix: str) -> str:
    """The tables as the text of a file.

    Raises:
        BadFile: For another ending than .csv and .tex.
    """
    if suffix not in SUFFIXES:
        raise BadFile(f"A table ends in {' or '.join(SUFFIXES)}, got {suffix or 'no ending'!r}.")
    if suffix == ".csv":
        return joined_csv(sheets)
    return "\n".join(sheet.latex() for sheet in sheets)


def save_sheets(sheets: Sequence[Sheet], path: str | Path, *, force: bool = False) -> Path:
    """Write tables into one file.

    Raises:
        BadFile: If the ending is another, or nothing may be written there.
    """
    path = Path(path)
    text = written(sheets, path.suffix.lower())
    return write_new(path, text.encode(), force=force)


def write_new(path: Path, content: bytes, *, force: bool) -> Path:
    """Write a file that is not there yet, or replace it when asked to.

    Raises:
        BadFile: If nothing may be written there.
    """
    try:
        if not path.parent.is_dir():
            raise BadFile(f"{str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
        if path.exists() and not (force and path.is_file()):
            raise BadFile(
                f"{str(path)!r} exists. Give another name, or force=True to replace a file."
            )
    except (OSError, ValueError) as error:  # too long, a NUL, a folder that may not be looked into
        raise BadFile(f"{str(path)[:200]!r} cannot be used as a path ({error}).") from None
    write_atomically(path, content)
    return path


def _of_selected(
    store: Store, run: str, ids: Sequence[int]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Accuracy of both models on some samples at each snapshot that keeps the answers."""
    answered: list[Answered] = []
    chosen = None
    for step in store.snapshot_steps(run):
        # One at a time: a long run's snapshots need not be in memory together.
        for snapshot in store.snapshots(run, after=step - 1, upto=step):
            if "answers.labels" in snapshot.arrays:
                answered.append(Answered.of(snapshot, answered[-1:]))
                chosen = chosen or Chosen.among(ids, snapshot.arrays)
    found = accuracies(answered, chosen) if chosen is not None else {}
    if chosen is None or not found:
        return {}
    return {
        f"probe accuracy of the {who}, {chosen.n} of {chosen.of} selected": (
            found["selected_steps"],
            found[f"selected_{who}"],
        )
        for who in ("student", "teacher")
    }


def _aligned(steps: np.ndarray, own: np.ndarray, values: np.ndarray) -> list[float | None]:
    """A column on all steps; None where it has no point."""
    found: list[float | None] = [None] * len(steps)
    for at, value in zip(np.searchsorted(steps, own).tolist(), values.tolist(), strict=True):
        found[at] = value
    return found


def _words(columns: Mapping[str, Any]) -> tuple[str, ...]:
    if not columns:
        return ("no point has been logged yet",)
    return (
        "train: weighted terms, batch means; probe: on the probe split; empty: not logged here",
    )


def _settings(found: Mapping[str, Any]) -> Sheet:
    """One row a setting: means over its seeds, and the difference to the baseline."""
    measure = found["measure"]
    keys = list(dict.fromkeys(key for row in found["settings"] for key in row["numbers"]))
    columns = ["setting", "run", "seeds", "baseline"]
    for key in keys:
        columns += [f"{key} mean", f"{key} sd", f"{key} seeds"]
    columns += ["difference mean", "difference low", "difference high", "difference seeds", "why"]
    rows: list[tuple[Cell, ...]] = []
    for row in found["settings"]:
        seeds = " ".join(str(run["seed"]) for run in row["runs"])
        cells: list[Cell] = [row["name"], row["run"], seeds, row["run"] == found["against"]]
        for key in keys:
            told = row["numbers"].get(key) or {}
            cells += [told.get("mean"), told.get("sd"), told.get("n")]
        rows.append((*cells, *_difference(row["difference"])))
    level = f"{100 * found['level']:g} % interval"
    notes = (
        f"difference: {measure['words']} minus the baseline's, by seed, {level} (Student's t)",
        "shares in [0, 1], NLL in nats, sd over seeds",
        *(told["words"] for told in found["conditions"]),
        *(f"{row['name']}: {row['caption']}" for row in found["settings"]),
    )
    return Sheet("Comparison by setting", tuple(columns), rows, notes)


def _difference(told: Mapping[str, Any] | None) -> tuple[Cell, ...]:
    if told is None:
        return (None, None, None, None, "")
    if told["refused"]:
        return (None, None, None, 0, str(told["refused"]))
    low, high = told["interval"] or (None, None)
    return (told["mean"], low, high, len(told["pairs"]), told["why"] or "")


def _runs(found: Mapping[str, Any]) -> Sheet:
    """One row a run: its own numbers."""
    columns = (
        *("setting", "run", "seed", "status", "step", "steps"),
        *("test n", "test accuracy", "test NLL, nats", "test ECE"),
        *("probe n", "probe accuracy last", "probe accuracy best", "best at step"),
        *("probe accuracy mean of last looks", "probe NLL last, nats"),
    )
    rows: list[tuple[Cell, ...]] = []
    for row in found["settings"]:
        for run in row["runs"]:
            test, probe = run["test"] or {}, run["probe"] or {}
            accuracy, nll = probe.get("accuracy") or {}, probe.get("nll") or {}
            best = accuracy.get("best") or {}
            rows.append(
                (
                    *(row["name"], run["run"], run["seed"], run["status"]),
                    *(run["step"], run["steps"], test.get("n")),
                    *(test.get(key) for key in MEASURED),
                    probe.get("n"),
                    (accuracy.get("last") or {}).get("value"),
                    *(best.get("value"), best.get("step")),
                    accuracy.get("mean_of_last_k"),
                    (nll.get("last") or {}).get("value"),
                )
            )
    note = "best is chosen on the rows that it is measured on, so it is optimistic"
    return Sheet("Comparison by run", columns, rows, (note,))
