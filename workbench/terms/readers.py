"""How a loss reads two layers of different networks: pooled, on one grid, projected, as tokens.

Shapes: B = sample, C = channel, H, W = space, L = token, D = feature.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from workbench.functional.reductions import pooled
from workbench.models.inspection import seeded
from workbench.terms.projector import Projector, as_map, common_grid, map_shape
from workbench.terms.regressors import PROJECTORS, FitNetRegressor

Projection = Literal["linear", "fitnet", "two-layer", "bottleneck"]
Shape = tuple[int, ...]


class Pooled:
    """Mean over space or tokens of both, (B, D) each; widths may differ."""

    module: nn.Module | None = None

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them."""
        return pooled(student), pooled(teacher)


class Aligned:
    """Pooled, and the student's brought to the teacher's width by a learned linear map.

    Args:
        student: Shape of the student's tap, without the batch.
        teacher: Of the teacher's.
        seed: Of the initial weights.
    """

    def __init__(self, student: Shape, teacher: Shape, *, seed: int) -> None:
        with seeded(seed):
            self.module = nn.Linear(width_of(student), width_of(teacher))

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them, (B, D)."""
        return self.module(pooled(student)), pooled(teacher)


class Embedded:
    """Pooled, and both brought to one width by learned linear maps.

    Args:
        student: Shape of the student's tap, without the batch.
        teacher: Of the teacher's.
        width: D of both embeddings.
        seed: Of the initial weights.
    """

    def __init__(self, student: Shape, teacher: Shape, *, width: int, seed: int) -> None:
        with seeded(seed):
            self.module = nn.ModuleDict(
                {
                    "student": nn.Linear(width_of(student), width),
                    "teacher": nn.Linear(width_of(teacher), width),
                }
            )

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them, (B, D)."""
        return (
            self.module["student"](pooled(student)),
            self.module["teacher"](pooled(teacher)),
        )


class OnGrid:
    """Maps (B, C, H, W) on the coarser grid of the two; channels may differ."""

    module: nn.Module | None = None

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them."""
        return common_grid(as_map(student), as_map(teacher))


class AsTokens(OnGrid):
    """Positions of a common grid as tokens (B, L, D); widths may differ."""

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them."""
        own, their = super().__call__(student, teacher)
        return own.flatten(2).transpose(1, 2), their.flatten(2).transpose(1, 2)


class Projected:
    """Maps of equal shape: a common grid and a learned change of width, or FitNets' regressor.

    Args:
        student: Shape of the student's tap, without the batch.
        teacher: Of the teacher's.
        projection: Which.
        seed: Of the initial weights.

    Raises:
        BadInput: If FitNets' regressor cannot reach the teacher's grid.
    """

    def __init__(
        self, student: Shape, teacher: Shape, *, projection: Projection = "linear", seed: int
    ) -> None:
        own, their = map_shape(student), map_shape(teacher)
        self._same_grid = projection != "fitnet"
        if projection == "linear":
            self.module: nn.Module = Projector(own[0], their[0], seed=seed)
            return
        with seeded(seed):
            self.module = (
                PROJECTORS[projection](own[0], their[0])
                if self._same_grid
                else FitNetRegressor(own, their)
            )

    def __call__(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both layers as the loss takes them, (B, C, H, W)."""
        student, teacher = as_map(student), as_map(teacher)
        if self._same_grid:
            student, teacher = common_grid(student, teacher)
        return self.module(student), teacher


Reader = Pooled | Aligned | Embedded | OnGrid | AsTokens | Projected


def width_of(shape: Shape) -> int:
    """Width of a tap that is pooled: (C, H, W), (L, D) or (D,)."""
    return shape[0] if len(shape) == 3 else shape[-1]
