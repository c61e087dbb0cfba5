"""The place New experiment as plain data: forms, the loss as text and as cards, checks, text.

Nothing here knows a term, a model or a data set by name: see :mod:`workbench.runs.draft.forms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workbench_widgets.words import count, number

from workbench.dashboard import wording
from workbench.dashboard.new_stages import schedule, stage_cards
from workbench.registries import PROBES, TERMS
from workbench.runs.draft.checks import Row, are_running, rows, why_not
from workbench.runs.draft.draft import Draft, lines_of
from workbench.runs.draft.forked import why_fixed
from workbench.runs.draft.forms import entries, form, menu, stage_form
from workbench.runs.draft.loss_text import printed_terms
from workbench.runs.draft.paths import value_at
from workbench.runs.estimate import size, span
from workbench.specs.experiment import ExperimentSpec

PLAIN_FIELDS: Final = ("name", "seed", "seeds", "device", "control", "plain_kd")
"""Fields of the experiment itself that the stages' card shows."""

UNTRAINED: Final = "Shown once this teacher has been trained here."


def new_page(
    draft: Draft,
    told: Mapping[str, Any] | None,
    *,
    undo: bool,
    redo: bool,
    more: Sequence[Row] = (),
) -> dict[str, Any]:
    """All that the page shows.

    Args:
        draft: The experiment as it stands.
        told: What the process on the side knows of it; None while it works or has nothing to try.
        undo: Whether there is an edit to take back.
        redo: Whether there is one to make again.
        more: Checks of how it begins, such as those of a fork.
    """
    checks = rows(draft, told, more)
    failed = {
        row.path: f"{row.detail.partition('. ')[0].rstrip('.')}."
        for row in checks
        if row.state == "failed" and row.path
    }
    known = told or {}
    changed = draft.changed()
    return {
        "origin": draft.origin,
        "waits": _waits(draft, told),
        "changed": len(changed),
        "changed_words": _changed_words(len(changed)),
        "undo": undo,
        "redo": redo,
        "models": [_model(draft, role, known.get(role)) for role in ("teacher", "student")],
        "models_words": _models_words(known),
        "data": {**form(draft, "data"), "facts": _data_words(known.get("data"))},
        "pictures": (known.get("data") or {}).get("pictures", []),
        "loss": _loss(draft, failed),
        "terms": [_term(draft, key, failed) for key in draft.terms],
        "target": _target(draft, known, UNTRAINED if told else _waits(draft, told)),
        "menu": menu(TERMS),
        "stage": stage_form(draft),
        "stages": stage_cards(draft),
        "stage_name": draft.stage,
        "experiment": [
            field
            for field in form(draft, "", ExperimentSpec)["fields"]
            if field["label"].replace(" ", "_") in PLAIN_FIELDS
        ],
        "schedule": schedule(draft, known.get("data")),
        "probes": entries(draft, "probes", PROBES),
        "text": _text(draft, failed),
        "wrong": {path: _at_field(checks, path, words) for path, words in failed.items()},
        "fixed": _fixed(draft),
        "checks": [row.plain() for row in checks],
        "counts": _counts(checks),
        "off": why_not(checks),
        "running": are_running(checks),
        "about": _about(known.get("estimate")),
    }


def _waits(draft: Draft, told: Mapping[str, Any] | None) -> str:
    """What stands where a network or the data are not known: they are on the way, or cannot be."""
    if told is None and draft.typed is None and draft.spec is not None:
        return "Building it…"
    return "Shown once the checks pass that it needs."


def _at_field(checks: Sequence[Row], path: str, words: str) -> dict[str, Any]:
    """What stands under a field that is wrong: the reason, and the value that would mend it."""
    fixes = (row.fix for row in checks if row.path == path and row.fix is not None)
    fix = next((fix for fix in fixes if fix["path"] == path), None)
    return {"words": words, "fix": fix}


def _fixed(draft: Draft) -> dict[str, str]:
    """Card to the reason why something on it cannot change in this fork; empty: all of it can."""
    said = {
        "models": ("student.use", "The student"),
        "data": ("data.use", "The data set"),
        "loss": (f"stages.{draft.stage}.terms", "This loss"),
        "stages": (f"stages.{draft.stage}.players", _of_stage(draft)),
    }
    reasons = {card: (why_fixed(draft, path), who) for card, (path, who) in said.items()}
    found = {card: f"{who} {why}." for card, (why, who) in reasons.items() if why}
    if why_fixed(draft, "probes"):
        found["probes"] = "A fork measures what its parent measured, unless it begins at step 0."
    return found


def _of_stage(draft: Draft) -> str:
    """What of the shown stage cannot change: of one before the last all, of the last the seed."""
    names = list(value_at(draft.data, "stages") or {})
    return "The choice of seed and device" if names[-1:] == [draft.stage] else "This stage"


def _changed_words(changes: int) -> str:
    return "" if not changes else f"{changes} {'field' if changes == 1 else 'fields'} changed"


def _model(draft: Draft, role: str, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """One of the two networks: its form and what is known of it."""
    given = value_at(draft.data, role)
    told: dict[str, Any] = {"role": role, **form(draft, role), "name": _name(given)}
    if facts is None:
        return {**told, "facts": [], "layers": [], "says": ""}
    kept = facts.get("kept")
    trains = isinstance(given, Mapping) and given.get("train") is not None
    says = (
        f"frozen, weights {kept}" if kept else "trained first, then frozen" if trains else "frozen"
    )
    listed = [
        ("weights", count(facts["weights"])),
        ("MACs / sample", count(facts["macs"])),
        ("classes", count(facts["classes"])),
    ]
    if "accuracy" in facts:
        accuracy = f"{100 * facts['accuracy']:.1f} %"
        listed.insert(2, (f"accuracy, n = {count(facts['n'])} probe", accuracy))
    return {
        **told,
        "facts": listed,
        "layers": facts["layers"],
        "stages": facts["stages"],
        "says": says if role == "teacher" else f"random start, seed {draft.data.get('seed', 0)}",
    }


def _name(given: Any) -> str:
    try:
        return wording.model_name(given) if given is not None else ""
    except (KeyError, TypeError):  # half typed
        return str(given)


def _models_words(known: Mapping[str, Any]) -> str:
    teacher, student = known.get("teacher"), known.get("student")
    if not teacher or not student:
        return "A large network teaches a small one."
    weights = teacher["weights"] / max(student["weights"], 1)
    work = teacher["macs"] / max(student["macs"], 1)
    return (
        f"The student has {_times(weights)} weights and {_times(work)} operations than the teacher."
    )


def _times(ratio: float) -> str:
    if ratio < 1:
        return f"{_plain(1 / ratio)} × more"
    return f"{_plain(ratio)} × fewer"


def _plain(ratio: float) -> str:
    """Two digits, never as a power of ten."""
    return count(round(ratio)) if ratio >= 100 else number(ratio, 2)


def _data_words(facts: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if facts is None:
        return []
    splits = [(name, count(size)) for name, size in facts["splits"].items()]
    if facts["kind"] != "image":
        return [
            *splits,
            ("features", count(facts["shape"][0])),
            ("classes", count(len(facts["classes"]))),
        ]
    channels, height, width = facts["shape"]
    tone = "grey" if channels == 1 else "colour" if channels == 3 else f"{channels} channels"
    moments = ["/".join(number(value) for value in facts[key]) for key in ("mean", "std")]
    return [
        *splits,
        ("image", f"{height} × {width} {tone}"),
        ("classes", count(len(facts["classes"]))),
        ("mean, sd", ", ".join(moments)),
    ]


def _loss(draft: Draft, failed: Mapping[str, str]) -> dict[str, Any]:
    """The text, its pieces with the colours of what they pull towards, and what is wrong in it."""
    typed = draft.typed
    error = dict(typed.error) if typed is not None and typed.kind == "loss" else None
    error = error or _wrong_in_loss(draft, failed)
    try:
        printed = printed_terms(draft.terms)
    except (KeyError, TypeError, ValueError):  # half typed in the text beside: its rows say so
        printed = []
    pieces = [{"text": text, "colour": _colour(draft, key)} for key, text in printed]
    return {"text": draft.loss, "pieces": pieces, "error": error, "terms": len(draft.terms)}


def _wrong_in_loss(draft: Draft, failed: Mapping[str, str]) -> dict[str, Any] | None:
    """The first wrong value of a term, where it stands in the text."""
    prefix = f"stages.{draft.stage}.terms."
    for path, message in failed.items():
        if path.startswith(prefix):
            word = str(value_at(draft.data, path))
            start = draft.loss.find(word)
            if start >= 0:
                end = start + len(word)
                return {"start": start, "end": end, "message": message, "nearest": None}
    return None


def _colour(draft: Draft, key: str) -> str:
    return wording.COLOURS.get(str(_told_of(draft, key).get("pull")), "ink")


def _told_of(draft: Draft, key: str) -> dict[str, Any]:
    """The entry of a term's kind in the menu; empty where there is no such kind."""
    term = draft.terms[key]
    use = term if isinstance(term, str) else (term or {}).get("use")
    return next((entry for entry in menu(TERMS) if entry["name"] == use), {})


def _term(draft: Draft, key: str, failed: Mapping[str, str]) -> dict[str, Any]:
    """A term's card."""
    path = f"stages.{draft.stage}.terms.{key}"
    told = _told_of(draft, key)
    shown = form(draft, path)
    return {
        "key": key,
        "path": path,
        "colour": _colour(draft, key),
        "towards": {"teacher": "towards teacher", "labels": "towards labels"}.get(
            str(told.get("pull")), ""
        ),
        "wrong": any(one == path or one.startswith(f"{path}.") for one in failed),
        "told": told,
        **shown,
    }


def _target(draft: Draft, known: Mapping[str, Any], waits: str) -> dict[str, Any] | None:
    """One real sample's soft targets: the teacher's logits, for the page to soften at any T."""
    heat = next(
        (
            (key, float(term.get("temperature", 4.0)))
            for key, term in draft.terms.items()
            if isinstance(term, Mapping)
            and term.get("use") == "kd"
            and isinstance(term.get("temperature", 4.0), (int, float))
        ),
        None,
    )
    if heat is None:
        return None
    teacher, data = known.get("teacher") or {}, known.get("data") or {}
    return {
        "key": heat[0],
        "temperature": heat[1],
        "logits": teacher.get("logits"),
        "classes": data.get("classes", []),
        "picture": next(iter(data.get("pictures", [])), None),
        "waits": "" if teacher.get("logits") else waits,
    }


def _text(draft: Draft, failed: Mapping[str, str]) -> dict[str, Any]:
    """The same experiment as YAML and as Python, and the lines on which something is wrong."""
    yaml = draft.yaml
    lines = lines_of(yaml)
    wrong = sorted({lines[path] for path in failed if path in lines})
    typed = draft.typed
    error = dict(typed.error) if typed is not None and typed.kind != "loss" else None
    kind = typed.kind if error is not None and typed is not None else None
    return {"yaml": yaml, "python": draft.python, "lines": wrong, "error": error, "kind": kind}


def _counts(checks: list[Any]) -> str:
    words = {"failed": "failed", "warning": "warning", "waiting": "running", "passed": "passed"}
    found = [
        f"{number} {word}{'s' if state == 'warning' and number > 1 else ''}"
        for state, word in words.items()
        if (number := sum(row.state == state for row in checks))
    ]
    return ", ".join(found)


def _about(estimate: Mapping[str, Any] | None) -> str:
    """Time, memory and disk in words; empty while they are not known."""
    if not estimate:
        return ""
    return (
        f"about {span(estimate['seconds'])} here, {size(estimate['memory_bytes'])} of memory, "
        f"{size(estimate['disk_bytes'])} on disk"
    )
