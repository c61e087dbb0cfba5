"""Checks of student and terms on one batch; they need no trained teacher, so they come before it.

Shapes: B = sample, K = class.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from workbench.errors import BadModel
from workbench.models.adapter import LOGITS, ModelAdapter
from workbench.models.batch import Batch
from workbench.models.inspection import seeded
from workbench.models.taps import Taps
from workbench.randomness import key
from workbench.specs.experiment import ExperimentSpec
from workbench.training.build import whose_layers
from workbench.training.device import reseed
from workbench.training.objective import WiredTerm, refuse_other_logs
from workbench.training.part import Part
from workbench.training.rehearsal import (
    as_found,
    gradients,
    rehearsed_batch,
    rehearsed_rows,
    trained_parameters,
)
from workbench.training.tripwires import (
    Check,
    Finding,
    Report,
    Severity,
    made,
    severity_of_teacher,
)
from workbench.training.tripwires_terms import Trial, learned_part, no_effect, wrong_axis

SUM_TOLERANCE = 2e-3
"""By which probabilities in float16 miss a sum of 1."""
LISTED = 4
"""Names that a message lists."""


@dataclass(frozen=True)
class Rehearsal:
    """A first batch through both networks, with its graph.

    Attributes:
        spec: The experiment.
        part: The student's training, or one built in vain.
        teacher: In evaluation mode here.
        batch: Fixed training rows.
        student_taps: Of the student in training mode.
        target: Of the teacher.
        silent: Why the student's taps could not be taken, in words; empty if they could.
    """

    spec: ExperimentSpec
    part: Part
    teacher: ModelAdapter
    batch: Batch
    student_taps: Taps
    target: Taps
    silent: str = ""

    @cached_property
    def slopes(self) -> dict[str, Tensor | None]:
        """Gradient of the loss, all weights at 1: a schedule that starts at 0 says nothing yet."""
        part = self.part
        trained = trained_parameters(part)
        total = torch.zeros((), device=self.batch.inputs.device)
        with as_found(*part.objective.modules().values()):
            for wired in part.objective.terms:
                reseed(part.seed, "rehearsal", 1)
                values = values_of(part, wired)
                found = wired.term(self.student_taps, self.target, self.batch, values)
                refuse_other_logs(wired, found)
                total = total + found.reduced()
            slopes = gradients(total, list(trained.values()))
        return dict(zip(trained, slopes, strict=True))


def check_student(spec: ExperimentSpec, part: Part, teacher: ModelAdapter) -> Report:
    """Everything that can be known before a teacher is trained.

    Args:
        spec: The experiment.
        part: The student's training; left exactly as found.
        teacher: Trained or not; left exactly as found.
    """
    modules = part.objective.modules().values()
    with as_found(part.model, teacher, *modules), torch.enable_grad():
        scene = _rehearsed(spec, part, teacher)
        if scene.silent:
            return made(spec, {"tap": taps_tell}, scene)
        return made(spec, STUDENT_CHECKS, scene)


def _rehearsed(spec: ExperimentSpec, part: Part, teacher: ModelAdapter) -> Rehearsal:
    batch = rehearsed_batch(part, rehearsed_rows(part))
    teacher.eval()
    whose = whose_layers(spec, teacher)
    with torch.no_grad():
        target = (whose or stand_in(part.model)).taps(batch.inputs, part.objective.target_taps)
    part.train_mode()
    reseed(part.seed, "rehearsal", 0)
    silent = ""
    try:
        taps = part.taps(batch, 0)
    except BadModel as error:  # it ran when it was built, in evaluation mode
        silent = error.message
        taps = Taps()
    return Rehearsal(spec, part, teacher, batch, taps, target, silent)


def stand_in(model: ModelAdapter) -> ModelAdapter:
    """A network of the same shape that says something else: for a target that is not made yet."""
    other = copy.deepcopy(model).eval().requires_grad_(False)
    with seeded(key(0, "stand-in")), torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * max(float(parameter.abs().mean()), 0.01))
    return other


def own_teacher(scene: Rehearsal) -> Iterator[Finding]:
    """Student and teacher must not share weights."""
    theirs = {id(parameter) for parameter in scene.teacher.network.parameters()}
    shared = [
        name
        for name, parameter in scene.part.model.network.named_parameters()
        if id(parameter) in theirs
    ]
    if shared:
        yield Finding(
            "own-teacher",
            "stop",
            "student",
            f"shares {len(shared)} weights with the teacher ({_listed(shared)}), so the teacher "
            "moves with every step and runs in training mode. Give each network its own copy "
            "(copy.deepcopy).",
        )


def probabilities(scene: Rehearsal) -> Iterator[Finding]:
    """Rows that are between 0 and 1 and sum to 1 were through a softmax already."""
    told: tuple[tuple[str, Tensor, Severity], ...] = (
        ("student", scene.student_taps[LOGITS], "stop"),
        ("teacher", scene.target[LOGITS], severity_of_teacher(scene.spec)),
    )
    for who, logits, severity in told:
        if are_probabilities(logits):
            yield Finding(
                "probabilities",
                severity,
                who,
                f"gives probabilities, not logits: on {len(logits)} images every output lies in "
                "[0, 1] and every row sums to 1. A loss takes the softmax of them once more, which "
                "leaves almost no gradient. The network probably ends in a softmax: take it off, "
                "and return the scores before it.",
            )


def are_probabilities(logits: Tensor) -> bool:
    """Whether every row is a distribution over the classes."""
    values = logits.detach().float()
    inside = bool(((values >= 0) & (values <= 1)).all())
    return inside and bool(((values.sum(-1) - 1).abs() <= SUM_TOLERANCE).all())


def taps_tell(scene: Rehearsal) -> Iterator[Finding]:
    """A tap must fire in training, and differ from sample to sample."""
    if scene.silent:
        yield Finding(
            "tap",
            "stop",
            "student",
            f"a tap never fired in training: {scene.silent} It fired in evaluation mode, so the "
            "layer is skipped while the network trains (dropped, or behind `if self.training`). "
            "Tap a layer that always runs.",
        )
    yield from constant_taps("student", scene.part.model, scene.student_taps)


def constant_taps(who: str, model: ModelAdapter, taps: Mapping[str, Tensor]) -> Iterator[Finding]:
    """Taps that are the same for every sample, to the last bit."""
    layers = {
        name: tensor
        for name, tensor in taps.items()
        if name != LOGITS and ":" not in name  # of another view: an index may be one for all
    }
    constant = [name for name, tensor in layers.items() if is_constant(tensor)]
    if not constant and is_constant(taps.get(LOGITS)):  # behind a dead layer they are, too
        constant = [LOGITS]
    for name in constant:
        tensor = taps[name]
        value = "0" if bool((tensor == 0).all()) else "the same"
        yield Finding(
            "tap",
            "stop",
            who,
            f"its tap {name!r} is constant: {value} for each of {len(tensor)} images, so there is "
            "nothing to match. The layer is probably dropped (a Dropout of 1, a branch times 0) or "
            f"dead. Tap another: {', '.join((*model.facts.stages, LOGITS))}.",
        )


def is_constant(tensor: Tensor | None) -> bool:
    """Whether several samples are told apart by no bit."""
    return tensor is not None and len(tensor) > 1 and bool((tensor == tensor[:1]).all())


def student_gradient(scene: Rehearsal) -> Iterator[Finding]:
    """The whole loss must reach the student's weights."""
    slopes = scene.slopes
    if slopes and not any(_moves(slope) for slope in slopes.values()):
        yield Finding(
            "student-gradient",
            "stop",
            "student",
            f"none of its {len(slopes)} trained weights gets a gradient, so nothing would be "
            "learned. Its forward probably detaches what it returns (`.detach()`, "
            "`torch.no_grad()`), or a layer behind them gives a constant.",
        )


def unused_weights(scene: Rehearsal) -> Iterator[Finding]:
    """Weights that the loss does not depend on at all."""
    slopes = scene.slopes
    unused = [name for name, slope in slopes.items() if slope is None]
    if unused and len(unused) < len(slopes):
        yield Finding(
            "unused-weights",
            "warn",
            "student",
            f"{len(unused)} of its {len(slopes)} trained weights get no gradient "
            f"({_listed(unused)}): the loss does not depend on them. They stay as they are; "
            "freeze them, or check that the forward uses them.",
        )


def values_of(part: Part, wired: WiredTerm) -> dict[str, float]:
    """A term's live parameters at step 0."""
    return {name: part.objective.knobs.at(path, 0) for name, path in wired.parameters.items()}


def _moves(slope: Tensor | None) -> bool:
    return slope is not None and bool((slope != 0).any())


def _each(check: Callable[[Trial], Iterator[Finding]]) -> Check[Rehearsal]:
    """A check of one term, made of all."""

    def of_all(scene: Rehearsal) -> Iterator[Finding]:
        for wired in scene.part.objective.terms:
            yield from check(
                Trial(
                    wired,
                    scene.spec.stage.terms[wired.name],
                    values_of(scene.part, wired),
                    scene.student_taps.detached(),
                    scene.target,
                    scene.batch,
                    scene.part.seed,
                )
            )

    return of_all


STUDENT_CHECKS: Mapping[str, Check[Rehearsal]] = {
    "own-teacher": own_teacher,
    "probabilities": probabilities,
    "tap": taps_tell,
    "student-gradient": student_gradient,
    "unused-weights": unused_weights,
    "learned-part": _each(learned_part),
    "wrong-axis": _each(wrong_axis),
    "no-effect": _each(no_effect),
}
"""By the name that ``allow`` takes."""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
