"""A student that answers with its teacher's classifier, which stays as it is.

Unusual here: the classifier travels with the student's weights, so a stored student opens without
its teacher; only a new one needs the teacher to be built.
Shapes: B = sample, C, D = channel of student and teacher, H, W = pixel, K = class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from workbench.errors import BadModel
from workbench.models.further_kinds import BODIES

if TYPE_CHECKING:
    from workbench.models.adapter import ModelAdapter


class BorrowingNet(nn.Module):
    """A body, a projector to the width of the teacher's last map, the teacher's classifier.

    Args:
        body: Gives maps (B, C, H, W) or vectors (B, C).
        channels: C.
        maps: Whether it gives maps.
        width: D.
        num_classes: K.
        factor: How much narrower the middle of the projector is than D.

    Attributes:
        projector: Gives what is compared with the teacher's last map.
        classifier: Never trained; the teacher's after :meth:`borrow`.

    Reference:
        Chen et al. 2022 (SimKD), arXiv:2203.14001, §3.2; Tang et al. 2023 (KD³) does the same.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        channels: int,
        maps: bool,
        width: int,
        num_classes: int,
        factor: int,
    ) -> None:
        super().__init__()
        self.body = body
        self.projector = projector(channels, width, maps=maps, factor=factor)
        self.classifier = nn.Linear(width, num_classes).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (B, K), of standardised images (B, C, H, W) or rows (B, F)."""
        projected: Tensor = self.projector(self.body(inputs))
        pooled = projected.mean(dim=(2, 3)) if projected.dim() == 4 else projected
        logits: Tensor = self.classifier(pooled)
        return logits

    def borrow(self, classifier: nn.Linear) -> None:
        """Take over a classifier's values; the other network keeps its own."""
        self.classifier.load_state_dict(classifier.state_dict())


def projector(inputs: int, outputs: int, *, maps: bool, factor: int) -> nn.Sequential:
    """Three layers through a narrow middle, each with norm and ReLU: 1x1, 3x3, 1x1 on maps.

    On vectors all three are fully connected.
    """
    middle = max(1, outputs // factor)
    layers: list[nn.Module] = []
    for before, after, size in ((inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)):
        if maps:
            layers.append(nn.Conv2d(before, after, size, padding=size // 2, bias=False))
            layers.append(nn.BatchNorm2d(after))
        else:
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def borrowed_head(
    input_size: Sequence[int],
    num_classes: int,
    *,
    of: str,
    options: Mapping[str, Any],
    width: int,
    factor: int,
) -> BorrowingNet:
    """The network without the teacher's values.

    Args:
        input_size: (C, H, W), or (F,) for table rows.
        num_classes: K.
        of: Name of the network whose body it has, one of :data:`BODIES`.
        options: Of that network's constructor.
        width: D, of what the teacher's classifier reads.
        factor: How much narrower the middle of the projector is.

    Raises:
        ValueError: If there is no such body.
    """
    from workbench.models.nets import MLP, make

    if of not in BODIES:
        raise ValueError(f"`of` is {of!r}; one of {', '.join(BODIES)} is needed")
    inner: Any = make(of, tuple(input_size), num_classes, **options)
    flat = isinstance(inner, MLP)
    body = nn.Sequential(nn.Flatten(), *inner.hidden) if flat else inner.blocks
    return BorrowingNet(
        body,
        channels=inner.classifier.in_features,
        maps=not flat,
        width=width,
        num_classes=num_classes,
        factor=factor,
    )


def classifier_of(teacher: ModelAdapter | None, *, name: str) -> nn.Linear:
    """The linear layer that reads the teacher's last map.

    Args:
        teacher: Whose classifier is borrowed.
        name: Of the student, for messages.

    Raises:
        BadModel: If there is no teacher, or its classifier reads anything else.
    """
    from workbench.models.cells import CellNet
    from workbench.models.nets import MLP, ConvNet

    if teacher is None:
        raise BadModel(
            f"{name}: it answers with its teacher's classifier, and there is no teacher here. Use "
            "it as the student of an experiment; a stored one opens by run: or path:."
        )
    network = teacher.network
    if not isinstance(network, (ConvNet, CellNet, MLP, BorrowingNet)):
        raise BadModel(
            f"{name}: the teacher {teacher.facts.name} is no network whose classifier reads its "
            f"pooled last map. Take one of {', '.join(BODIES)} as the teacher, or another student."
        )
    return network.classifier
