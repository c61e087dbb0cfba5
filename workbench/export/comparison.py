"""A comparison as one Python file that trains all its runs again and compares the differences.

Unusual here: runs that differ in their seed only share one experiment in the file, so that a reader
sees the settings side by side; the program never changes, what a user typed goes in as literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import RefusedCommand
from workbench.export.literal import literal
from workbench.export.story import Story, expected, recorded, story_of
from workbench.store.runs import RunRow
from workbench.store.store import Store

PROGRAM = Path(__file__).with_name("comparison.txt")
PLACE = "# DATA\n"
"""Line of the program where the data goes."""
SAME = ("versions", "machine")
"""What is told of each run's conditions."""


def comparison_script(store: Store, found: Mapping[str, Any]) -> str:
    """Source of the file.

    Args:
        store: Where the runs lie; only read.
        found: The comparison, as ``workbench compare --json`` prints it.

    Raises:
        WorkbenchError: If one of the runs cannot be exported.
        RefusedCommand: If there is nothing to compare with, or a run has no final numbers.
    """
    if found["against"] is None:
        runs = ", ".join(run["run"] for row in found["settings"] for run in row["runs"])
        raise RefusedCommand(
            f"{runs}: one setting and nothing to compare it with. Name a second run, or one that "
            "has a control."
        )
    parts = [(run["of"], row["part"]) for row in found["settings"] for run in row["runs"]]
    baseline = next(row for row in found["settings"] if row["run"] == found["against"])
    rows = [store.runs.get(run) for run in dict.fromkeys(run for run, _ in parts)]
    stories = {row.id: story_of(store, row) for row in rows}
    experiments, told = _runs(rows, stories, {row.id: expected(row) for row in rows})
    base = _base(stories.values())
    measure = found["measure"]
    is_share = measure["unit"] == "%"
    facts = {
        "seconds": round(sum((row.result or {}).get("seconds") or 0.0 for row in rows), 1),
        "measure": measure["words"],
        "unit": "percentage points" if is_share else measure["unit"],
        "scale": 100 if is_share else 1,
        "baseline": baseline["name"],
        "settings": [row["name"] for row in found["settings"]],
        "conditions": [one["words"] for one in found["conditions"]],
        "versions": recorded(rows[0])["versions"],
    }
    compared = {
        "runs": parts,
        "against": (baseline["runs"][0]["of"], baseline["part"]),
        "measure": measure["name"],
    }
    differences = [
        {"of": row["name"], **row["difference"]} for row in found["settings"] if row["difference"]
    ]
    uses = next((story.store for story in stories.values() if story.store), None)
    data = (
        f"RECORDED: dict[str, Any] = {literal(facts)}\n\n"
        f"EXPERIMENTS: list[dict[str, Any]] = {literal(experiments)}\n\n"
        f"RUNS: list[dict[str, Any]] = {literal(told)}\n\n"
        f"COMPARED: dict[str, Any] = {literal(compared)}\n\n"
        f"DIFFERENCES: list[dict[str, Any]] = {literal(differences)}\n\n"
        f"BASE: str | None = {literal(base)}  # folder that relative paths start from\n"
        f"STORE: str | None = {literal(uses)}  # holds runs that they name; None: a new one\n"
    )
    before, _, after = PROGRAM.read_text(encoding="utf-8").partition(PLACE)
    return f"{before}{data}{after}"


def _runs(
    rows: Sequence[RunRow], stories: Mapping[str, Story], numbers: Mapping[str, Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Experiments without their seeds, each once; and the runs, which name theirs by its place."""
    experiments: list[dict[str, Any]] = []
    told = []
    for row in rows:
        experiment = {**stories[row.id].experiment}
        seed = experiment.pop("seed", 0)
        if experiment not in experiments:
            experiments.append(experiment)
        facts = recorded(row)
        told.append(
            {
                "run": row.id,
                "of": experiments.index(experiment),
                "seed": seed,
                "ended": facts["ended"],
                "threads": facts["threads"],
                **numbers[row.id],
                **{name: facts[name] for name in SAME},
            }
        )
    return experiments, told


def _base(stories: Iterable[Story]) -> str | None:
    """The folder that their relative paths start from, if any has some.

    Raises:
        RefusedCommand: If they start from several.
    """
    bases = dict.fromkeys(str(story.base) for story in stories if story.needs_base)
    if len(bases) > 1:
        raise RefusedCommand(
            f"The compared runs take files from several folders ({', '.join(bases)}); one script "
            "starts from one. Export each run by itself."
        )
    return next(iter(bases), None)
