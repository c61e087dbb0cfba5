"""Checks of a teacher that is ready to teach, and of how the terms share the student.

Shapes: n = judged rows, K = class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workbench.models.taps import Taps
from workbench.probes.view import Pulls
from workbench.specs.experiment import ExperimentSpec
from workbench.training.balance import Balance
from workbench.training.part import Part
from workbench.training.rehearsal import as_found, rehearsed_batch, rehearsed_rows
from workbench.training.teacher import Teacher
from workbench.training.tripwires import (
    Check,
    Finding,
    Report,
    Severity,
    made,
    severity_of_teacher,
)
from workbench.training.tripwires_student import constant_taps

SIGMAS = 2.0
"""Standard errors above chance that a teacher must reach."""
WORSE_SIGMAS = 4.0
"""Standard errors below its recorded accuracy from which a teacher counts as worse."""
WORSE = 0.05
"""And by how much at least, in accuracy."""
FEWEST = 5
"""Rows of a class from which its answers count."""
MOST = 0.5
"""Share of a class's rows that all get one other answer."""
FEW = 0.25
"""Share of its rows that a class whose name was swapped may still get right."""
MOST_CLASSES = 4096
"""Above which no order is searched: the table would take gigabytes."""
LEAST_SHARE, LARGEST_SHARE = 0.01, 0.95
"""Of the gradient, between which a term is worth its place."""
TOLERANCE = 1e-3
"""Relative gap of two answers of one network to one image, from rounding."""
LISTED = 4


@dataclass(frozen=True)
class Lesson:
    """A teacher that is about to teach.

    Attributes:
        spec: The experiment.
        part: The student's training.
        teacher: Ready, frozen.
        logits: Its scores on rows that it has not been trained on (val and probe), (n, K).
        labels: Their classes, (n,).
        class_names: Of the data.
    """

    spec: ExperimentSpec
    part: Part
    teacher: Teacher
    logits: Tensor
    labels: Tensor
    class_names: Sequence[str]

    @property
    def severity(self) -> Severity:
        """What it means if the teacher is no good."""
        return severity_of_teacher(self.spec)


def check_teacher(lesson: Lesson) -> Report:
    """Everything that needs the teacher as it will teach; part and teacher stay as found."""
    part = lesson.part
    modules = part.objective.modules().values()
    with as_found(part.model, lesson.teacher.model, *modules):
        return made(lesson.spec, TEACHER_CHECKS, lesson)


def check_shares(spec: ExperimentSpec, part: Part) -> Report:
    """What of it an earlier stage needs, whose teacher is the last one's; left as found."""
    with as_found(part.model, *part.objective.modules().values()):
        return made(spec, {"share": lambda part: _shared(spec, part)}, part)


def classes(lesson: Lesson) -> Iterator[Finding]:
    """The order of classes: as the file says, and as the answers say."""
    recorded = lesson.teacher.recorded
    names = [str(name) for name in lesson.class_names]
    if recorded is not None and recorded.classes and list(recorded.classes) != names:
        place = next(
            i
            for i, pair in enumerate(zip(recorded.classes, names, strict=False))
            if len(set(pair)) > 1
        )
        yield Finding(
            "classes",
            lesson.severity,
            "teacher",
            f"{recorded.source} was trained on other classes than this data has: output {place} is "
            f"{recorded.classes[place]!r} there and {names[place]!r} here. Use the data it was "
            "trained on, or bring its last layer into the order of this data.",
        )
        return
    moved = swapped(lesson.logits, lesson.labels)
    if moved:
        table = confusion(lesson.logits, lesson.labels)
        share = sum(table[k, j] for k, j in moved.items()) / sum(table[k].sum() for k in moved)
        listed = ", ".join(f"{names[k]} as {names[j]}" for k, j in list(moved.items())[:LISTED])
        more = f" and {len(moved) - LISTED} more" if len(moved) > LISTED else ""
        yield Finding(
            "classes",
            lesson.severity,
            "teacher",
            f"it tells the classes apart but in another order: it answers {listed}{more} "
            f"({share:.0%} of these images; n = {len(lesson.labels)}). Its output rows are "
            "probably permuted: it was trained with another label order. Bring the rows of its "
            "last layer into the data's order, or name the classes as they were.",
        )


def confusion(logits: Tensor, labels: Tensor) -> npt.NDArray[np.int64]:
    """How often each class is answered as each, (K, K), truth first."""
    count = logits.shape[-1]
    pairs = labels * count + logits.argmax(-1)
    return torch.bincount(pairs, minlength=count * count).reshape(count, count).numpy()


def swapped(logits: Tensor, labels: Tensor) -> dict[int, int]:
    """Classes whose images get another class's answer, all in closed cycles; mostly none.

    A class counts as moved if most of its rows get one other answer and few the right one. Two
    classes with one answer are a confusion, an answer that nobody else gives up is one, too: only
    what permutes classes among themselves is another order.
    """
    if logits.shape[-1] > MOST_CLASSES:
        return {}
    table = confusion(logits, labels)
    rows, answers = table.sum(1), table.argmax(1).tolist()
    moved = {
        k: j
        for k, j in enumerate(answers)
        if k != j
        and rows[k] >= FEWEST
        and table[k, j] >= MOST * rows[k]
        and table[k, k] <= FEW * rows[k]
    }
    while strays := [k for k, j in moved.items() if j not in moved or not _one_to(moved, k, j)]:
        for k in strays:
            del moved[k]
    return moved


def _one_to(moved: Mapping[int, int], k: int, j: int) -> bool:
    """Whether ``k`` is somebody's answer, and ``j`` the answer of ``k`` alone."""
    answers = list(moved.values())
    return k in answers and answers.count(j) == 1


def teacher_skill(lesson: Lesson) -> Iterator[Finding]:
    """Better than always answering the commonest class."""
    if swapped(lesson.logits, lesson.labels):
        return  # told already, with its cause
    count = len(lesson.labels)
    right = int((lesson.logits.argmax(-1) == lesson.labels).sum())
    chance = float(torch.bincount(lesson.labels).max()) / count
    if right > count * chance + SIGMAS * math.sqrt(count * chance * (1 - chance)):
        return
    severity, cause = (
        lesson.severity,
        (
            "It was probably never trained, or is fed wrongly: another normalisation, size or "
            "number of channels than it was trained with, or another label order. Take a trained "
            "one."
        ),
    )
    recorded = lesson.teacher.recorded
    if lesson.teacher.key is not None:
        severity, cause = (
            "warn",
            (
                "It was trained here for too few steps, or at a wrong learning rate: change "
                "`teacher.train`."
            ),
        )
    elif lesson.spec.teacher.use == "object":
        severity, cause = (
            "warn",
            "Your own module teaches as it is; give it `train`, or its trained weights.",
        )
    elif (
        recorded is not None
        and recorded.accuracy is not None
        and not any(True for _ in teacher_stored(lesson))
    ):
        severity, cause = (
            "warn",
            (
                f"{recorded.source} says {recorded.accuracy:.1%} itself: it learned too little. "
                "Take a better one."
            ),
        )
    elif recorded is None and lesson.spec.teacher.use.startswith("run:"):
        severity, cause = ("warn", "The run that it comes from has not learned enough to teach.")
    yield Finding(
        "teacher-skill",
        severity,
        "teacher",
        f"it is right on {right} of {count} images ({right / count:.1%}), no better than chance "
        f"({chance:.1%}, the commonest class). {cause}",
    )


def teacher_stored(lesson: Lesson) -> Iterator[Finding]:
    """As good as was recorded when it was stored, but for chance."""
    recorded = lesson.teacher.recorded
    if recorded is None or recorded.accuracy is None:
        return
    count = len(lesson.labels)
    now = float((lesson.logits.argmax(-1) == lesson.labels).double().mean())
    pooled = (now * count + recorded.accuracy * recorded.rows) / (count + recorded.rows)
    error = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / count + 1 / recorded.rows))
    gap = recorded.accuracy - now
    if gap > max(WORSE, WORSE_SIGMAS * error):
        yield Finding(
            "teacher-stored",
            lesson.severity,
            "teacher",
            f"{recorded.source} says {recorded.accuracy:.1%} (n = {recorded.rows}), here it is "
            f"right on {now:.1%} (n = {count}). It is probably fed wrongly: another normalisation, "
            "size or number of channels, or another label order; or the file was changed. Use the "
            "data it was trained on.",
        )


def teacher_mode(lesson: Lesson) -> Iterator[Finding]:
    """One image, one answer: nothing of the teacher may be in training mode."""
    part, teacher = lesson.part, lesson.teacher.model
    part.train_mode()
    training = [name or "itself" for name, module in teacher.named_modules() if module.training]
    if training:
        yield Finding(
            "teacher-mode",
            lesson.severity,
            "teacher",
            f"{len(training)} of its modules are in training mode while the student trains "
            f"({', '.join(training[:LISTED])}): dropout and batch statistics would blur its "
            "answers. It shares modules with the student, or its class ignores `eval()`.",
        )
        return
    batch = rehearsed_batch(part, rehearsed_rows(part))
    half = len(batch.ids) // 2
    with torch.no_grad():
        first, second = teacher(batch.inputs).float(), teacher(batch.inputs).float()
        alone = teacher(batch.inputs[:half]).float()
    size = float(first.abs().max())
    if float((first - second).abs().max()) > TOLERANCE * size:
        yield Finding(
            "teacher-mode",
            lesson.severity,
            "teacher",
            "it answers the same images differently the second time, in evaluation mode. Some "
            "dropout of it is always on: `F.dropout(x)` needs `training=self.training`.",
        )
    elif float((first[:half] - alone).abs().max()) > TOLERANCE * size:
        yield Finding(
            "teacher-mode",
            lesson.severity,
            "teacher",
            "its answer to an image depends on the other images of the batch, in evaluation mode. "
            "Some normalisation of it uses the statistics of the batch "
            "(`track_running_stats=False`, or `training=True`): it needs those of its training.",
        )


def teacher_taps(lesson: Lesson) -> Iterator[Finding]:
    """Layers of the teacher that are matched must tell images apart."""
    part, teacher = lesson.part, lesson.teacher.model
    wanted = [name for name in part.objective.target_taps if name != "logits"]
    if not wanted:
        return
    batch = rehearsed_batch(part, rehearsed_rows(part))
    with torch.no_grad():
        taps = teacher.taps(batch.inputs, wanted)
    yield from constant_taps("teacher", teacher, Taps({name: taps[name] for name in wanted}))


def share(lesson: Lesson) -> Iterator[Finding]:
    """Terms of constant weight must each have a share of the gradient at the start."""
    yield from _shared(lesson.spec, lesson.part)


def _shared(spec: ExperimentSpec, part: Part) -> Iterator[Finding]:
    if len(part.objective.terms) < 2:
        return
    if any(not isinstance(spec.stage.terms[name].weight, float) for name in part.objective.names):
        return  # a schedule: what stands at step 0 is not what is meant
    yield from shares(Balance(part).measure(0))


def shares(pulls: Pulls) -> Iterator[Finding]:
    """Terms that hardly count, or that count alone."""
    listed = ", ".join(
        f"{name} {part:.1%}" for name, part in zip(pulls.terms, pulls.share, strict=True)
    )
    way = "Raise its weight, or lower the others'"
    small = [i for i, part in enumerate(pulls.share) if part < LEAST_SHARE]
    for i in small:
        yield Finding(
            "share",
            "warn",
            f"terms.{pulls.terms[i]}",
            f"it has {pulls.share[i]:.2%} of the gradient at step 0 ({listed}), so it hardly "
            f"teaches anything. {way}; or leave it out.",
        )
    for i, part in enumerate(pulls.share):
        if part > LARGEST_SHARE and not small:
            yield Finding(
                "share",
                "warn",
                f"terms.{pulls.terms[i]}",
                f"it has {part:.1%} of the gradient at step 0 ({listed}), so it teaches almost "
                "alone. Lower its weight, or raise the others'.",
            )


TEACHER_CHECKS: Mapping[str, Check[Lesson]] = {
    "classes": classes,
    "teacher-skill": teacher_skill,
    "teacher-stored": teacher_stored,
    "teacher-mode": teacher_mode,
    "tap": teacher_taps,
    "share": share,
}
"""By the name that ``allow`` takes."""
