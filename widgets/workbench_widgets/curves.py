"""Curves: how right both are, and what each term of the loss still costs.

Unusual here: a term wears the colour of what it pulls towards (teacher or labels); two terms with
one target differ by dash, never by hue. Raw values stay visible behind the smoothed line. Losses
are weighted, in nats unless the term says otherwise, batch means, on a log axis. Shapes: S =
snapshots, M = logged steps, R = terms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.curve_axes import (
    Clock,
    accuracy_floor,
    accuracy_ticks,
    add_phases,
    floor_of_plots,
    late,
    phases_spoken,
    x_axis_of,
)
from workbench_widgets.curve_legend import term_legend
from workbench_widgets.curve_selection import (
    FAINT,
    selected_data,
    selected_legend,
    selected_names,
    selected_traces,
)
from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.skeleton import (
    Node,
    axis,
    escape,
    ghost,
    layout,
    mark_lines,
    mark_numbers,
)
from workbench_widgets.words import count, fixed, number, percent, sampled, term_name

TITLE: Final = "Curves"
READ: Final = ("How right both are, and what each term still costs.",)
DEFINITION: Final = (
    "Top: share of right answers at each snapshot; the dashed line is the teacher. Bottom: each "
    "term of the loss times its weight, mean over the batch; faint is raw, full is smoothed "
    "over 2 % of the run. Numbered squares are interventions. With samples selected, the lines "
    "with a marker a snapshot are of these samples, the faint ones of all."
)
TARGET_COLOURS: Final = {"teacher": "$teacher", "labels": "$truth"}
DASHES: Final = {
    "teacher": ("solid", "8px,3px", "8px,2px,2px,2px", "2px,2px"),
    "labels": ("3px,2px", "solid", "8px,2px,2px,2px", "8px,3px"),
}
MOST_POWERS: Final = 3.5
"""Steps between labels of the cost axis: its few pixels have room for no more."""
SMOOTHING: Final = 0.02
"""Half-life of the smoothing, as a share of the planned steps."""


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: ``steps`` (S,) and ``student_accuracy`` (S,) in [0, 1]; ``term_steps`` (M,) and
            ``terms`` (R, M); optionally ``control_steps`` with ``control_accuracy``, and
            ``selected_steps`` with ``selected_student`` and ``selected_teacher``. Empty while
            waiting.
        facts: ``teacher_accuracy`` in [0, 1] or None, ``term_names``, ``term_targets``
            (``teacher``, ``labels`` or other), ``steps_total``, ``n``, ``split``, ``step``;
            optionally ``marks`` (``{"step", "number", "text"}``), ``steps_per_epoch``,
            ``control_name``, ``times`` (step and seconds of each snapshot), ``phases`` of the
            learning rate (name, first step, last step), ``selected`` (``n`` of ``of``).

    Raises:
        FrameError: If arrays are missing or disagree.
    """
    names = [str(name) for name in facts.get("term_names", ())]
    targets = [str(target) for target in facts.get("term_targets", [""] * len(names))]
    styles = _styles(targets)
    total = max(float(facts.get("steps_total", 1)), 1.0)
    epochs = float(facts.get("steps_per_epoch", 0))
    clock = Clock.of(facts.get("times", ()))
    shown = ["step", *(["epoch"] if epochs > 0 else []), *(["time"] if clock else [])]
    options = [{"value": name, "label": name} for name in shown]
    controls: tuple[dict[str, Any], ...] = (
        ({"name": "x", "options": options},) if len(options) > 1 else ()
    )
    teacher: float | None = facts.get("teacher_accuracy")
    data: dict[str, NDArray[Any]] = {}
    if arrays:
        need(arrays, "curves", {"steps": ("S",), "student_accuracy": ("S",)})
        need(arrays, "curves", {"term_steps": ("M",), "terms": (len(names), "M")})
        data = _data(arrays, total) | selected_data(arrays)
    some = "selected_steps" in data
    accuracy = data.get("student_accuracy")
    latest = float(accuracy[-1]) / 100 if accuracy is not None and accuracy.size else None
    return Frame(
        view="curves",
        step=int(fact(facts, "curves", "step")) if data else -1,
        title=TITLE,
        read=READ,
        footer=_footer(facts, control="control_accuracy" in data, some=some),
        summary=_spoken(latest, teacher, names, data, facts) if data else "No snapshot yet.",
        definition=DEFINITION,
        arrays=data,
        facts={"selected": facts["selected"]} if some else {},
        tables=declared("curves", data, facts),
        controls=controls,
        state={"x": "step"},
        parts=(_legend(latest, teacher, data, facts), {"kind": "plot"}),
        skeleton=_skeleton(data, facts, names, styles, x_axis_of(total, epochs, clock)),
        waiting=None if data else "Waits for the first step.",
    )


def smooth(
    values: NDArray[np.float64], steps: NDArray[np.float64], half_life: float
) -> NDArray[np.float64]:
    """Causal exponential mean over uneven steps, unbiased at the start; skips NaN."""
    out = np.full_like(values, np.nan)
    total = weight = 0.0
    before = steps[0] if steps.size else 0.0
    for k, (value, step) in enumerate(zip(values, steps, strict=True)):
        keep = 0.5 ** (max(step - before, 0.0) / max(half_life, 1e-9))
        total, weight, before = total * keep, weight * keep, step
        if np.isfinite(value):
            total, weight = total + value, weight + 1.0
        if weight > 0:
            out[k] = total / weight
    return out


def _data(arrays: Arrays, total: float) -> dict[str, NDArray[Any]]:
    data: dict[str, NDArray[Any]] = {
        "steps": np.asarray(arrays["steps"], dtype=np.float32),
        "student_accuracy": np.asarray(arrays["student_accuracy"], dtype=np.float32) * 100,
    }
    if "control_accuracy" in arrays:
        need(arrays, "curves", {"control_steps": ("C",), "control_accuracy": ("C",)})
        data["control_steps"] = np.asarray(arrays["control_steps"], dtype=np.float32)
        data["control_accuracy"] = np.asarray(arrays["control_accuracy"], dtype=np.float32) * 100
    steps = np.asarray(arrays["term_steps"], dtype=np.float64)
    data["term_steps"] = steps.astype(np.float32)
    raw = np.asarray(arrays["terms"], dtype=np.float64)
    # A log axis has no 0: a term that is switched off leaves a gap, not a fall to the floor.
    raw = np.where(raw > 0, raw, np.nan)
    smoothed = [smooth(row, steps, SMOOTHING * total) for row in raw]
    data["terms"] = raw.astype(np.float32)
    data["terms_smooth"] = np.asarray(smoothed, dtype=np.float32).reshape(raw.shape)
    return data


def _styles(targets: Sequence[str]) -> list[tuple[str, str]]:
    """Colour and dash of each term; the dash counts terms of the same target."""
    seen: dict[str, int] = {}
    styles = []
    for target in targets:
        dashes = DASHES.get(target, DASHES["teacher"])
        used = seen.get(target, 0)
        seen[target] = used + 1
        styles.append((TARGET_COLOURS.get(target, "$ink2"), dashes[used % len(dashes)]))
    return styles


def _legend(
    latest: float | None, teacher: float | None, data: dict[str, NDArray[Any]], facts: Facts
) -> dict[str, Any]:
    if "selected_steps" in data:
        return {"kind": "note", "text": selected_legend(data, latest, teacher)}
    n = f", n = {count(facts['n'])}" if "n" in facts else ""
    text: list[Run] = [
        {"text": "● S ", "colour": "$student"},
        {
            "text": percent(latest),
            "colour": "$student",
            "strong": True,
            **({"at": ["steps", "student_accuracy"]} if data else {}),
        },
        "\u2003",
        {"text": "■ T ", "colour": "$teacher"},
        {"text": percent(teacher), "colour": "$teacher", "strong": True},
        "\u2003",
        {"text": f"{facts.get('split', '')} accuracy{n}".strip(), "colour": "$ink3", "at": "step"},
    ]
    return {"kind": "note", "text": text}


def _footer(facts: Facts, *, control: bool, some: bool) -> tuple[Run, ...]:
    parts = ["faint: raw"] if control else ["faint: raw, full: smoothed"]
    if some:
        told = facts["selected"]
        parts = [sampled(told["n"], facts), f"faint: all {count(told['of'])}, raw terms"]
    elif "n" in facts:
        parts.insert(0, f"n = {count(facts['n'])} {facts.get('split', '')}".strip())
    if control:
        all_ = ", all samples" if some else ""
        parts.append(f"dotted: {facts.get('control_name', 'control')}{all_}")
    return (" · ".join(parts),)


def _spoken(
    latest: float | None,
    teacher: float | None,
    names: Sequence[str],
    data: Mapping[str, NDArray[Any]],
    facts: Facts,
) -> str:
    ends = [row[np.isfinite(row)] for row in data["terms_smooth"]]
    costs = [
        f"{term_name(n)} {number(float(e[-1]))}" for n, e in zip(names, ends, strict=True) if e.size
    ]
    said = f"Accuracy: student {percent(latest)}, teacher {percent(teacher)}."
    if "selected_steps" in data:
        mine, theirs = (float(data[f"selected_{who}"][-1]) / 100 for who in ("student", "teacher"))
        said += f" Of the selected: student {percent(mine)}, teacher {percent(theirs)}."
    said += f" Weighted terms: {', '.join(costs)}." if costs else ""
    return said + phases_spoken(list(facts.get("phases", ())))


def _skeleton(
    data: dict[str, NDArray[Any]],
    facts: Facts,
    names: Sequence[str],
    styles: Sequence[tuple[str, str]],
    x_axis: dict[str, Node],
) -> dict[str, Node]:
    total = max(float(facts.get("steps_total", 1)), 1.0)
    marks = list(facts.get("marks", ()))
    teacher: float | None = facts.get("teacher_accuracy")
    others = [] if teacher is None else [100 * teacher]
    if "control_accuracy" in data:
        others += late(data["control_accuracy"])
    some = "selected_steps" in data
    for who in ("student", "teacher") if some else ():
        others += late(data[f"selected_{who}"])
    accuracy = data.get("student_accuracy", np.zeros(0))
    floor = accuracy_floor(accuracy, others)
    # another selection is another picture: its axis need not hold what the one before reached
    held = f"accuracy of {facts['selected']['n']}" if some else "accuracy"
    low, high = _decades(data.get("terms_smooth"))
    powers = _labelled(low, high)
    # few enough for any range: the browser may still hold a wider one than this frame asks for
    legend, lower_top, upper_floor = term_legend(names, styles)
    phases = list(facts.get("phases", ()))
    shape = layout(
        {"l": 40, "r": 10, "t": 6, "b": 32},
        xaxis={**x_axis, "domain": [0, 1], "anchor": "free", "position": 0},
        yaxis=axis(
            {"$hold": held, "range": [floor, 100.6]},
            ticks=accuracy_ticks(held, floor),
            ticksuffix="",
            domain=[upper_floor, 1],
            anchor="free",
            position=0,
            title="%",
            standoff=2,
        ),
        yaxis2=axis(
            {"$hold": "cost", "range": [low, high]},
            type="log",
            ticks=[10.0**p for p in powers],
            labels=[_power(p) for p in powers],
            domain=[floor_of_plots(phases), lower_top],
            anchor="x",
        ),
        shapes=mark_lines(marks, "x", ["y domain", "y2 domain"]),
        annotations=[
            legend,
            *mark_numbers(marks, "x", "y domain", total),
            *(selected_names(data, facts, floor) if some else ()),
        ],
        dragmode="select",
        selectdirection="h",
        newselection={"line": {"color": "$ink", "width": 1, "dash": "dot"}},
    )
    shape["shapes"] += [_base_line(f"{y} domain") for y in ("y", "y2")]
    add_phases(shape, phases, total)
    traces: list[Node] = [ghost("x", "y"), ghost("x", "y2")]
    if not data:
        return {"data": traces, "layout": shape}
    faint: dict[str, Node] = {"opacity": FAINT} if some else {}
    of_all = ", all" if some else ""
    if teacher is not None:
        flat = _line(
            [0, total], [100 * teacher] * 2, "$teacher", "7px,4px", f"T{of_all} %{{y:.1f}} %"
        )
        traces.append({**flat, **faint})
    if "control_steps" in data:
        control = str(facts.get("control_name", "control"))
        ref = {"$data": "control_steps"}, {"$data": "control_accuracy"}
        traces.append(_line(*ref, "$ink", "2px,2px", f"{escape(control)} %{{y:.1f}} %", width=1.3))
    student = {"$data": "steps"}, {"$data": "student_accuracy"}
    hover = f"step %{{x:d}}<br>S{of_all} %{{y:.1f}} %"
    traces.append({**_line(*student, "$student", "solid", hover, width=2), **faint})
    if accuracy.size:
        head = _line([float(data["steps"][-1])], [float(accuracy[-1])], "$student", "solid", "")
        open_head = bool(facts.get("paused"))
        marker = {
            "size": 8,
            "opacity": 1,
            "color": "$surface" if open_head else "$student",
            "line": {"color": "$student", "width": 1.6},
        }
        keep = {"marker": {"opacity": 1}}
        more = {"selected": keep, "unselected": keep, "meta": {"selects": {"steps": True}}}
        traces.append(
            {
                **head,
                **more,
                "mode": "markers",
                "marker": marker,
                "hoverinfo": "skip",
                "cliponaxis": False,
                **faint,
            }
        )
    traces += selected_traces(data) if some else []
    for k, (name, (colour, dash)) in enumerate(zip(names, styles, strict=True)):
        raw = _line({"$data": "term_steps"}, {"$data": "terms", "at": [k]}, colour, "solid", "")
        on = {"yaxis": "y2"}
        traces.append(
            {
                **raw,
                **on,
                "opacity": 0.22,
                "hoverinfo": "skip",
                "line": {"color": colour, "width": 1},
            }
        )
        hover = f"step %{{x:d}}<br>{escape(term_name(name))} %{{y:.3g}}"
        smoothed = {"$data": "terms_smooth", "at": [k]}
        traces.append(
            {**_line({"$data": "term_steps"}, smoothed, colour, dash, hover, width=1.8), **on}
        )
    return {"data": traces, "layout": shape}


def _base_line(yref: str) -> Node:
    """The floor of a plot; the x axis of both stands at the picture's."""
    line = {"color": "$line_strong", "width": 1}
    ends = {"x0": 0, "x1": 1, "y0": 0, "y1": 0}
    return {"type": "line", "xref": "paper", "yref": yref, **ends, "line": line}


def _line(
    x: Node, y: Node, colour: str, dash: str, hover: str, *, width: float = 1.6
) -> dict[str, Node]:
    made: dict[str, Node] = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": colour, "width": width, "dash": dash},
    }
    if hover:
        made["hovertemplate"] = f"{hover}<extra></extra>"
    return made


def _decades(values: NDArray[Any] | None) -> tuple[float, float]:
    """Whole decades around all values, as powers; 0.01 to 10 before there are any."""
    finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
    if not finite.size:
        return -2.0, 1.0
    low, high = math.floor(math.log10(finite.min())), math.ceil(math.log10(finite.max()) + 1e-9)
    return float(low), float(max(high, low + 1))


def _labelled(low: float, high: float) -> list[int]:
    """Powers that have a label: every one, or every so many of a loss that went through decades.

    They reach further than the range, which the browser may hold wider than this frame asks for.
    """
    stride = max(math.ceil((high - low) / MOST_POWERS), 1)
    reach = 8 if stride == 1 else 40  # no float32 lies beyond
    return [p for p in range(-reach, reach + 1) if p % stride == 0]


def _power(p: int) -> str:
    return f"1e{p}" if p < -3 or p > 3 else fixed(10.0**p, max(-p, 0))
