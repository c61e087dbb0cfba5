"""Student, teacher, truth: each sample's triangle drawn exactly in the plane.

Unusual here: truth is the origin, the teacher lies on the x axis at its own distance, and all that
a distance allows is a fixed floor. The picture is a log count of cells, not 50 000 points.
Paper: the three sides come from TGeo-KD (arXiv:2312.15112). Shapes: n = samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.cells import cells
from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.skeleton import Node, escape
from workbench_widgets.wedge import QUADRANTS, skeleton
from workbench_widgets.wedge_colour import AXIS_LENGTH, CLASS, COLOUR, COUNT, LABEL, Colours
from workbench_widgets.wedge_ground import GROUNDS, L2, LARGE, LINE, METRIC, Ground
from workbench_widgets.words import count, fixed, sampled, shorten

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
    "three distances are drawn without distortion. Radius r: distance to the truth. α̂ = x / "
    "|TG|: how far towards the teacher; 1 copies it, above 1 overshoots it. "
)
RATIO: Final = "ratio "
"""Arrays whose names begin so hold what a mix gives each sample."""
FAR: Final = 0.1
"""Below this radius an angle means nothing."""
TITLE_LETTERS: Final = 13
"""Longest title of a colour bar: as wide as the bar."""


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: Per sample (n,): ``ids``, ``x``, ``y``, ``teacher_x`` (= |TG|), ``student_right``,
            ``teacher_right``, ``labels``. Optionally ``hellinger_x``, ``hellinger_y`` and
            ``hellinger_teacher_x``, the same by that distance; ``ratio NAME``, what the mix NAME
            gives each sample; ``chosen``, 1 for each selected sample: numbers and colours are
            theirs, the others stay as a grey floor. Empty while waiting.
        facts: ``n``, ``split``, ``step``, ``temperature``, ``num_classes``, ``class_names``,
            ``no_axis`` (samples with |TG| = 0), all of the selected samples where there are some;
            then also ``selected`` (``{"n", "of"}``).

    Raises:
        FrameError: If arrays are missing or disagree in length.
    """
    if not arrays:
        return _waiting()
    floors = (LINE, *GROUNDS[1:]) if int(facts.get("num_classes", 0)) == 2 else GROUNDS
    grounds = tuple(one for one in floors if one.at("teacher_x") in arrays)
    ratios = tuple(name for name in arrays if name.startswith(RATIO))
    places = [one.at(name) for one in grounds for name in ("x", "y", "teacher_x")]
    names = ("ids", *places, "student_right", "teacher_right", "labels", *ratios)
    need(arrays, "trilateral", dict.fromkeys(names, ("n",)))
    student = np.asarray(arrays["student_right"]) > 0
    teacher = np.asarray(arrays["teacher_right"]) > 0
    labels = np.asarray(arrays["labels"], dtype=np.int32)
    shown = np.asarray(arrays.get("chosen", np.ones(len(labels)))) > 0
    data: dict[str, NDArray[Any]] = {
        "ids": np.asarray(arrays["ids"], dtype=np.int32),
        **{name: np.asarray(arrays[name], dtype=np.float32) for name in (*places, *ratios)},
        "labels": labels,
        "quadrant": (2 * ~student + ~teacher).astype(np.int32),
        # filled by the browser for the sample that somebody picks
        "trail_step": np.zeros(0, dtype=np.float32),
        **{f"trail_{one.at(a)}": np.zeros(0, dtype=np.float32) for one in grounds for a in "xy"},
    }
    if "chosen" in arrays:
        data["chosen"] = shown.astype(np.int32)
    shares = {
        name.replace("_", " "): count(int(np.sum((data["quadrant"] == k) & shown)))
        for k, (name, *_) in enumerate(QUADRANTS)
    }
    # the scale stays that of all samples, so that a selection does not change a colour's meaning
    tops = {one.name: _top(one, data) for one in grounds}
    class_names = _class_names(facts, labels)
    stats = {one.name: _Stats(one, data, shown) for one in grounds}
    n = int(fact(facts, "trilateral", "n"))
    said = "; ".join(f"{name} {number}" for name, number in shares.items())
    colours = Colours(grounds, ratios, "chosen" in data, tops)
    return Frame(
        view="trilateral",
        step=int(fact(facts, "trilateral", "step")),
        title=TITLE,
        read=READ,
        footer=_footer(n, facts, grounds, stats),
        summary=f"{count(n)} samples. Median distance to truth (L2) "
        f"{fixed(stats[L2.name].radius, 3)}. {said}.",
        definition=DEFINITION + " ".join(one.definition for one in grounds),
        arrays=data,
        tables=declared("trilateral", data, facts),
        facts={
            "zmax": tops[L2.name],
            "shares": shares,
            "class_names": class_names,
            "class_titles": [_title(name) for name in class_names],
        },
        controls=(colours.toggle(), _class_list(), *_metrics(grounds)),
        state={
            COLOUR: COUNT,
            LABEL: 0,
            "picked": -1,
            **({METRIC: L2.name} if len(grounds) > 1 else {}),
        },
        parts=({"kind": "plot"}, *_parts(colours, stats, facts)),
        skeleton=skeleton(colours),
        ids="ids",
    )


def _waiting() -> Frame:
    return Frame(
        view="trilateral",
        step=-1,
        title=TITLE,
        read=READ,
        footer=("L2, τ = 1",),
        summary="No snapshot yet.",
        definition=DEFINITION + L2.definition,
        state={COLOUR: COUNT, LABEL: 0, "picked": -1},
        parts=({"kind": "plot"},),
        skeleton=skeleton(None),
        waiting="Waits for the first snapshot.",
    )


def _class_list() -> dict[str, Any]:
    """Which class is in ink: a list, since there may be hundreds."""
    return {"name": LABEL, "word": "class", "of": "class_names", "show": {COLOUR: CLASS}}


def _metrics(grounds: tuple[Ground, ...]) -> list[dict[str, Any]]:
    """The toggle of distances, where there are several."""
    options = [{"value": one.name, "label": one.word} for one in grounds]
    return [{"name": METRIC, "options": options}] if len(grounds) > 1 else []


def _class_names(facts: Facts, labels: NDArray[np.int32]) -> list[str]:
    """Of all classes; numbers where the snapshot has no names."""
    known = int(facts.get("num_classes", 0)) or int(labels.max(initial=0)) + 1
    names = [str(name) for name in facts.get("class_names") or ()]
    return names if len(names) == known else [str(k) for k in range(known)]


def _title(name: str) -> str:
    """A class as the title of its colour bar."""
    words = f"class {name}"
    return escape(words if len(words) <= TITLE_LETTERS else shorten(name, TITLE_LETTERS))


def _top(ground: Ground, data: Mapping[str, NDArray[Any]]) -> float:
    """log10 of the count at the top of the colour scale: a whole number, at least 1."""
    grid = ground.cells(LARGE)
    x, y = (data[grid[axis]].astype(np.float64) for axis in ("x", "y"))
    placed = np.isfinite(x) & np.isfinite(y)
    found = cells(x[placed], y[placed], grid["side"], grid["rows"], grid["columns"])
    most = max(int(found.max(initial=0)), 1)
    return float(max(math.ceil(math.log10(most)), 1))


class _Stats:
    """Medians with the number of samples behind each."""

    def __init__(
        self, ground: Ground, data: Mapping[str, NDArray[Any]], shown: NDArray[np.bool_]
    ) -> None:
        x, y, reach = (
            data[ground.at(name)][shown].astype(np.float64) for name in ("x", "y", "teacher_x")
        )
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        placed = np.isfinite(radius)
        far = placed & (radius > FAR)
        ratio = far & (reach > AXIS_LENGTH)
        self.ground = ground
        self.n_far, self.n_ratio = int(far.sum()), int(ratio.sum())
        self.near = int((radius < 0.02).sum())
        self.nowhere = int((~placed).sum())
        self.radius = _median(radius[placed])
        self.angle = _median(np.degrees(angle[far]))
        self.alpha = _median(x[ratio] / reach[ratio])

    def rows(self) -> list[list[Node]]:
        angle = "–" if self.angle is None else f"{self.angle:.0f}°"
        near = f" ({count(self.near)} have r < 0.02)" if self.near else ""
        theta = (
            "angle θ = other classes"
            if self.ground.name == L2.name
            else "angle θ between S and T at G"
        )
        return [
            [f"radius r = distance to truth{near}", f"median {fixed(self.radius, 3)}"],
            [f"{theta} (r > {FAR}: n = {count(self.n_far)})", f"median {angle}"],
            [
                f"α̂: 1 = like the teacher (and |TG| > {AXIS_LENGTH}: n = {count(self.n_ratio)})",
                f"median {fixed(self.alpha, 2)}",
            ],
        ]


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _footer(
    n: int, facts: Facts, grounds: tuple[Ground, ...], stats: Mapping[str, _Stats]
) -> tuple[Run, ...]:
    """n, the distance, samples without an axis, and those without a place."""
    tau = f", τ = {facts.get('temperature', 1):g}"
    runs: list[Run] = [sampled(n, facts)]
    for one in grounds:
        words = f" · {one.word}{tau}"
        runs.append(words if len(grounds) == 1 else {"text": words, "show": {METRIC: one.name}})
    if "no_axis" in facts:
        runs.append(f" · no axis (|TG| = 0): {count(int(facts['no_axis']))}")
    if nowhere := stats[L2.name].nowhere:
        runs.append(f" · no place (not finite): {count(nowhere)}")
    return tuple(runs)


def _parts(colours: Colours, stats: Mapping[str, _Stats], facts: Facts) -> list[dict[str, Any]]:
    """Medians under the plot, of one class its numbers; with two classes what is left."""
    grounds, high = colours.grounds, {"h>=": 340}
    others = [option["value"] for option in colours.toggle()["options"] if option["value"] != CLASS]
    by_metric = {one.name: {METRIC: one.name} if len(grounds) > 1 else {} for one in grounds}
    made: list[dict[str, Any]] = [
        {
            "kind": "stats",
            "rows": stats[one.name].rows(),
            "columns": 1,
            "show": {**high, COLOUR: others, **by_metric[one.name]},
        }
        for one in grounds
    ]
    made.append(
        {
            "kind": "stats",
            "filled": True,
            "rows": [
                [
                    ["class ", {"$fact": ["class_names", f"${LABEL}"]}, ", in ink"],
                    {"$join": ["n = ", colours.num([])]},
                ],
                ["of these the student has right", colours.num([["quadrant", [0, 1]]])],
                ["of these the teacher has right", colours.num([["quadrant", [0, 2]]])],
            ],
            "columns": 1,
            "show": {**high, COLOUR: CLASS},
        }
    )
    if int(facts.get("num_classes", 0)) == 2:
        made += [
            {"kind": "note", "text": [one.line], "show": by_metric[one.name]} for one in grounds
        ]
    return made
