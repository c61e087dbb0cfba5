"""The card of numbers of a run as plain data: on probe while it trains, on test once it is done.

Unusual here: numbers against the truth and numbers against the teacher are of different samples, so
they stand in parts, each headed by its split and n. Of a control the second kind is counted from
what it answered beside the student's teacher; where it did not, the card says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workbench_widgets.words import MINUS, count, fixed

from workbench.runs.agreement import Agreement
from workbench.runs.beside import taught_anew
from workbench.runs.frames import control_name
from workbench.runs.history import History
from workbench.training.card import caption

ITSELF: Final = {"text": "–", "why": "not defined: loyalty is to the teacher itself"}
"""Of the teacher."""
NULL: Final = "null p95 of ECE, %"
"""What a calibrated model with the same confidences rarely passes; ECE never stands without it."""
UNKNOWN: Final = {"text": "–", "why": "not known: the reason stands below the table"}
FACTS: Final = frozenset({"n", "label_loyalty", "copied", "teacher_wrong"})
"""What the loyalty probe says of the student itself, by the same names."""
COLUMNS: Final = {"plain_kd": "plain KD"}
"""Parts of a result that have another name on the page."""
ASKED: Final = {
    "control": "The control",
    "plain_kd": "The second control, plain KD,",
}
"""Parts that an experiment has only if it asks for them, in words."""


def result(history: History) -> dict[str, Any]:
    """The card of a run.

    Returns:
        ``title``, ``read``, ``columns``, ``notes``, ``footer``, and ``parts``: of each what it is
        ``of`` (split and n; empty: the footer says it) and its ``rows``, name first, then a cell a
        column: text, or a mapping with ``text`` and ``why``.
    """
    metrics = (history.row.result or {}).get("metrics")
    if metrics:
        return _final(history, metrics)
    return _so_far(history)


def _final(history: History, metrics: Mapping[str, Any]) -> dict[str, Any]:
    row = history.row
    asked = [name for name in ASKED if metrics.get(name) or row.experiment.get(name)]
    names = ["student", "teacher", *asked]
    told: list[Mapping[str, Any]] = [metrics.get(name) or {} for name in names]
    rows = [
        ["accuracy, %", *(_hundred(one.get("accuracy")) for one in told)],
        ["NLL, nats", *(fixed(one.get("nll"), 3) for one in told)],
        ["ECE, %", *(_hundred(one.get("ece")) for one in told)],
    ]
    protocol = {"seed": row.experiment.get("seed", 0), **(row.protocol or {})}
    chance = protocol.get("chance") or {}
    nulls = [(chance.get(name) or {}).get("ece_null_p95") for name in names]
    if any(null is not None for null in nulls):
        rows.append([NULL, *map(_hundred, nulls)])
    n = ((protocol.get("splits") or {}).get("test") or {}).get("rows")
    parts = [{"of": f"test, n = {count(n)}" if n else "test", "rows": rows}]
    notes = []
    if metrics.get("control"):
        gap = _points(metrics["student"]["accuracy"] - metrics["control"]["accuracy"])
        what = control_name(row.experiment).removeprefix("control, ")
        words = f"Student minus control ({what}): {gap} percentage points on the same seed."
        notes.append(f"{words} {_over_seeds(history.over_seeds)}")
    if "chance" not in protocol and row.status == "finished":
        notes.append("How much ECE chance alone gives was not recorded with this run.")
    ended = [name for name in asked if metrics.get(name)]
    state = "still trains" if row.active else "did not reach its end"
    notes += [f"{ASKED[name]} {state}." for name in asked if name not in ended]
    followed = _followed(history)
    if followed is None:
        notes.append("Label loyalty is not known: no snapshot of this run keeps both answers.")
    else:
        agreed = {name: _of_control(history, name, followed) for name in ended}
        parts.append(_against_the_teacher(history, followed, [agreed.get(name) for name in asked]))
        notes += [_untold(history, name) for name, one in agreed.items() if one is None]
        last = max(history.beside.maps, default=None)
        if agreed.get("control") is not None and last != history.steps[-1]:
            notes.append(f"On probe the control is of its own last step, {count(last or 0)}.")
    return {
        "run": row.id,
        "title": "Result",
        "read": "Test: read once, at the end. Probe: looked at all along.",
        "columns": [COLUMNS.get(name, name) for name in names],
        "parts": parts,
        "notes": notes,
        "footer": caption(protocol),
    }


def _followed(history: History) -> Agreement | None:
    """How far the student follows its teacher at the last snapshot."""
    if history.latest is None:
        return None
    told = history.latest.facts.get("loyalty") or {}
    found = Agreement.of(history.latest.arrays)
    if found is None and set(told) >= FACTS:  # a run of before answers were kept
        found = Agreement(**{name: told[name] for name in FACTS})
    return found


def _of_control(history: History, name: str, student: Agreement) -> Agreement | None:
    """The same of its control, if it is known of the same samples and the same teacher."""
    found = history.beside.agreed if name == "control" else None
    if found is None or taught_anew(history):
        return None
    same = (found.n, found.teacher_wrong) == (student.n, student.teacher_wrong)
    return found if same else None


def _against_the_teacher(
    history: History, student: Agreement, controls: Sequence[Agreement | None]
) -> dict[str, Any]:
    """Label loyalty and copied errors, a cell for student, teacher and each control."""
    loyalty = [None if one is None else _hundred(one.label_loyalty) for one in controls]
    copied = [None if one is None else count(one.copied) for one in controls]
    rows: list[list[Any]] = [
        ["label loyalty, %", _hundred(student.label_loyalty), ITSELF],
        [f"copied errors, of {count(student.teacher_wrong)}", count(student.copied), ITSELF],
    ]
    for row, cells in zip(rows, (loyalty, copied), strict=True):
        row.extend(UNKNOWN if cell is None else cell for cell in cells)
    step = f", step {count(history.steps[-1])}" if history.steps else ""
    return {"of": f"probe, n = {count(student.n)}{step}", "rows": rows}


def _untold(history: History, name: str) -> str:
    """Why nothing is known of how far a control follows the teacher."""
    if name != "control":
        why = "only the control is looked at beside the teacher"
    elif taught_anew(history):
        why = "the teacher was changed in mid-run, so it has no one teacher to be compared with"
    elif not history.similarity:
        why = "its answers are kept with the layer similarity, which is not among the probes"
    else:
        why = "the run was recorded before a control's answers were kept"
    whose = COLUMNS.get(name, f"the {name}")
    return f"Label loyalty and copied errors of {whose} are not known: {why}."


def _over_seeds(told: Mapping[str, Any] | None) -> str:
    """What all seeds of the group say of the difference."""
    found = ((told or {}).get("difference") or {}).get("accuracy")
    if found is None or found["n"] == 1:
        return "One seed: run more before you believe a difference."
    words = f"Over {found['n']} seeds: mean {_points(found['mean'])}"
    if found["interval"] is None:
        return f"{words}; {found['why']}."
    low, high = (_points(end) for end in found["interval"])
    return f"{words}, 95 % interval {low} to {high}."


def _points(share: float) -> str:
    """A difference of shares in percentage points, signed."""
    gap = 100 * share
    return f"{'+' if gap > 0 else MINUS if gap < 0 else '±'}{abs(gap):.1f}"


def _so_far(history: History) -> dict[str, Any]:
    facts: dict[str, Any] = history.latest.facts if history.latest is not None else {}
    calibration = facts.get("calibration") or {}
    student, teacher = calibration.get("student") or {}, calibration.get("teacher") or {}
    rows: list[list[Any]] = [
        ["accuracy, %", _hundred(history.student_accuracy), _hundred(history.teacher_accuracy)],
        ["NLL, nats", fixed(student.get("nll"), 3), fixed(teacher.get("nll"), 3)],
        ["ECE, %", _hundred(student.get("ece")), _hundred(teacher.get("ece"))],
        [NULL, _hundred(student.get("ece_null_p95")), _hundred(teacher.get("ece_null_p95"))],
    ]
    followed = _followed(history)
    if followed is not None:
        rows += _against_the_teacher(history, followed, ())["rows"]
    n = (facts.get("loyalty") or {}).get("n") or calibration.get("n") or _probe_rows(history)
    shown = f"step {count(history.steps[-1])} · " if history.steps else ""
    footer = "probe, n is told at the run's end" if n is None else f"n = {count(n)} probe"
    return {
        "title": "Where it stands",
        "read": "The last snapshot, on the probe samples.",
        "columns": ["student", "teacher"],
        "parts": [{"of": "", "rows": rows}],
        "notes": [
            "Test samples are read once, at the end; then the result stands here."
            if history.row.active
            else "No result on test: the run did not reach its end."
        ],
        "footer": f"{shown}{footer}" if shown else "before the first snapshot",
    }


def _probe_rows(history: History) -> int | None:
    """Rows of the probe split; None before the run has written down its protocol."""
    probe = ((history.row.protocol or {}).get("splits") or {}).get("probe") or {}
    return probe.get("rows")


def _hundred(share: float | None) -> str:
    """A share in [0, 1] as a bare percentage; the unit stands in the row's name."""
    return fixed(None if share is None else 100 * share, 1)
