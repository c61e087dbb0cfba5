"""The place where runs are compared, as plain data: table, curves, fork tree, answers.

Unusual here: the numbers come from :mod:`workbench.runs.comparison`, which the command line prints
too; what is added is words, an axis for the differences (:mod:`compare_rows`), and who stands out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench_widgets.words import count, percent

from workbench.dashboard.address import Compared
from workbench.dashboard.compare_rows import COLUMNS, axis_of, difference_head, footer, row_of
from workbench.dashboard.compare_sheets import protocol
from workbench.errors import WorkbenchError
from workbench.runs.answers import answers, pair_of
from workbench.runs.comparison import MEASURES, MOST_RUNS, Chosen, among, table
from workbench.runs.family import family
from workbench.runs.overlay import curves
from workbench.runs.settings import STUDENT, Member, Setting, as_started, member
from workbench.store import RunRow, Store

MOST_LINES = 10
"""Rows of the fork tree; with more runs, one of each setting is drawn."""
OFFERED = 30
"""Settings that a reader can add."""
ALONG = ("step", "epoch", "share")
"""What the curves can be drawn along, the first at first; ``share`` is that of the schedule."""
LINES = ("mean", "seeds")
"""What a line of theirs can be, likewise."""
SAID = 40
"""Letters of an unreadable text that are said again."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def compare_page(store: Store, asked: Compared) -> dict[str, Any]:
    """All that the page shows; what cannot be shown as asked is said under ``notes``.

    Args:
        store: Where runs lie.
        asked: What the address asks for.
    """
    members, notes = _known(store, asked.runs)
    more = _more(store, {one.row.id for one in members})
    if not members:
        return {
            "empty": True, "notes": notes, "address": replace(asked, runs=()).address, "more": more,
        }  # fmt: skip
    chosen, told, problem = _read(store, members, asked)
    notes += problem
    focus = _focus(chosen, asked.focus)
    along = _one_of("along", asked.along, ALONG, notes)
    lines = _one_of("lines", asked.lines, LINES, notes)
    picked = Compared(
        tuple(one.id for one in members),
        told["against"] if asked.against else None,
        told["measure"]["name"] if asked.measure else None,
        focus.id if asked.focus else None,
        along if along != ALONG[0] else None,
        lines if lines != LINES[0] else None,
    )
    measure = MEASURES[told["measure"]["name"]]
    styles = _styles(chosen, focus)
    page = {
        "empty": False,
        "notes": notes,
        "address": picked.address,
        "against": told["against"],
        "focus": focus.id,
        "baselines": told["baselines"],
        "measure": told["measure"]["name"],
        "measures": [{"name": name, "words": one.words} for name, one in MEASURES.items()],
        "conditions": told["conditions"],
        "head": _head(chosen),
        "columns": [list(column) for column in COLUMNS],
        "rows": [
            {**row_of(row, measure, styles[row["run"]]), "without": _without(picked, row)}
            for row in told["settings"]
        ],
        "more": more,
        "axis": axis_of(told["settings"], measure),
        "difference_head": difference_head(told, measure),
        "footer": footer(told, measure),
        "captions": [{"name": row["name"], "text": row["caption"]} for row in told["settings"]],
        "curves": _curves(store, chosen, styles),
        "along": along,
        "lines": lines,
        "tree": _tree(store, chosen, styles),
        "paths": _paths(told),
        "answers": _answers(store, chosen, focus),
    }
    return {**page, "protocol": list(protocol(page))}


def group_link(store: Store, run: str) -> dict[str, str] | None:
    """Where a run's group is compared, and its words: ``its 5 seeds``; None for a run alone."""
    rows = store.runs.cohort(run)
    if len(rows) < 2:
        return None
    seeds = len({row.experiment.get("seed", 0) for row in rows}) == len(rows)
    words = f"its {count(len(rows))} seeds" if seeds else f"its sweep of {count(len(rows))} runs"
    return {"href": Compared(tuple(row.id for row in rows)).address, "words": words}


def _known(store: Store, runs: Sequence[str]) -> tuple[list[Member], list[str]]:
    """Runs that can be compared, and why the others cannot."""
    found, notes = [], []
    for run in runs[:MOST_RUNS]:
        try:
            found.append(member(store, run))
        except WorkbenchError as error:
            notes.append(error.message)
    if len(runs) > MOST_RUNS:
        notes.append(f"{len(runs)} runs: the first {MOST_RUNS} are compared.")
    return found, notes


def _more(store: Store, chosen: set[str]) -> list[dict[str, str]]:
    """Newest settings that are not on the page, each by a run of it: what a reader can add."""
    groups: dict[tuple[str, str], list[RunRow]] = {}
    for row in store.runs.list():
        groups.setdefault((row.cohort or row.id, as_started(row)), []).append(row)
    others = [rows for rows in groups.values() if not chosen & {row.id for row in rows}]
    found = []
    for rows in others[:OFFERED]:
        seed = rows[-1].experiment.get("seed", 0)
        words = f"{count(len(rows))} seeds" if len(rows) > 1 else f"seed {seed}"
        found.append({"run": rows[-1].id, "words": f"{rows[-1].name}, {words} ({rows[-1].id})"})
    return found


def _one_of(name: str, asked: str | None, allowed: Sequence[str], notes: list[str]) -> str:
    """What was asked for; the first that is allowed where it is not, which is noted."""
    if asked is None or asked in allowed:
        return asked or allowed[0]
    told = asked if len(asked) <= SAID else f"{asked[:SAID]}…"
    notes.append(f"`{name}={told}` in the address is unknown. Allowed: {', '.join(allowed)}.")
    return allowed[0]


def _without(picked: Compared, row: Mapping[str, Any]) -> str:
    """Address of the page without a setting; a baseline or focus that goes is picked anew."""
    gone = {run["run"] for run in row["runs"]}
    kept = {
        name: None if value in gone else value
        for name, value in (("against", picked.against), ("focus", picked.focus))
    }
    return replace(
        picked, runs=tuple(run for run in picked.runs if run not in gone), **kept
    ).address


def _read(
    store: Store, members: Sequence[Member], asked: Compared
) -> tuple[Chosen, dict[str, Any], list[str]]:
    """The comparison as asked for; with what the page picks where that is not possible."""
    try:
        chosen = among(members, asked.against)
        return chosen, table(store, chosen, asked.measure), []
    except WorkbenchError as error:
        chosen = among(members)
        return chosen, table(store, chosen), [error.message]


def _focus(chosen: Chosen, asked: str | None) -> Setting:
    """The setting that stands out: the one asked for, else the first that is no baseline."""
    for setting in chosen.settings:
        if asked in {one.id for one in setting.members}:
            return setting
    others = [one for one in chosen.settings if one is not chosen.baseline]
    return others[0] if others else chosen.settings[0]


def _styles(chosen: Chosen, focus: Setting) -> dict[str, dict[str, str]]:
    """Role and dash of each setting: focus blue, baseline ink, the others grey, all by dash too."""
    found = {}
    dashes = 0
    for setting in chosen.settings:
        role, dash = "other", "solid"
        if setting is focus:
            role = "focus"
        elif setting is chosen.baseline:
            role = "baseline"
        else:
            dashes += 1
            dash = DASHES[1 + (dashes - 1) % (len(DASHES) - 1)]
        found[setting.id] = {"role": role, "dash": dash}
    return found


def _head(chosen: Chosen) -> str:
    own = [one for one in chosen.settings if one.first.part == STUDENT] or chosen.settings
    runs, settings = sum(len(one.members) for one in own), len(own)
    return (
        f"{count(runs)} run{'s' if runs > 1 else ''} in {count(settings)} "
        f"setting{'s' if settings > 1 else ''}"
    )


def _curves(
    store: Store, chosen: Chosen, styles: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    found = curves(store, chosen.settings)
    probed = [one for one in found["settings"] for run in one["runs"] if run["steps"]]
    rows = [member.row.protocol or {} for one in chosen.settings for member in one.members]
    sizes = {((told.get("splits") or {}).get("probe") or {}).get("rows") for told in rows}
    return {
        **found,
        "n": sizes.pop() if len(sizes) == 1 else None,
        "settings": [{**one, **styles[one["run"]]} for one in found["settings"]],
        "epochs": all(run["epoch"] for one in found["settings"] for run in one["runs"]),
        "waits": "" if probed else "No run has been looked at yet.",
    }


def _tree(store: Store, chosen: Chosen, styles: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    students = [one for one in chosen.settings if one.first.part == STUDENT]
    members = [one for setting in students for one in setting.members]
    setting_of = {one.id: setting for setting in students for one in setting.members}
    every = len(members) <= MOST_LINES
    rows = [one.row for one in members] if every else [one.first.row for one in students]
    names = {row.name for row in rows}
    lines = []
    for line in family(store, rows):
        setting = setting_of.get(line["run"])
        style = styles[setting.id] if setting else {"role": "parent", "dash": "dot"}
        name = setting.name if setting else f"{line['name']} (not chosen)"
        if every and len(rows) > len(names):
            name = f"{name}, seed {line['seed']}"
        accuracy = "" if line["accuracy"] is None else percent(line["accuracy"])
        of = f"probe, n = {count(line['n'])}" if line["n"] else "probe"
        told = {"accuracy": accuracy, "measured": line["accuracy"], "of": of}
        lines.append({**line, **style, "name": name, **told})
    note = "" if every else f"One run of each setting, {count(len(members))} in all. "
    sizes = {line["n"] for line in lines if line["accuracy"]}
    n = f", n = {count(sizes.pop())}," if len(sizes) == 1 and 0 not in sizes else ""
    return {"lines": lines, "footer": f"{note}Percentages: probe accuracy{n} at the last look."}


def _paths(told: Mapping[str, Any]) -> dict[str, Any]:
    names = {row["run"]: row["name"] for row in told["settings"]}
    found = told["differences"]
    return {"names": [names[run] for run in found["settings"]], "rows": found["paths"]}


def _answers(store: Store, chosen: Chosen, focus: Setting) -> dict[str, Any]:
    """Focus against the baseline; against another setting where that cannot be."""
    other = chosen.baseline
    read = "Samples on which only one of the two is right."
    students = [one for one in chosen.settings if one.first.part == STUDENT and one is not focus]
    if other is None or other is focus:
        other = next(iter(students), None)
    elif other.first.part != STUDENT and students:
        read = f"Against {students[0].name}: a control keeps its numbers and no answers."
        other = students[0]
    if other is None:
        return {"refused": "One setting alone: choose a second run to see where they differ."}
    first, second = pair_of(focus, other)
    found = answers(store, first, second)
    told = {**found, "first": focus.name, "second": other.name, "read": read}
    if found["refused"]:
        return told
    n, cells = found["n"], found["cells"]
    words = {
        "both": "both right",
        "first": f"{focus.name} right, {other.name} wrong",
        "second": f"{other.name} right, {focus.name} wrong",
        "neither": "both wrong",
    }
    told["cells"] = [
        {
            "cell": cell,
            "words": words[cell],
            "count": count(cells[cell]),
            "value": cells[cell],
            "share": percent(cells[cell] / n),
        }
        for cell in ("first", "second", "both", "neither")
    ]
    told["most"] = max(max(row["first"], row["second"]) for row in found["classes"])
    seeds, steps = found["seeds"], found["steps"]
    seed = f"seed {seeds[0]}" if seeds[0] == seeds[1] else f"seeds {seeds[0]} and {seeds[1]}"
    step = f"step {count(steps[0])}"
    if steps[0] != steps[1]:
        step = f"steps {count(steps[0])} and {count(steps[1])}"
    told["footer"] = f"n = {count(n)} probe samples · {seed} · {step} · one pair of runs"
    return told
