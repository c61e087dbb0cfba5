"""Student, teacher and truth as a triangle: its exact picture in the plane, sample by sample.

Unusual here: three points span a plane, so nothing is projected away. Truth G lies at the origin,
teacher T on the x-axis, student S above it. In l2 every student lies in a wedge of 60°; the radius
is its error on the labelled class (up to 41 %), the angle depends only on the other classes, and
x / |TG| is the weight of the teacher in the mixture of teacher and truth that S is nearest to.
No one-hot is built, and differences of nearly equal squares are avoided: a student a millionth
from the truth keeps its digits.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from workbench.functional.confidence import chunk_rows
from workbench.functional.guards import at_least_float32, labels_match, same_shape
from workbench.functional.loyalty import sqrt_js, total_variation
from workbench.functional.tgeokd import (
    ClassMeans,
    class_mean_probs,
    tgeokd_fusion_ratio,
    tgeokd_small_state,
    tgeokd_state,
)
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = [
    "LONGEST",
    "METRICS",
    "WEDGE_DEGREES",
    "X_RANGE",
    "Y_RANGE",
    "ClassMeans",
    "Density",
    "DensityTable",
    "Metric",
    "Trilateral",
    "class_mean_probs",
    "density",
    "embed",
    "tgeokd_fusion_ratio",
    "tgeokd_small_state",
    "tgeokd_state",
]

Metric = Literal["l2", "hellinger", "tv", "sqrt_js"]
METRICS: tuple[Metric, ...] = ("l2", "hellinger", "tv", "sqrt_js")
WEDGE_DEGREES = 60.0
"""Largest angle at the truth in l2."""
LONGEST = {"l2": math.sqrt(2), "hellinger": 1.0, "tv": 1.0, "sqrt_js": 1.0}
"""Largest side of a triangle, by metric."""
X_RANGE, Y_RANGE = (0.0, math.sqrt(2)), (0.0, math.sqrt(1.5))
"""What holds the whole l2 wedge."""


@dataclass(frozen=True)
class Trilateral:
    """One triangle a sample; every tensor has shape (n,).

    Attributes:
        x: Student along the axis from truth to teacher.
        y: Student's distance from that axis, >= 0: what no mixture of teacher and truth explains.
        radius: |SG|, student to truth.
        teacher_radius: |TG|, teacher to truth.
        distance: |ST|, student to teacher.
        angle: At the truth, between student and teacher, degrees; NaN where one of them is at the
            truth.
        alpha: x / |TG|, the effective fusion ratio: 0 at the truth, 1 at the teacher, above 1 past
            it; NaN where the axis is undefined.
        axis_defined: False where the teacher is at the truth; then x = 0 and y = radius.
    """

    x: Tensor
    y: Tensor
    radius: Tensor
    teacher_radius: Tensor
    distance: Tensor
    angle: Tensor
    alpha: Tensor
    axis_defined: Tensor


@dataclass(frozen=True)
class Density:
    """Points counted on a grid.

    Attributes:
        counts: Int64, shape (bins, bins); rows y, columns x, both ascending.
        x_edges: Shape (bins + 1,).
        y_edges: Shape (bins + 1,).
        outside: Points beyond the grid or undefined; with ``counts`` they add up to all points.
    """

    counts: Tensor
    x_edges: Tensor
    y_edges: Tensor
    outside: int


def embed(
    student_probs: Tensor, teacher_probs: Tensor, labels: Tensor, *, metric: Metric = "l2"
) -> Trilateral:
    """Place each sample's triangle of student, teacher and truth in the plane, without distortion.

    Args:
        student_probs: Rows sum to 1, shape (n, C).
        teacher_probs: Shape (n, C).
        labels: Class numbers, shape (n,), none withheld.
        metric: Distance between distributions. ``sqrt_js`` is in bits, so ``distance`` is one
            minus probability loyalty.

    Raises:
        ShapeMismatch: If the two shapes differ.
        ValueError: If the metric is unknown or labels do not fit. KL and JS themselves are not
            metrics, their "triangles" cannot be drawn.
    """
    same_shape("embed", student_probs, teacher_probs, fix="Compare networks with one label set.")
    labels_match("embed", student_probs, labels)
    if metric not in METRICS:
        raise ValueError(
            f"No metric {metric!r}. Known: {', '.join(METRICS)}. KL and JS are no metrics."
        )
    rows = chunk_rows(student_probs)  # a cacheful: what is made on the way is several times it
    parts = [
        _embed(at_least_float32(student), at_least_float32(teacher), truth, metric)
        for student, teacher, truth in zip(
            torch.split(student_probs, rows),
            torch.split(teacher_probs, rows),
            torch.split(labels, rows),
            strict=True,
        )
    ]
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Trilateral)]
    return Trilateral(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


class DensityTable:
    """Points counted on a grid; grows by batches, and grids of equal cells add up.

    Args:
        bins: Cells a side, >= 1.
        x_range: Low and high end of x; both ends belong to the grid.
        y_range: Low and high end of y. The default ranges hold the whole l2 wedge.
    """

    def __init__(
        self,
        bins: int = 256,
        *,
        x_range: tuple[float, float] = X_RANGE,
        y_range: tuple[float, float] = Y_RANGE,
    ) -> None:
        if bins < 1 or x_range[0] >= x_range[1] or y_range[0] >= y_range[1]:
            raise ValueError(
                f"need bins >= 1 and ascending ranges, got {bins}, {x_range}, {y_range}."
            )
        self.x_range, self.y_range = x_range, y_range
        self.counts = torch.zeros(bins, bins, dtype=torch.int64)
        self.outside = 0

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add points, shape (n,) each; those beyond the grid or NaN are counted as outside."""
        bins = len(self.counts)
        column, x_inside = _cell(x, bins, self.x_range)
        row, y_inside = _cell(y, bins, self.y_range)
        inside = (x_inside & y_inside).cpu()
        cell = (row * bins + column).cpu()[inside]
        self.counts += torch.bincount(cell, minlength=bins * bins).view(bins, bins)
        self.outside += int((~inside).sum())

    def merge(self, other: DensityTable) -> DensityTable:
        """Add another grid of the same cells to this one; returns this one.

        Raises:
            ValueError: If cells differ.
        """
        ranges = (self.x_range, self.y_range) == (other.x_range, other.y_range)
        if not ranges or self.counts.shape != other.counts.shape:
            raise ValueError("grids of different cells cannot be merged; make both alike.")
        self.counts += other.counts
        self.outside += other.outside
        return self

    def compute(self) -> Density:
        """The counts so far, with the grid's edges."""
        num = len(self.counts) + 1
        return Density(
            self.counts.clone(),
            torch.linspace(*self.x_range, num, dtype=torch.float64),
            torch.linspace(*self.y_range, num, dtype=torch.float64),
            self.outside,
        )


def density(
    x: Tensor,
    y: Tensor,
    *,
    bins: int = 256,
    x_range: tuple[float, float] = X_RANGE,
    y_range: tuple[float, float] = Y_RANGE,
) -> Density:
    """Count points on a grid, in one go; see :class:`DensityTable`.

    Args:
        x: Shape (n,).
        y: Shape (n,).
        bins: Cells a side, >= 1.
        x_range: Low and high end of x.
        y_range: Low and high end of y.
    """
    table = DensityTable(bins, x_range=x_range, y_range=y_range)
    table.update(x, y)
    return table.compute()


def _others(values: Tensor, labels: Tensor) -> Tensor:
    return values.scatter(-1, labels[:, None], 0.0)


def _rest(probs: Tensor, labels: Tensor) -> Tensor:
    """1 - p at the label, as the sum of the others: exact when p is nearly 1."""
    return _others(probs, labels).sum(-1)


def _from_truth(probs: Tensor, labels: Tensor) -> Tensor:
    """Probabilities minus the truth's one-hot."""
    rest = _rest(probs, labels)
    return probs.scatter(-1, labels[:, None], -rest[:, None])


def _root_from_truth(probs: Tensor, labels: Tensor) -> Tensor:
    """Roots of the probabilities minus the truth's, over sqrt 2."""
    root = probs.sqrt()
    at_label = root.gather(-1, labels[:, None])
    below_one = -_rest(probs, labels)[:, None] / (1 + at_label)
    return root.scatter(-1, labels[:, None], below_one) / math.sqrt(2)


def _js_to_truth(probs: Tensor, labels: Tensor) -> Tensor:
    """Jensen-Shannon distance to the one-hot, base 2; depends on the label's probability alone."""
    rest = _rest(probs, labels)
    pair = torch.stack([probs.gather(-1, labels[:, None]).squeeze(-1), rest], dim=-1)
    truth = torch.zeros_like(pair)
    truth[:, 0] = 1.0
    return sqrt_js(pair, truth)


def _embed(student: Tensor, teacher: Tensor, labels: Tensor, metric: Metric) -> Trilateral:
    if metric == "l2":
        return _embed_vectors(_from_truth(student, labels), _from_truth(teacher, labels))
    if metric == "hellinger":
        return _embed_vectors(_root_from_truth(student, labels), _root_from_truth(teacher, labels))
    if metric == "tv":
        sides = (_rest(student, labels), _rest(teacher, labels))
        return _embed_sides(*sides, total_variation(student, teacher))
    sides = (_js_to_truth(student, labels), _js_to_truth(teacher, labels))
    return _embed_sides(*sides, sqrt_js(student, teacher))


def _embed_vectors(student: Tensor, teacher: Tensor) -> Trilateral:
    """From the vectors truth-to-student and truth-to-teacher, shape (n, C)."""
    radius = torch.linalg.vector_norm(student, dim=-1)
    teacher_radius = torch.linalg.vector_norm(teacher, dim=-1)
    axis = teacher / torch.where(teacher_radius > 0, teacher_radius, 1.0)[:, None]
    x = (student * axis).sum(-1)
    # the residual itself, not sqrt(|SG|² - x²): no cancellation at small angles
    y = torch.linalg.vector_norm(student - x[:, None] * axis, dim=-1)
    distance = torch.linalg.vector_norm(student - teacher, dim=-1)
    return _triangle(x, y, radius, teacher_radius, distance)


def _embed_sides(radius: Tensor, teacher_radius: Tensor, distance: Tensor) -> Trilateral:
    """From the three sides of a metric: law of cosines, height by Heron's formula.

    Over a base far shorter than the other sides Heron's height is rounding error; there it is what
    keeps the radius, and the distance then is right too.
    """
    base = torch.where(teacher_radius > 0, teacher_radius, 1.0)
    x = ((radius - distance) * (radius + distance) + teacher_radius.square()) / (2 * base)
    long, middle, short = (
        torch.stack([radius, teacher_radius, distance], -1).sort(-1, descending=True).values
    ).unbind(-1)
    # Kahan's order of operations: sixteen times the squared area without cancellation
    sixteen = (
        (long + (middle + short)) * (short - (long - middle))
        * (short + (long - middle)) * (long + (middle - short))
    )  # fmt: skip
    y = sixteen.clamp_min(0.0).sqrt() / (2 * base)
    short_base = teacher_radius <= torch.minimum(radius, distance)
    within = torch.maximum(torch.minimum(x, radius), -radius)
    x = torch.where(short_base, within, x)
    y = torch.where(short_base, ((radius - within) * (radius + within)).sqrt(), y)
    x, y = torch.where(teacher_radius > 0, x, 0.0), torch.where(teacher_radius > 0, y, radius)
    return _triangle(x, y, radius, teacher_radius, distance)


def _triangle(
    x: Tensor, y: Tensor, radius: Tensor, teacher_radius: Tensor, distance: Tensor
) -> Trilateral:
    defined = teacher_radius > 0
    angle = torch.rad2deg(torch.atan2(y, x))
    return Trilateral(
        x=x,
        y=y,
        radius=radius,
        teacher_radius=teacher_radius,
        distance=distance,
        angle=torch.where(defined & (radius > 0), angle, torch.nan),
        alpha=torch.where(defined, x / torch.where(defined, teacher_radius, 1.0), torch.nan),
        axis_defined=defined,
    )


def _cell(values: Tensor, bins: int, span: tuple[float, float]) -> tuple[Tensor, Tensor]:
    low, high = span
    inside = (values >= low) & (values <= high)  # False for NaN
    scaled = torch.where(inside, (values - low) * (bins / (high - low)), 0.0)
    return scaled.long().clamp_max(bins - 1), inside
