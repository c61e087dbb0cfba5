"""The stages of a new experiment as cards, and the schedule of the one that is edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workbench_widgets.words import count, number

from workbench.runs.draft import Draft
from workbench.runs.draft.forked import why_fixed
from workbench.runs.draft.loss_text import print_loss
from workbench.runs.draft.paths import value_at
from workbench.runs.draft.stages import stages_of
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import FRESH

POINTS: Final = 120
"""Of the drawn schedule."""


def stage_cards(draft: Draft) -> list[dict[str, Any]]:
    """One card a stage, in order: what it begins with, its length, its terms."""
    spec, stages = draft.spec, stages_of(draft)
    names = list(stages)
    return [
        {
            "name": name,
            "chosen": name == draft.stage,
            "last": name == names[-1],
            "start": _start(draft, spec, name),
            "facts": _facts(spec, stages[name], name),
            "loss": _loss(stages[name]),
            "fixed": bool(why_fixed(draft, f"stages.{name}.start")),
        }
        for name in names
    ]


def schedule(draft: Draft, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The learning rate over the steps of the stage that is edited, as it will be."""
    spec = draft.spec
    if spec is None:
        return {"waits": "The rate is drawn once every field is allowed."}
    stage: Any = spec.stages[draft.stage]
    if stage.steps is None and stage.data is not None:
        return {"waits": "This stage has data of its own; give steps to see the rate over them."}
    if stage.steps is None and facts is None:
        return {"waits": "Reading the data to count the steps…"}
    steps = stage.num_steps(facts["splits"]["train"] if facts else 0)
    at = sorted({round(k * (steps - 1) / (POINTS - 1)) for k in range(POINTS)})
    peak = stage.optimiser.lr
    if not isinstance(peak, (int, float)):
        return {"waits": "The peak follows a schedule of its own; see the text."}
    parent = draft.parent if draft.stage == spec.stage_name else None
    return {
        "steps": steps,
        "x": at,
        "y": [peak * stage.schedule.factor(step, steps) for step in at],
        "peak": peak,
        "phases": [list(phase) for phase in stage.schedule.phases(steps)],
        "from": None if parent is None or parent.at > steps else parent.at,
    }


def _start(draft: Draft, spec: ExperimentSpec | None, name: str) -> str:
    """What it begins with, in words; as written while something is wrong."""
    if spec is None:
        written = value_at(draft.data, f"stages.{name}.start")
        return f"begins with {written}" if written not in (None, FRESH) else ""
    start = spec.start_of(name)
    return f"begins with the weights of {start}" if start else "begins with fresh weights"


def _facts(spec: ExperimentSpec | None, given: Mapping[str, Any], name: str) -> str:
    """Length, batch, optimiser and schedule in one line; empty while something is wrong."""
    if spec is None:
        return ""
    stage: Any = spec.stages[name]
    length = f"{count(stage.steps)} steps" if stage.steps is not None else _epochs(stage.epochs)
    rate = stage.optimiser.lr
    peak = number(rate) if isinstance(rate, (int, float)) else "a schedule"
    own = ", data of its own" if "data" in given else ""
    return (
        f"{length}, batch {count(stage.batch_size)}, {stage.optimiser.use} at {peak}, "
        f"{stage.schedule.use}{own}"
    )


def _epochs(epochs: int) -> str:
    return f"{count(epochs)} {'epoch' if epochs == 1 else 'epochs'}"


def _loss(stage: Mapping[str, Any]) -> str:
    """Its terms as text; empty where they cannot be printed."""
    try:
        return print_loss(stage.get("terms") or {})
    except (KeyError, TypeError, ValueError):  # half typed in the text beside: its rows say so
        return ""
