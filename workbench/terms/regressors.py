"""What turns a student's layer into a guess of the teacher's: from a 1x1 convolution upwards.

Unusual here: FitNets' own regressor changes the grid itself, the others meet the teacher on the
coarser grid of the two.
Shapes: B = sample, C = channel, H, W = space.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workbench.errors import BadInput
from workbench.functional.features import vid_initial_log_scale
from workbench.terms.blocks import BatchNorm, convolution

Map = tuple[int, int, int]
"""(C, H, W)."""


class FitNetRegressor(nn.Module):
    """Convolution that lands on the teacher's grid, norm, ReLU.

    Half the height: 3x3 of stride 2. Twice: transposed 4x4 of stride 2. Otherwise an unpadded
    convolution just large enough, for students that are not smaller than the teacher.

    Args:
        student: Shape of the student's map.
        teacher: Shape of the teacher's map.

    Raises:
        BadInput: If the student's map is smaller than the teacher's, other than by two.

    Reference:
        Romero et al. 2015 (FitNets), arXiv:1412.6550, §2.2.
    """

    def __init__(self, student: Map, teacher: Map) -> None:
        super().__init__()
        (inputs, *of_student), (outputs, *of_teacher) = student, teacher
        twice = [2 * side for side in of_teacher]
        if of_student == twice:
            self.conv: nn.Module = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        elif [2 * side for side in of_student] == of_teacher:
            self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        elif of_student[0] >= of_teacher[0] and of_student[1] >= of_teacher[1]:
            kernel = (1 + of_student[0] - of_teacher[0], 1 + of_student[1] - of_teacher[1])
            self.conv = nn.Conv2d(inputs, outputs, kernel)
        else:
            raise BadInput(
                f"FitNets' regressor cannot turn a student's map of {of_student[0]} x "
                f"{of_student[1]} into the teacher's {of_teacher[0]} x {of_teacher[1]}; it halves, "
                "doubles or shrinks. Choose `projector: linear`, or another layer."
            )
        self.bn = BatchNorm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """The student's map to the shape of the teacher's; entries >= 0."""
        regressed: Tensor = self.bn(self.conv(features)).relu()
        return regressed


def two_layer(inputs: int, outputs: int) -> nn.Sequential:
    """1x1 convolution, norm, ReLU, 1x1 convolution; PromptKD's (arXiv:2403.02781)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1), BatchNorm(outputs), nn.ReLU(), nn.Conv2d(outputs, outputs, 1)
    )


def bottleneck(inputs: int, outputs: int, *, factor: int = 2) -> nn.Sequential:
    """1x1, 3x3 and 1x1 convolution through a narrow middle, each with norm and ReLU.

    Reference:
        Chen et al. 2022 (SimKD), arXiv:2203.14001, §3.2; KD³ uses it too.
    """
    middle = max(outputs // factor, 1)
    layers: list[nn.Module] = []
    for before, after, size in (
        (inputs, middle, 1),
        (middle, middle, 3),
        (middle, outputs, 1),
    ):
        layers += [convolution(before, after, size), BatchNorm(after), nn.ReLU()]
    return nn.Sequential(*layers)


def linear(inputs: int, outputs: int) -> nn.Conv2d:
    """1x1 convolution with bias."""
    return nn.Conv2d(inputs, outputs, 1)


PROJECTORS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": linear,
    "two-layer": two_layer,
    "bottleneck": bottleneck,
}
"""Changes of width that keep the grid, by the name in a file."""


class GaussianRegressor(nn.Module):
    """The mean of the teacher's map given the student's, and a learned variance a channel.

    The published code of one library keeps the variances in a plain list, so they never train;
    here they are a parameter.

    Args:
        inputs: Student's channels.
        outputs: Teacher's channels, of the hidden layers too.
        variance: Of every channel at the start, > 1e-5.

    Reference:
        Ahn et al. 2019 (VID), arXiv:1904.05835, §3.
    """

    def __init__(self, inputs: int, outputs: int, *, variance: float = 5.0) -> None:
        super().__init__()
        self.regressor = nn.Sequential(
            convolution(inputs, outputs),
            nn.ReLU(),
            convolution(outputs, outputs),
            nn.ReLU(),
            convolution(outputs, outputs),
        )
        scale = vid_initial_log_scale(outputs, variance=variance)
        self.log_scale = nn.Parameter(scale.to(torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """Predicted mean, (B, C_teacher, H, W)."""
        mean: Tensor = self.regressor(features)
        return mean
