"""The control's layer similarity beside the student's, step for step, as far as a run keeps both.

Unusual here: a control trains after its student, so its maps come while the student's last is
already shown. A run that was recorded before controls were looked at, one without a control, and
one whose teacher was changed in mid-run have none; then nothing is offered.
Shapes: Lt, Ls = layers of teacher, student; C = snapshots of the control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from workbench_widgets.words import count

from workbench.runs.agreement import Agreement
from workbench.specs.experiment import ExperimentSpec
from workbench.terms.term import TermKind

if TYPE_CHECKING:
    from workbench.runs.history import History
    from workbench.store import Store

LAYERS: Final = ("teacher_layers", "student_layers")


@dataclass
class Beside:
    """What has been read of a control.

    Attributes:
        layers: Names of both networks' layers; None before the first map.
        maps: Unbiased CKA and its null's p95 by step, (2, Lt, Ls) each, steps rising.
        agreed: How far it follows the student's teacher at the last of these steps; None before,
            and where its snapshots keep no answers.
    """

    layers: tuple[list[str], ...] | None = None
    maps: dict[int, np.ndarray] = field(default_factory=dict)
    agreed: Agreement | None = None

    def read(self, store: Store, control: str) -> None:
        """Read what the control has left since the last look."""
        for snapshot in store.snapshots(control, after=max(self.maps, default=-1)):
            if "cka" not in snapshot.facts:
                continue
            self.layers = tuple([str(n) for n in snapshot.facts["cka"][name]] for name in LAYERS)
            self.maps[snapshot.step] = np.stack(
                [snapshot.arrays[f"cka.{name}"] for name in ("unbiased", "null_p95")]
            )
            self.agreed = Agreement.of(snapshot.arrays)


def with_control(
    history: History,
    spec: ExperimentSpec | None,
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The similarity view's arrays and facts, with its control's at the same step.

    Args:
        history: What is known of the run.
        spec: Its experiment as it stands.
        arrays: Of the view.
        facts: The same, with ``step`` and the names of the layers.
    """
    made, told = dict(arrays), dict(facts)
    known, row = history.beside, history.row
    trains = bool(row.experiment.get("control")) and row.active and not taught_anew(history)
    fits = known.layers == tuple(list(facts[name]) for name in LAYERS)
    if not fits and not (trains and known.layers is None):
        return made, told
    label, words = _named(row.experiment, spec)
    own = {
        "run": f"{row.id}-control",
        "label": label,
        "words": words,
        "seed": int(row.experiment.get("seed", 0)),
    }
    step = int(facts["step"])
    if step in known.maps:
        made["control"], made["control_null_p95"] = known.maps[step]
    else:
        own["why"] = _why(known, step, trains=trains)
    upto = [other for other in known.maps if other <= step]
    if upto:
        made["control_history"] = np.stack([known.maps[other][0] for other in upto])
        made["control_steps"] = np.asarray(upto)
    return made, {**told, "control": own}


def _why(known: Beside, step: int, *, trains: bool) -> str:
    """Why there is no map of the control at a step."""
    if trains and step > max(known.maps, default=-1):
        return "The control trains after the student; this map waits for its snapshot at this step."
    near = sorted(sorted(known.maps, key=lambda other: abs(other - step))[:2])
    steps = " and ".join(count(other) for other in near)
    return f"The control has no snapshot at step {count(step)}; the nearest are at {steps}."


def _named(experiment: Mapping[str, Any], spec: ExperimentSpec | None) -> tuple[str, str]:
    """The toggle's label, and what the control learns from."""
    if isinstance(experiment.get("control"), Mapping):
        return "vs control", "changed as listed"
    terms = spec.stage.terms.values() if spec is not None else ()
    kept = [term.use for term in terms if isinstance(term, TermKind) and term.pull != "teacher"]
    if kept and set(kept) == {"ce"}:
        return "vs CE", "CE only"
    return "vs control", "labels only"


def taught_anew(history: History) -> bool:
    """Whether another teacher came in mid-run: then the control is compared with none."""
    changed = [str(event.payload.get("path", "")) for event in history.events]
    return any(path == "teacher" or path.startswith("teacher.") for path in changed)
