"""Several runs side by side: their numbers, and each setting's difference to a baseline.

Unusual here: a difference is taken seed by seed, and only between numbers of the same rows of the
same data; where that cannot be had, the numbers stay and a sentence says why they are not
subtracted. Nothing is stored: it is computed from the rows when somebody asks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import BadInput, nearest
from workbench.runs.seeds import LEVEL, paired, spread
from workbench.runs.settings import (
    CONTROLS,
    STUDENT,
    Member,
    Setting,
    differences,
    member,
    settings_of,
)
from workbench.store.store import Store
from workbench.training import card
from workbench.training.looks import numbers_of

MOST_RUNS: Final = 100
"""That one comparison reads."""


@dataclass(frozen=True)
class Measure:
    """A number that settings are compared by.

    Attributes:
        words: What it is called.
        unit: ``%`` or ``nats``.
        split: Rows that it is measured on.
        higher: Whether more is better.
    """

    words: str
    unit: str
    split: str
    higher: bool = False

    @property
    def scale(self) -> float:
        """From what is stored to the unit."""
        return 100.0 if self.unit == "%" else 1.0


MEASURES: Final[Mapping[str, Measure]] = {
    "test-accuracy": Measure("test accuracy", "%", "test", higher=True),
    "test-nll": Measure("test NLL", "nats", "test"),
    "test-ece": Measure("test ECE", "%", "test"),
    "probe-last": Measure("probe accuracy, last", "%", "probe", higher=True),
    "probe-lately": Measure("probe accuracy, mean of the last looks", "%", "probe", higher=True),
    "probe-nll": Measure("probe NLL, last", "nats", "probe"),
}
"""What a difference can be of; never the best look, which is chosen on the rows it is told of."""


@dataclass(frozen=True)
class Chosen:
    """Runs that somebody compares, read.

    Attributes:
        settings: In the order in which they were named; a control only where it is the baseline.
        baselines: Everything that the others can be compared with.
        baseline: The one of them that was picked; None for a single setting without a control.
    """

    settings: list[Setting]
    baselines: list[Setting]
    baseline: Setting | None

    @property
    def members(self) -> list[Member]:
        """All of them, setting by setting."""
        return [one for setting in self.settings for one in setting.members]


def choose(store: Store, runs: Sequence[str], against: str | None = None) -> Chosen:
    """Read runs and the baseline that they are compared with.

    Args:
        store: Where they lie; read only.
        runs: Ids; of a control, the id of its row. One named twice counts once.
        against: Id of any run of the baseline; None takes the first setting, or the control of a
            single one.

    Raises:
        UnknownRun: If the store has no such run.
        BadInput: If there are too many, one is no student, or ``against`` is none of them.
    """
    ids = list(dict.fromkeys(runs))
    if len(ids) > MOST_RUNS:
        raise BadInput(f"{len(ids)} runs: at most {MOST_RUNS} are compared at a time.")
    return among([member(store, run) for run in ids], against)


def among(members: Sequence[Member], against: str | None = None) -> Chosen:
    """The same of members that have been read."""
    ids = {one.id for one in members}
    parts = [
        one.of(part)
        for one in members
        for part in CONTROLS
        if one.part == STUDENT and f"{one.row.id}-{part}" not in ids and one.of(part).has_ended
    ]
    baselines = settings_of([*members, *parts])
    own = [setting for setting in baselines if setting.first.id in ids]
    baseline = _baseline(baselines, own, against)
    shown = own if baseline is None or baseline in own else [*own, baseline]
    return Chosen(shown, baselines, baseline)


def _baseline(
    baselines: Sequence[Setting], own: Sequence[Setting], against: str | None
) -> Setting | None:
    if against is None:
        if len(own) > 1:
            return own[0]
        return next((one for one in baselines if one not in own), None)
    for setting in baselines:
        if against in {one.id for one in setting.members}:
            return setting
    known = [setting.id for setting in baselines]
    near = nearest(against, known)
    raise BadInput(
        f"Baseline {against!r} is none of the compared runs or their controls."
        f"{f' Did you mean {near!r}?' if near else ''} Allowed: {', '.join(known) or 'none yet'}."
    )


def compare(
    store: Store, runs: Sequence[str], *, against: str | None = None, measure: str | None = None
) -> dict[str, Any]:
    """The comparison as plain data; what ``workbench compare --json`` prints.

    Args:
        store: Where the runs lie.
        runs: See :func:`choose`.
        against: Likewise.
        measure: A name of :data:`MEASURES`; None takes test accuracy once two settings have it.

    Returns:
        ``measure`` (name, words, unit, split), ``against``, ``baselines``, ``level``, ``settings``
        (each with ``runs``, ``numbers`` and ``difference``), ``conditions``, ``differences``.

    Raises:
        WorkbenchError: As :func:`choose`, or if there is no such measure.
    """
    return table(store, choose(store, runs, against), measure)


def table(store: Store, chosen: Chosen, measure: str | None = None) -> dict[str, Any]:
    """The same of runs that have been read."""
    told = {one.id: numbers(store, one) for one in chosen.members}
    name = measure or _default_measure(chosen, told)
    if name not in MEASURES:
        near = nearest(name, list(MEASURES))
        raise BadInput(
            f"Measure {name!r} is not known.{f' Did you mean {near!r}?' if near else ''} "
            f"Allowed: {', '.join(MEASURES)}."
        )
    picked = MEASURES[name]
    students = [setting for setting in chosen.settings if setting.first.part == STUDENT]
    return {
        "measure": {
            "name": name, "words": picked.words, "unit": picked.unit, "split": picked.split,
            "higher_is_better": picked.higher,
        },
        "against": chosen.baseline.id if chosen.baseline else None,
        "baselines": [{"run": one.id, "name": one.name} for one in chosen.baselines],
        "level": LEVEL,
        "settings": [_row(setting, chosen.baseline, name, told) for setting in chosen.settings],
        "conditions": conditions(chosen.members),
        "differences": {
            "settings": [setting.id for setting in students],
            "paths": differences(students),
        },
    }  # fmt: skip


def numbers(store: Store, one: Member) -> dict[str, Any]:
    """What is known of a member now: its numbers on test and on probe, and of which step.

    Returns:
        ``test`` (accuracy, nll, ece, n) or None before it was read; ``probe`` (``n``, ``k`` and
        for accuracy and nll ``last``, ``best``, ``mean_of_last_k``; ``ece`` of the last snapshot)
        or None before the first look. ``mean_of_last_k`` is None before the end: the grid's last
        looks are still to come.
    """
    protocol = one.row.protocol or {}
    splits = protocol.get("splits") or {}
    test = {"n": (splits.get("test") or {}).get("rows"), **one.test} if one.test else None
    probe = (protocol.get("numbers") or {}) if one.has_ended else {}
    probe = probe if one.part == STUDENT else (probe.get(one.part) or {})
    return {"test": test, "probe": _kept(probe) or _so_far(store, one)}


def _kept(probe: Mapping[str, Any]) -> dict[str, Any] | None:
    if not probe.get("accuracy"):
        return None
    return {"ece": None, **{key: probe[key] for key in ("n", "k", "accuracy", "nll")}}


def _so_far(store: Store, one: Member) -> dict[str, Any] | None:
    """The curve up to now, of a run that trains or did not come to its end."""
    series = store.metrics.read(one.id, "probe")
    if not len(series.steps):
        return None
    facts: dict[str, Any] = {}
    if one.part == STUDENT and (snapshot := store.last_snapshot(one.id)) is not None:
        facts = snapshot.facts
    rows = int((facts.get("calibration") or facts.get("loyalty") or {}).get("n") or 0)
    found = numbers_of(series.columns, series.steps, series.values, rows=rows)
    kept = {name: found.get(name) for name in ("accuracy", "nll")}
    for numbers_ in kept.values():
        if numbers_ is not None:
            numbers_["mean_of_last_k"] = None
    ece = ((facts.get("calibration") or {}).get("student") or {}).get("ece")
    return {"n": rows or None, "k": None, "ece": ece, **kept}


def flat(told: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a member by name, but for those that are not there (yet)."""
    test, probe = told["test"] or {}, told["probe"] or {}
    accuracy, nll = probe.get("accuracy") or {}, probe.get("nll") or {}
    found = {
        "test-accuracy": test.get("accuracy"),
        "test-nll": test.get("nll"),
        "test-ece": test.get("ece"),
        "probe-last": (accuracy.get("last") or {}).get("value"),
        "probe-best": (accuracy.get("best") or {}).get("value"),
        "probe-lately": accuracy.get("mean_of_last_k"),
        "probe-nll": (nll.get("last") or {}).get("value"),
        "probe-ece": probe.get("ece"),
    }
    return {
        name: float(value)
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    }


def _row(
    setting: Setting, baseline: Setting | None, name: str, told: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """One row of the table."""
    values = {one.id: flat(told[one.id]) for one in setting.members}
    names = dict.fromkeys(key for found in values.values() for key in found)
    means = {}
    for key in names:
        having = [{key: found[key]} for found in values.values() if key in found]
        means[key] = (spread(having) or {})[key]
    protocol = next((one.row.protocol for one in setting.members if one.has_ended), None)
    speaker = protocol or setting.first.row.protocol or {}
    return {
        "run": setting.id,
        "name": setting.name,
        "part": setting.first.part,
        "runs": [
            {
                "run": one.id,
                "of": one.row.id,
                "seed": one.seed,
                "status": one.row.status,
                "live": one.row.active,
                "step": one.row.step,
                "steps": one.row.steps,
                **told[one.id],
            }
            for one in setting.members
        ],
        "numbers": means,
        "difference": _difference(setting, baseline, name, told),
        "caption": card.caption({"seed": setting.first.seed, **speaker}),
    }


def _difference(
    setting: Setting,
    baseline: Setting | None,
    name: str,
    told: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any] | None:
    """Setting minus baseline, seed by seed; ``refused`` says why there is none."""
    if baseline is None or baseline.id == setting.id:
        return None
    common = [seed for seed in setting.by_seed if seed in baseline.by_seed]
    if not common:
        seeds = (_seed_words(one.by_seed) for one in (setting, baseline))
        return {"refused": "no seed in common: {} here, {} in the baseline".format(*seeds)}
    pairs, points, refused, early = [], [], "", False
    for seed in common:
        both = setting.by_seed[seed], baseline.by_seed[seed]
        refused = _other_rows(*both, MEASURES[name].split)
        if refused:
            return {"refused": refused}
        if MEASURES[name].split == "probe" and _at_other_steps(both, told):
            early = True
            continue
        mine, theirs = (flat(told[one.id]) for one in both)
        if name in mine and name in theirs:
            pairs.append(({name: mine[name]}, {name: theirs[name]}))
            points.append({"seed": seed, "value": mine[name] - theirs[name]})
    found = paired(pairs)
    if found is None:
        words = MEASURES[name].words
        if early:
            return {"refused": "still trains: not subtracted from a look at another step"}
        return {"refused": f"no seed has {words} on both sides yet"}
    return {"refused": None, "pairs": points, **found[name]}


def _at_other_steps(both: Sequence[Member], told: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether one of two members still trains and their last looks are not of the same step."""
    looks = [((told[one.id]["probe"] or {}).get("accuracy") or {}).get("last") for one in both]
    steps = {(look or {}).get("step") for look in looks}
    return any(one.row.active for one in both) and len(steps) > 1


def _other_rows(one: Member, other: Member, split: str) -> str:
    """Why numbers of two members are not of the same rows; empty if they are."""
    if one.row.id == other.row.id:
        return ""
    ours, theirs = one.row.protocol or {}, other.row.protocol or {}
    known = ours.get("splits"), theirs.get("splits")
    if known[0] and known[1]:
        if ours["data"]["hash"] != theirs["data"]["hash"]:
            names = ours["data"]["name"], theirs["data"]["name"]
            return f"other data ({names[0]} here, {names[1]} there): not subtracted"
        if known[0][split]["hash"] != known[1][split]["hash"]:
            return f"other {split} rows: not subtracted"
        return ""
    mine, its = (
        {path: value for path, value in each.values.items() if path.startswith("data")}
        for each in (one, other)
    )
    if mine == its:
        return ""
    return "its rows are not known before it ends, and `data` of the experiments differs"


def conditions(members: Sequence[Member]) -> list[dict[str, Any]]:
    """What all runs have in common, and what only some have: ``{"what", "same", "words"}``."""
    rows = {one.row.id: one.row for one in members}.values()
    protocols = [row.protocol for row in rows if row.protocol and row.protocol.get("splits")]
    if len(protocols) < 2:
        return []
    found = []
    for what, keys in (
        ("data", ("data", "hash")),
        ("test rows", ("splits", "test", "hash")),
        ("probe rows", ("splits", "probe", "hash")),
        ("teacher", ("teacher", "hash")),
        ("code version", ("versions", "distillation-workbench")),
        ("torch", ("versions", "torch")),
        ("machine", ("machine",)),
    ):
        values = Counter(str(_inside(protocol, keys)) for protocol in protocols)
        others = len(protocols) - values.most_common(1)[0][1]
        differ = "differ" if what.endswith("rows") else "differs"
        words = f"{what} {differ} in {others} of {len(protocols)}" if others else f"{what} equal"
        found.append({"what": what, "same": not others, "words": words})
    return found


def _default_measure(chosen: Chosen, told: Mapping[str, Mapping[str, Any]]) -> str:
    ended = [
        setting
        for setting in chosen.settings
        if any(told[one.id]["test"] for one in setting.members)
    ]
    return "test-accuracy" if len(ended) >= min(2, len(chosen.settings)) else "probe-last"


def _inside(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = (data or {}).get(key)
    return data


def _seed_words(seeds: Mapping[int, Any]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
