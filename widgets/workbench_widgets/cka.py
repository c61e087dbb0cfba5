"""Layer similarity: unbiased CKA of every teacher layer with every student layer.

Unusual here: a cell below its permutation null's 95th percentile reads ``n.s.`` and is never
clipped to 0; undefined cells are hatched with their reason. Layers are in order from input to
output. Paper: Kornblith et al. 2019, arXiv:1905.00414; unbiased HSIC after Song et al. 2012.
Shapes: Lt, Ls = layers of teacher, student; S = snapshots.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets import control_map
from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.similarity_map import TALL, Picture
from workbench_widgets.since import STATE, Base, bases, control
from workbench_widgets.words import count, sampled

TITLE: Final = "Layer similarity (CKA)"
SOME: Final = ("selected", "weights_step")
"""Facts that a map of some samples tells on."""
DEFINITION: Final = (
    "Centred kernel alignment (Kornblith et al. 2019) of two layers' features on the same "
    "samples, with unbiased HSIC: 1 means that both layers find the same samples alike, up to "
    "rotation and scale; 0 is what independent features score on average. n.s.: below the 95th "
    "percentile of its permutation null. Untrained layers can be alike too, so look at the "
    "change over time."
)


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: ``unbiased``, ``biased``, ``null_p95``, each (Lt, Ls), NaN where undefined;
            optionally ``history`` (S, Lt, Ls) with ``steps`` (S,), oldest first. Empty while
            waiting.
        facts: ``teacher_layers``, ``student_layers`` (names, input to output), ``n``, ``split``,
            ``step``, ``feature`` (how features were pooled), ``reasons`` (``"i,j"`` to text);
            optionally ``steps_total`` and ``marks``; of some samples ``selected`` (``n`` of ``of``)
            and ``weights_step``, that of the checkpoint which the student is of.

    Raises:
        FrameError: If arrays are missing or disagree with the layers.
    """
    teacher = [str(name) for name in facts.get("teacher_layers", ())]
    student = [str(name) for name in facts.get("student_layers", ())]
    if not arrays:
        return _waiting(teacher, student, facts)
    sizes = need(
        arrays,
        "cka",
        {name: (len(teacher), len(student)) for name in ("unbiased", "biased", "null_p95")},
    )
    data: dict[str, NDArray[Any]] = {
        name: np.asarray(arrays[name], dtype=np.float32)
        for name in ("unbiased", "biased", "null_p95")
    }
    sizes |= (
        need(arrays, "cka", {"steps": ("S",), "history": ("S", len(teacher), len(student))})
        if ("history" in arrays)
        else {}
    )
    snapshots = sizes.get("S", 0)
    if snapshots:
        data["history"] = np.asarray(arrays["history"], dtype=np.float32)
        data["steps"] = np.asarray(arrays["steps"], dtype=np.float32)
    found = bases(data["steps"], list(facts.get("marks", ()))) if snapshots else []
    if found:
        data["change"] = data["unbiased"] - data["history"][[base.place for base in found]]
        data["change_size"] = np.abs(data["change"])
    data |= control_map.control_arrays(arrays, facts, data)
    picture = Picture(teacher, student, data, facts, history=snapshots > 0)
    toggles: tuple[dict[str, Any], ...] = ()
    parts: tuple[dict[str, Any], ...] = ({"kind": "plot"},)
    options = [{"value": "now", "label": "now"}, {"value": "change", "label": "Δ"}][
        : 1 + bool(found)
    ]
    if "beside" in data:
        options.append(control_map.option(facts))
        parts = (control_map.note(facts, int(fact(facts, "cka", "step"))), *parts)
    if len(options) > 1:
        toggles = ({"name": "mode", "options": options},)
    if found:
        changed: dict[str, Any] = {"mode": "change"}
        toggles = (*control(found, changed), *toggles)
        notes: list[dict[str, Any]] = [
            {"kind": "note", "text": _since(base), "show": {**changed, STATE: place}}
            for place, base in enumerate(found)
        ]
        parts = (*notes, *parts)
    n = int(fact(facts, "cka", "n"))
    return Frame(
        view="cka",
        step=int(fact(facts, "cka", "step")),
        title=TITLE,
        read=_read(clickable=snapshots > 0),
        footer=(_footer(facts, n),),
        summary=_whose(facts) + picture.summary() + control_map.spoken(data, facts),
        definition=DEFINITION,
        arrays=data,
        tables=declared("cka", data, facts),
        facts=picture.facts() | {name: facts[name] for name in SOME if name in facts},
        controls=toggles,
        state={
            "mode": "now",
            STATE: 0,
            "i": max(len(teacher) - 2, 0),
            "j": max(len(student) - 2, 0),
        },
        parts=parts,
        skeleton=picture.skeleton(),
        cursor={
            "x": {"state": "j", "count": len(student)},
            "y": {"state": "i", "count": len(teacher)},
            "proposes": "pair",
        },
    )


def _since(base: Base) -> list[Run]:
    mark: list[Run] = [] if base.number is None else [{"mark": base.number}, ", "]
    return ["Δ since ", *mark, f"step {count(base.step)}; $much: a large change."]


def _read(*, clickable: bool) -> tuple[Run, ...]:
    said = "$much: both layers find the same samples alike."
    ask = {"text": " Click for history.", "live": True, "show": TALL}
    return (said, ask) if clickable else (said,)


def _whose(facts: Facts) -> str:
    told = facts.get("selected")
    return f"Of {count(told['n'])} selected samples. " if told else ""


def _footer(facts: Facts, n: int) -> str:
    feature = facts.get("feature", "features as tapped")
    shown = sampled(n, facts) if "selected" in facts else f"n = {count(n)}"
    return f"{shown} · unbiased, {feature} · n.s. = below null p95"


def _waiting(teacher: list[str], student: list[str], facts: Facts) -> Frame:
    picture = Picture(teacher, student, {}, facts, history=False)
    return Frame(
        view="cka",
        step=-1,
        title=TITLE,
        read=_read(clickable=False),
        footer=(f"unbiased, {facts.get('feature', 'features as tapped')}",),
        summary="No snapshot yet.",
        definition=DEFINITION,
        parts=({"kind": "plot"},),
        skeleton=picture.skeleton(),
        waiting="Waits for the first snapshot.",
    )
