"""The network behind ``cnn-cells``: stages of equal convolutions, each with its own shape.

Unusual here: a 1x1 convolution brings every such network to one penultimate width, so that scores
which compare classifiers can compare any two of them.
Shapes: B = sample, C = channel, H, W = pixel, K = class.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class CellNet(nn.Module):
    """Stages of conv-BatchNorm-ReLU blocks, a 1x1 block, global average, one linear layer.

    Every stage but the first begins with a 2x2 max-pool.

    Args:
        channels: Channels of the input.
        num_classes: Length of the logits.
        widths: Channels of each stage.
        kernels: Side of each stage's convolutions in pixels, odd.
        depths: Convolutions of each stage, >= 1.
        head: Channels of the 1x1 block, the width of what the classifier reads.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        widths: Sequence[int],
        kernels: Sequence[int],
        depths: Sequence[int],
        head: int,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before = channels
        for stage, (width, kernel, depth) in enumerate(zip(widths, kernels, depths, strict=True)):
            for block in range(depth):
                halve = stage > 0 and block == 0
                blocks.append(conv_block(before, width, kernel=kernel, halve=halve))
                before = width
        blocks.append(conv_block(before, head, kernel=1, halve=False))
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(head, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, K), of standardised images, shape (B, C, H, W)."""
        features_BCHW = self.blocks(images)
        logits: Tensor = self.classifier(features_BCHW.mean(dim=(2, 3)))
        return logits


def conv_block(before: int, after: int, *, kernel: int, halve: bool) -> nn.Sequential:
    """Optional 2x2 max-pool, convolution that keeps the size, BatchNorm, ReLU."""
    layers: list[nn.Module] = [nn.MaxPool2d(2)] if halve else []
    layers += [
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers)


def cnn_cells(
    input_size: tuple[int, int, int],
    num_classes: int,
    *,
    widths: Sequence[int],
    kernels: Sequence[int],
    depths: Sequence[int],
    head: int,
) -> CellNet:
    """Stages of the given widths, kernels and depths, all to one penultimate width."""
    return CellNet(
        input_size[0], num_classes, widths=widths, kernels=kernels, depths=depths, head=head
    )
