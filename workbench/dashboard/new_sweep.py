"""Several values of one field of a new experiment: what is offered, and what would start."""

from __future__ import annotations

from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.runs.draft import Draft
from workbench.runs.sweep import Sweep, sweep
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import knobs

SWEPT: Final = ("number", "integer", "choice")
"""Sorts of knob that can take several values; other paths are offered beside them."""


def swept(spec: ExperimentSpec, asked: tuple[str, str]) -> Sweep:
    """The experiments to start: one, or one for each value.

    Args:
        spec: As it stands in the form.
        asked: A path and its values as text; no values for no sweep.

    Raises:
        BadInput: If a value is missing, said twice, or there would be too many runs.
        InvalidExperiment: If a value is not allowed.
    """
    path, values = asked
    return sweep(spec, {path: values} if path and values.strip() else {}, {})


def sweep_part(draft: Draft, asked: tuple[str, str], off: str) -> dict[str, Any]:
    """What the page shows of it: paths, what was typed, what would start, and what is wrong."""
    path, text = asked
    spec = draft.spec
    if spec is None:
        return {"sweep": {"path": path, "text": text, "paths": [], "words": "", "wrong": ""}}
    paths = [
        *(name for name, knob in knobs(spec).items() if knob.kind in SWEPT),
        f"stages.{spec.stage_name}.batch_size",
        "student.width",
        "data.labels_per_class",
    ]
    words = wrong = ""
    try:
        planned = swept(spec, asked)
        words = planned.words() if planned.num_runs > 1 else ""
    except WorkbenchError as error:
        wrong = error.message
    return {
        "sweep": {"path": path, "text": text, "paths": paths, "words": words, "wrong": wrong},
        "off": off or wrong,
    }
