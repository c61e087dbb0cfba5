"""Student, teacher, truth: each sample's triangle drawn exactly in the plane.

Unusual here: truth is the origin, the teacher lies on the x axis at its own distance, and in L2 on
probabilities every student falls inside a 60 degree wedge of radius sqrt 2. The picture is a log
count of cells, not 50 000 points.
Paper: the three sides come from TGeo-KD (arXiv:2312.15112). Shapes: n = samples; cells are (rows,
    columns) = (y, x).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.skeleton import Node
from workbench_widgets.wedge import QUADRANTS, skeleton
from workbench_widgets.wedge_cells import (
    CELL,
    SMALL_CELL,
    cell_means,
    cells,
    log_count,
    rug,
)
from workbench_widgets.words import count, fixed, sampled

TITLE: Final = "Student · Teacher · Truth"
READ: Final[tuple[Run, ...]] = (
    "Each sample is a point. Near ",
    {"text": "G", "colour": "$truth", "strong": True},
    " = right; along the ",
    {"text": "T", "colour": "$teacher", "strong": True},
    " edge = like the teacher.",
)
DEFINITION: Final = (
    "Truth, teacher and student of one sample are three points in probability space; their "
    "three distances are drawn without distortion. Radius r: distance to the truth, close to "
    "the error on the labelled class. Angle: difference on the other classes only. α̂ = x / "
    "|TG|: how far towards the teacher; 1 copies it, above 1 overshoots it."
)
FAR: Final = 0.1
"""Below this radius an angle means nothing."""

AXIS_LENGTH: Final = 0.05
"""Below this |TG| a fusion ratio means nothing."""


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: Per sample (n,): ``ids``, ``x``, ``y``, ``teacher_x`` (= |TG|), ``alpha``,
            ``student_right``, ``teacher_right``, ``labels``, ``axis_defined``; optionally
            ``chosen``, 1 for each selected sample: numbers and colours are theirs, the others
            stay as a grey floor. Empty while waiting.
        facts: ``n``, ``split``, ``step``, ``metric`` (``L2``), ``temperature``, ``num_classes``,
            ``no_axis`` (samples with |TG| = 0), all of the selected samples where there are some;
            then also ``selected`` (``{"n", "of"}``).

    Raises:
        FrameError: If arrays are missing or disagree in length.
    """
    if not arrays:
        return _frame({}, {"zmax": 1.0}, facts, step=-1)
    per_sample: tuple[int | str, ...] = ("n",)
    names = ("ids", "x", "y", "teacher_x", "alpha", "student_right", "teacher_right")
    need(arrays, "trilateral", dict.fromkeys((*names, "labels", "axis_defined"), per_sample))
    x = np.asarray(arrays["x"], dtype=np.float64)
    y = np.asarray(arrays["y"], dtype=np.float64)
    alpha = np.asarray(arrays["alpha"], dtype=np.float64)
    student = np.asarray(arrays["student_right"]) > 0
    teacher = np.asarray(arrays["teacher_right"]) > 0
    reach = np.asarray(arrays["teacher_x"], dtype=np.float64)
    shown = np.asarray(arrays.get("chosen", np.ones(len(x)))) > 0
    counts = cells(x[shown], y[shown], CELL)
    has_ratio = (np.asarray(arrays["axis_defined"]) > 0) & (reach > AXIS_LENGTH)
    data: dict[str, NDArray[Any]] = {
        "ids": np.asarray(arrays["ids"], dtype=np.int32),
        "x": x.astype(np.float32),
        "y": y.astype(np.float32),
        "teacher_x": reach.astype(np.float32),
        "density": log_count(counts),
        "ratio": cell_means(x, y, alpha, has_ratio & shown, CELL),
        "rug": rug(reach[shown]),
        # filled by the browser for the sample that somebody picks
        **{name: np.zeros(0, dtype=np.float32) for name in ("trail_step", "trail_x", "trail_y")},
        "quadrant": (2 * ~student + ~teacher).astype(np.int32),
    }
    if "chosen" in arrays:
        data["chosen"] = shown.astype(np.int32)
        data["others"] = log_count(cells(x[~shown], y[~shown], CELL))
    shares: dict[str, Any] = {}
    for name, _, student_right, teacher_right in QUADRANTS:
        cell = (student == bool(student_right)) & (teacher == bool(teacher_right)) & shown
        key = name.replace(" ", "_")
        data[key] = log_count(cells(x[cell], y[cell], SMALL_CELL))
        shares[key] = count(int(cell.sum()))
    # the scale stays that of all samples, so that a selection does not change a colour's meaning
    top = max(int(cells(x, y, CELL).max(initial=0)), 1)
    facts_drawn = {"zmax": float(max(math.ceil(math.log10(top)), 1)), "shares": shares}
    radius, angle = np.hypot(x, y)[shown], np.arctan2(y, x)[shown]
    stats = _Stats(radius, angle, alpha[shown], has_ratio[shown])
    return _frame(
        data, facts_drawn, facts, step=int(fact(facts, "trilateral", "step")), stats=stats
    )


class _Stats:
    """Medians with the number of samples behind each."""

    def __init__(
        self,
        radius: NDArray[np.float64],
        angle: NDArray[np.float64],
        alpha: NDArray[np.float64],
        has_ratio: NDArray[np.bool_],
    ) -> None:
        far = radius > FAR
        ratio = far & has_ratio & np.isfinite(alpha)
        self.n_far, self.n_ratio = int(far.sum()), int(ratio.sum())
        self.near = int((radius < 0.02).sum())
        self.radius = _median(radius)
        self.angle = _median(np.degrees(angle[far]))
        self.alpha = _median(alpha[ratio])

    def rows(self) -> list[list[Node]]:
        angle = "–" if self.angle is None else f"{self.angle:.0f}°"
        near = f" ({count(self.near)} have r < 0.02)" if self.near else ""
        return [
            [f"radius r = distance to truth{near}", f"median {fixed(self.radius, 3)}"],
            ["angle θ = other classes", f"median {angle}"],
            ["α̂: 1 like the teacher, above 1 beyond it", f"median {fixed(self.alpha, 2)}"],
        ]


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _frame(
    data: dict[str, NDArray[Any]],
    drawn: dict[str, Any],
    facts: Facts,
    *,
    step: int,
    stats: _Stats | None = None,
) -> Frame:
    metric = str(facts.get("metric", "L2"))
    footer = f"{metric}, τ = {facts.get('temperature', 1):g}"
    summary = "No snapshot yet."
    parts: tuple[dict[str, Any], ...] = ({"kind": "plot"},)
    if stats is not None:
        n = int(fact(facts, "trilateral", "n"))
        footer = f"{sampled(n, facts)} · {footer}"
        footer += f" · θ: r > {FAR}, n = {count(stats.n_far)}"
        footer += f" · α̂: and |TG| > {AXIS_LENGTH}, n = {count(stats.n_ratio)}"
        if no_axis := int(facts.get("no_axis", 0)):
            footer += f" · |TG| = 0: {count(no_axis)}"
        summary = (
            f"{count(n)} samples. Median distance to truth {fixed(stats.radius, 3)}. "
            + "; ".join(f"{k.replace('_', ' ')} {v}" for k, v in drawn["shares"].items())
            + "."
        )
        parts = (
            {"kind": "plot"},
            {"kind": "stats", "rows": stats.rows(), "columns": 1, "show": {"h>=": 340}},
        )
    if int(facts.get("num_classes", 0)) == 2:
        note = (
            "With two classes there are no other classes: the angle is 0 and the wedge is a line."
        )
        parts = (*parts, {"kind": "note", "text": [note]})
    controls = ({"value": "count", "label": "count"}, {"value": "ratio", "label": "α̂"})
    return Frame(
        view="trilateral",
        step=step,
        title=TITLE,
        read=READ,
        footer=(footer,),
        summary=summary,
        definition=DEFINITION,
        arrays=data,
        tables=declared("trilateral", data, facts),
        facts=drawn,
        controls=({"name": "colour", "options": list(controls)},) if data else (),
        state={"colour": "count", "picked": -1},
        parts=parts,
        skeleton=skeleton(drawn["zmax"], drawn.get("shares"), others="others" in data),
        ids="ids" if data else None,
        waiting=None if data else "Waits for the first snapshot.",
    )
