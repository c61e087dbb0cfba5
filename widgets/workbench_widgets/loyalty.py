"""Loyalty and knowledge: where the student follows the teacher, and where it should not have.

Unusual here: this view has no plot; it is a table of four counts with their trends, drawn as HTML
by the browser and as text and lines in a static figure, from the same parts. Papers: Xu et al. 2021
(label and probability loyalty), Stanton et al. 2021, arXiv:2106.05945 (fidelity). Shapes: S =
snapshots, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.since import STATE, Base, bases, control
from workbench_widgets.words import (
    NONE,
    count,
    fixed,
    number,
    percent,
    sampled,
    signed,
)

TITLE: Final = "Loyalty and knowledge"
READ: Final = ("Where the student follows the teacher, and where it should not have.",)
DEFINITION: Final = (
    "Counts of samples by who is right. Label loyalty: share of equal answers (Xu et al. 2021; "
    "the same as top-1 agreement, Stanton et al. 2021). Probability loyalty: mean of 1 - "
    "sqrt(JS) with JS in bits, so 0 to 1. A copied error is the teacher's own wrong label given "
    "by the student."
)
MEANINGS: Final = (("both right", "own discoveries"), ("still to learn", "both wrong"))
EACH: Final = ("ids", "labels", "cell", "copied")
SPLIT: Final = "split"
"""Name of the state that holds which rows are shown, where there are two sorts."""
SPLITS: Final = (
    {"value": "probe", "label": "probe", "title": "rows that the student has never seen"},
    {"value": "train", "label": "train", "title": "as many rows that it learns from, drawn once"},
)
UNSELECTABLE: Final = "Training rows: no other view shows them, so they cannot be selected"
CLASSES: Final = 12
"""Per-class rows are shown up to this many classes; beyond, the classes with most errors."""


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: ``table`` (2, 2) of counts, rows student right / wrong, columns teacher right /
            wrong; optionally ``table_history`` (S, 2, 2) with ``steps`` (S,), and ``by_class`` (2,
            K): still to learn and copied errors per class; optionally per sample (n,), so that a
            click selects them: ``ids``, ``labels``, ``cell`` (0 to 3, row by row of the table) and
            ``copied`` (1: the teacher's own wrong label); optionally ``table``, ``table_history``
            and ``by_class`` of training rows as ``train_...``. Empty while waiting.
        facts: ``label_loyalty`` and ``probability_loyalty`` in [0, 1], ``copied`` and
            ``teacher_wrong`` (counts), ``kl_nats``, ``n``, ``split``, ``step``; optionally
            ``gained`` and ``lost`` (counts) with ``since`` (``{"step", "number"}``),
            ``class_names`` and ``selected``; or, to choose since when, ``marks`` and ``changes``,
            ``gained`` and ``lost`` for each of ``since.bases(steps, marks)``; optionally
            ``train``, the same numbers of training rows.

    Raises:
        FrameError: If arrays or facts are missing or disagree.
    """
    if not arrays:
        return Frame(
            view="loyalty",
            step=-1,
            title=TITLE,
            read=READ,
            footer=("JS in bits",),
            summary="No snapshot yet.",
            definition=DEFINITION,
            parts=(_quadrants(None, None, 0, {}), *_measures({})),
            waiting="Waits for the first snapshot.",
        )
    need(arrays, "loyalty", {"table": (2, 2)})
    table = np.asarray(arrays["table"], dtype=np.int64)
    data: dict[str, NDArray[Any]] = {"table": table.astype(np.int32)}
    trends: NDArray[Any] | None = None
    if "table_history" in arrays:
        need(arrays, "loyalty", {"steps": ("S",), "table_history": ("S", 2, 2)})
        trends = np.asarray(arrays["table_history"])
        data["table_history"] = trends.astype(np.int32)
        data["steps"] = np.asarray(arrays["steps"], dtype=np.int32)
    each = [name for name in EACH if name in arrays]
    data |= {name: np.asarray(arrays[name], dtype=np.int32) for name in each}
    picks = len(each) == len(EACH)
    n = int(table.sum())
    found = bases(data.get("steps", ()), list(facts.get("marks", ())))
    found = found if len(facts.get("changes", ())) == len(found) else []
    parts: list[dict[str, Any]] = [
        _quadrants(table, trends, n, facts, picks=picks), *_measures_since(facts, found)
    ]  # fmt: skip
    if "by_class" in arrays:
        need(arrays, "loyalty", {"by_class": (2, "K")})
        by_class = np.asarray(arrays["by_class"], dtype=np.int64)
        data["by_class"] = by_class.astype(np.int32)
        names = [str(name) for name in facts.get("class_names", ())]
        parts.append(_class_rows(by_class, names, picks=picks))
    controls = control(found)
    footer: list[Run] = [f"{sampled(n, facts)} · JS in bits"]
    spoken = _spoken(table, facts)
    if "train" in facts:
        seen, theirs, told = _of_train_rows(arrays, facts, found)
        data |= seen
        parts = [*_under(parts, "probe"), *_under(theirs, "train")]
        controls = [*controls, {"name": SPLIT, "options": list(SPLITS)}]
        splits = {"probe": sampled(n, facts), "train": told}
        runs: list[Run] = [{"text": w, "show": {SPLIT: own}} for own, w in splits.items()]
        footer = [*runs, " · JS in bits"]
        spoken += f" On training rows: {_spoken(seen['train_table'], facts['train'])}"
    since = facts.get("since") or {}
    if since.get("number") is not None:
        footer += [" · ", {"mark": since["number"]}, f" = step {count(since['step'])}"]
    if trends is not None and len(trends) > 1:
        footer.append(" · trends: own scale")
    return Frame(
        view="loyalty",
        step=int(fact(facts, "loyalty", "step")),
        title=TITLE,
        read=READ,
        footer=tuple(footer),
        summary=spoken,
        definition=DEFINITION,
        arrays=data,
        tables=declared("loyalty", data, facts),
        controls=tuple(controls),
        state={STATE: 0, SPLIT: "probe"},
        parts=tuple(parts),
        ids="ids" if picks else None,
    )


def _of_train_rows(
    arrays: Arrays, facts: Facts, found: Sequence[Base]
) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]], str]:
    """Arrays and parts of the training rows, and how many they are; none of them is selectable."""
    own: Facts = facts["train"]
    need(arrays, "loyalty", {"train_table": (2, 2), "train_by_class": (2, "K")})
    names = ("train_table", "train_by_class", "train_table_history")
    data = {name: np.asarray(arrays[name]).astype(np.int32) for name in names if name in arrays}
    table = data["train_table"].astype(np.int64)
    found = found if len(own.get("changes", ())) == len(found) else []
    classes = [str(name) for name in facts.get("class_names", ())]
    told = {**own, "split": "train"}
    n = int(table.sum())
    parts = [
        _quadrants(table, data.get("train_table_history"), n, told, why=UNSELECTABLE),
        *_measures_since(told, found),
        _class_rows(data["train_by_class"].astype(np.int64), classes),
    ]
    return data, parts, sampled(n, told)


def _under(parts: Sequence[Mapping[str, Any]], split: str) -> list[dict[str, Any]]:
    """Parts that are shown while the toggle stands at a split."""
    return [{**part, "show": {**part.get("show", {}), SPLIT: split}} for part in parts]


def _quadrants(
    table: NDArray[np.int64] | None,
    trends: NDArray[Any] | None,
    n: int,
    facts: Facts,
    *,
    picks: bool = False,
    why: str = "",
) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    for i in range(2):
        for j in range(2):
            cell: dict[str, Any] = {"student": 1 - i, "teacher": 1 - j, "count": NONE}
            cell["meaning"] = [MEANINGS[i][j]]
            if picks:
                cell["picks"] = {"where": [["cell", 2 * i + j]], "words": MEANINGS[i][j]}
            elif why:
                cell["why"] = why
            if table is not None:
                cell["count"] = count(int(table[i, j]))
                cell["meaning"] = [f"{percent(int(table[i, j]) / max(n, 1))} {MEANINGS[i][j]}"]
                if (i, j) == (1, 1) and "copied" in facts:
                    copied = {"text": count(facts["copied"]), "strong": True, "colour": "$ink"}
                    cell["meaning"] = [copied, " same wrong label"]
            if trends is not None and len(trends) > 1:
                cell["trend"] = _unit(trends[:, i, j])
            cells.append(cell)
    return {
        "kind": "quadrants",
        "columns": [
            [{"text": "■ ", "colour": "$teacher"}, f"Teacher {word}"] for word in ("right", "wrong")
        ],
        "rows": [
            [{"text": "● ", "colour": "$student"}, f"Student {word}"] for word in ("right", "wrong")
        ],
        "cells": cells,
    }


def _unit(values: NDArray[Any]) -> list[float]:
    """A trend on its own scale, 0 to 1; a constant one lies in the middle."""
    numbers = values.astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    scaled = (numbers - low) / (high - low) if high > low else np.full_like(numbers, 0.5)
    return [round(float(v), 4) for v in scaled]


def _measures_since(facts: Facts, found: Sequence[Base]) -> list[dict[str, Any]]:
    """The numbers under the table, once for each snapshot that they can be compared with."""
    if not found:
        return _measures(facts)
    parts = []
    for place, (base, change) in enumerate(zip(found, facts["changes"], strict=True)):
        since = {"step": base.step, "number": base.number}
        (part,) = _measures({**facts, **change, "since": since})
        parts.append({**part, "show": {STATE: place}})
    return parts


def _measures(facts: Facts) -> list[dict[str, Any]]:
    copied = (
        f"{count(facts['copied'])} of {count(facts['teacher_wrong'])}"
        if "copied" in facts
        else NONE
    )
    rows: list[list[Any]] = [
        ["Label loyalty", percent(facts.get("label_loyalty"))],
        ["Probability loyalty", fixed(facts.get("probability_loyalty"), 3)],
    ]
    if "gained" in facts:
        since = facts.get("since") or {"step": 0}
        named = since.get("number") is not None
        mark: Run = {"mark": since["number"]} if named else f"step {count(since['step'])}"
        rows += [
            [["Gained since ", mark], signed(facts["gained"])],
            [["Lost since ", mark], signed(-facts["lost"])],
        ]
    rows += [["Copied errors", copied], ["KL(T‖S), nats", number(facts.get("kl_nats"))]]
    return [{"kind": "stats", "rows": rows, "columns": 2, "rules": True}]


def _class_rows(
    by_class: NDArray[np.int64], names: list[str], *, picks: bool = False
) -> dict[str, Any]:
    """Counts per class; with many classes those with most errors, in class order."""
    total = by_class.shape[1]
    shown = np.sort(np.argsort(-by_class.sum(axis=0), kind="stable")[:CLASSES])
    named = _column_names([names[k] if k < len(names) else str(k) for k in shown], shown)
    heading = "by class" if total <= CLASSES else f"worst {CLASSES} of {count(total)}"
    rows = (("still to learn", ["cell", 2]), ("copied errors", ["copied", 1]))
    classes = [(names[k] if k < len(names) else str(k), ["labels", int(k)]) for k in shown]
    return {
        "kind": "grid",
        "show": {"h>=": 345},
        "heading": heading,
        "columns": named,
        "picks": [{"where": [own], "words": f"class {name}"} for name, own in classes]
        if picks
        else None,
        "rows": [
            {
                "label": label,
                "values": [int(v) for v in by_class[row, shown]],
                "picks": [
                    {"where": [test, own], "words": f"{label}, class {name}"}
                    for name, own in classes
                ]
                if picks
                else None,
            }
            for row, (label, test) in enumerate(rows)
        ],
        "top": int(max(by_class.max(initial=0), 1)),
    }


def _column_names(names: Sequence[str], places: NDArray[np.int64]) -> list[str]:
    """What tells classes apart in narrow columns: their beginning, their end or their number."""
    room = 7 if len(names) <= 6 else 5 if len(names) <= 10 else 4
    for cut in (
        [name if len(name) <= room else f"{name[: room - 1].rstrip()}…" for name in names],
        [name if len(name) <= room else f"…{name[1 - room :].lstrip()}" for name in names],
    ):
        if len(set(cut)) == len(cut):
            return cut
    return [str(int(k)) for k in places]


def _spoken(table: NDArray[np.int64], facts: Facts) -> str:
    both, own, learn, wrong = (count(int(v)) for v in table.ravel())
    return (
        f"Both right {both}, only the student {own}, only the teacher {learn}, neither {wrong}. "
        f"Label loyalty {percent(facts.get('label_loyalty'))}, probability loyalty "
        f"{fixed(facts.get('probability_loyalty'), 3)} of 1."
    )
