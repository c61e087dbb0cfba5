"""Runs as settings: those that differ in their seed only are one; what sets the others apart.

Unusual here: what was done to a run by hand is part of its setting, at its step, as if the
experiment had planned it; so a touched run never stands in one row with an untouched one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from workbench.errors import BadInput, WorkbenchError
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.journal import Event, part_in_a_sentence
from workbench.training.timeline import timeline

STUDENT = "student"
CONTROLS = {"control": "control", "plain_kd": "plain KD"}
"""Parts of a run that a student is compared with, and their words."""
SEEDS = ("seed", "seeds")
ASIDE = (*SEEDS, "control", "plain_kd", "recipe")
"""Fields that change nothing of what a student of a given seed learns, but for its name."""
INTERVENTIONS = "interventions"
ABSENT = "–"


@dataclass(frozen=True)
class Member:
    """One trained network of a comparison: the student of a run, or a control of it.

    Attributes:
        row: The student's row.
        part: ``student``, ``control`` or ``plain_kd``.
        values: The experiment, path by path, with what was done to the run.
        spec: The same, or None if this workbench cannot read it any more.
    """

    row: RunRow
    part: str
    values: Mapping[str, Any]
    spec: ExperimentSpec | None

    @property
    def id(self) -> str:
        """Id of the part's own row."""
        return self.row.id if self.part == STUDENT else f"{self.row.id}-{self.part}"

    @property
    def seed(self) -> int:
        """Of the run."""
        return int(self.row.experiment.get("seed", 0))

    @property
    def has_ended(self) -> bool:
        """Whether its numbers on test are there."""
        return bool(self.test)

    @property
    def test(self) -> dict[str, float]:
        """Its numbers on test; empty before they have been read."""
        return ((self.row.result or {}).get("metrics") or {}).get(self.part) or {}

    @cached_property
    def key(self) -> str:
        """Equal for two members that differ in their seed only."""
        kept = {path: value for path, value in self.values.items() if _top(path) not in ASIDE}
        return json.dumps([self.part, kept], sort_keys=True, default=str)

    def of(self, part: str) -> Member:
        """Another part of the same run."""
        return Member(self.row, part, self.values, self.spec)


@dataclass
class Setting:
    """Members that differ in their seed only, in the order in which they were named.

    Attributes:
        members: At least one, each of another seed.
        name: What it is called in this comparison; no two are called the same.
    """

    members: list[Member]
    name: str = ""
    by_seed: dict[int, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_seed = {member.seed: member for member in self.members}

    @property
    def first(self) -> Member:
        """The one that speaks for the others."""
        return self.members[0]

    @property
    def id(self) -> str:
        """Of its first member."""
        return self.first.id


def member(store: Store, run: str) -> Member:
    """A run, or a control by the id of its row.

    Raises:
        UnknownRun: If the store has no such run.
        BadInput: If it is a teacher or an earlier stage, which have no student's numbers.
    """
    row = store.runs.get(run)
    part = row.role
    if part not in (STUDENT, *CONTROLS):
        raise BadInput(
            f"Run {run} is {part_in_a_sentence(part)}, which has no student's numbers. Compare "
            "runs (`workbench runs` lists them) or their controls; the run it belongs to is "
            f"{row.group}."
        )
    row = row if part == STUDENT else store.runs.get(row.group)
    spec, values = values_of(row.experiment, store.journal.events(row.id))
    return Member(row, part, values, spec)


def settings_of(members: Iterable[Member]) -> list[Setting]:
    """Members by setting, in order, each named. A second run of one seed is a setting of its own.

    Example: five seeds at T = 4 and one at T = 2 are two settings.
    """
    grouped: dict[tuple[str, int], list[Member]] = {}
    for one in members:
        again = 0
        while any(one.seed == other.seed for other in grouped.get((one.key, again), ())):
            again += 1
        grouped.setdefault((one.key, again), []).append(one)
    found = [Setting(group) for group in grouped.values()]
    _name(found)
    return found


def differences(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Paths at which the experiments are not all equal, with each setting's value in words.

    Returns:
        ``{"path", "values"}``, the values in the order of ``settings``; a path that a setting does
        not have is told as a dash.
    """
    students = [setting.first.values for setting in settings]
    paths = dict.fromkeys(path for values in students for path in values)
    rows = []
    for path in paths:
        if _top(path) in (*SEEDS, "recipe"):
            continue
        words = [in_words(values[path]) if path in values else ABSENT for values in students]
        if len(set(words)) > 1:
            rows.append({"path": path, "values": words})
    return rows


def seeds_of(store: Store, run: str) -> list[RunRow]:
    """The runs that were started with this one and differ from it in their seed only; itself too.

    Raises:
        UnknownRun: If the store has no such run.
    """
    mine = as_started(store.runs.get(run))
    return [row for row in store.runs.cohort(run) if as_started(row) == mine]


def by_setting(rows: Sequence[RunRow]) -> list[list[RunRow]]:
    """Runs of one start, by what they were started as but for the seed."""
    found: dict[str, list[RunRow]] = {}
    for row in rows:
        found.setdefault(as_started(row), []).append(row)
    return list(found.values())


def settings_apart(settings: Sequence[Sequence[RunRow]]) -> list[dict[str, Any]]:
    """Of each setting of one start, the values at the paths where not all are the same."""
    found = [dict(_flat(rows[0].experiment)) for rows in settings]
    paths = dict.fromkeys(path for values in found for path in values if path not in SEEDS)
    apart = [
        path for path in paths if any(one.get(path) != found[0].get(path) for one in found[1:])
    ]
    return [{path: values.get(path) for path in apart} for values in found]


def values_of(
    experiment: Mapping[str, Any], events: Iterable[Event]
) -> tuple[ExperimentSpec | None, dict[str, Any]]:
    """An experiment with its defaults, path by path; as it stands if it cannot be read.

    Args:
        experiment: As a run was started from it.
        events: The run's journal: what was done by hand is told as ``from step 5: kd.weight``.
    """
    try:
        spec = ExperimentSpec.parse(experiment)
        plain = spec.full()
        changes = [(item.step, item.set) for item in timeline(spec, events)]
    except WorkbenchError:  # of another version, or of a Python object that is gone
        spec, plain, changes = None, dict(experiment), []
    planned = plain.pop(INTERVENTIONS, None)
    found = dict(_flat(plain))
    if spec is None and planned:
        found[INTERVENTIONS] = planned
    for step, changed in changes:
        for path, value in changed.items():
            found[f"from step {step}: {short_path(path)}"] = value
    return spec, found


def as_started(row: RunRow) -> str:
    """The experiment that a run was started from, without its seed."""
    kept = {key: value for key, value in row.experiment.items() if key not in SEEDS}
    return json.dumps(kept, sort_keys=True)


def in_words(value: Any) -> str:
    """A value of an experiment as people read it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (list, dict)):
        return json.dumps(value) if value else "none"
    return str(value)


def short_path(path: str) -> str:
    """The end of a path that a reader needs: ``kd.temperature`` of the stage's terms."""
    parts = path.split(".")
    kept = parts[2:] if parts[0] == "stages" and len(parts) > 2 else parts
    return ".".join(part for part in kept if part != "terms") or path


def _flat(data: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        elif path == "probes":
            names = [probe["use"] if isinstance(probe, Mapping) else probe for probe in value]
            yield path, ", ".join(map(str, names))
        else:
            yield path, value


def _name(settings: Sequence[Setting]) -> None:
    """By the experiment's name; where two have the same, by what sets them apart as well."""
    for part in (STUDENT, *CONTROLS):
        mine = [setting for setting in settings if setting.first.part == part]
        apart = differences(mine)
        for place, setting in enumerate(mine):
            name = setting.first.row.name
            if sum(other.first.row.name == name for other in mine) > 1:
                told = [
                    f"{short_path(row['path'])} {row['values'][place]}"
                    for row in apart
                    if row["path"] != "name" and row["values"][place] != ABSENT
                ]
                name = f"{name}, {', '.join(told[:2])}" if told else name
            setting.name = name if part == STUDENT else f"{CONTROLS[part]} of {name}"
    _number_equal_names(settings)


def _number_equal_names(settings: Sequence[Setting]) -> None:
    seen: dict[str, int] = {}
    for setting in settings:
        seen[setting.name] = seen.get(setting.name, 0) + 1
        if seen[setting.name] > 1:
            setting.name = f"{setting.name} ({seen[setting.name]})"


def _top(path: str) -> str:
    return path.partition(".")[0]
