"""Our own networks: small enough for a minute on a laptop, for any channels, classes and size >= 8.

Unusual here: no normalisation of the input; the adapter around a network standardises.
Shapes: B = sample, C = channel, H, W = pixel, F = feature of a table row, D = feature, K = class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from workbench.models.borrowed import borrowed_head
from workbench.models.cells import cnn_cells
from workbench.models.vit import vit_micro


class ConvNet(nn.Module):
    """3x3 convolutions with BatchNorm and ReLU, global average, one linear layer.

    Args:
        channels: Channels of the input.
        num_classes: Length of the logits.
        widths: Channels after each convolution.
        halve_before: Indices of blocks whose input is max-pooled by two.
    """

    def __init__(
        self, channels: int, num_classes: int, widths: Sequence[int], halve_before: Sequence[int]
    ) -> None:
        super().__init__()
        inputs = [channels, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(
                conv_block(before, after, halve=index in halve_before)
                for index, (before, after) in enumerate(zip(inputs, widths, strict=True))
            )
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, K), of standardised images, shape (B, C, H, W)."""
        features_BCHW = self.blocks(images)
        logits: Tensor = self.classifier(features_BCHW.mean(dim=(2, 3)))
        return logits


class MLP(nn.Module):
    """Fully connected layers with ReLU on the flattened image, or on a table row.

    Args:
        num_inputs: Numbers in one sample: C * H * W of an image, F of a row.
        num_classes: Length of the logits.
        hidden: Width of each hidden layer.
        dropout: Share dropped after each hidden layer while training, in [0, 1). A tap of the
            layer gives what the next one takes, so with the gaps.
    """

    def __init__(
        self, num_inputs: int, num_classes: int, hidden: Sequence[int], *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        inputs = [num_inputs, *hidden[:-1]]
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Linear(before, after), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])
                )
                for before, after in zip(inputs, hidden, strict=True)
            )
        )
        self.classifier = nn.Linear(hidden[-1], num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (B, K), of standardised images (B, C, H, W) or rows (B, F)."""
        logits: Tensor = self.classifier(self.hidden(torch.flatten(inputs, 1)))
        return logits


def conv_block(before: int, after: int, *, halve: bool) -> nn.Sequential:
    """Optional 2x2 max-pool, 3x3 convolution without bias, BatchNorm, ReLU."""
    layers: list[nn.Module] = [nn.MaxPool2d(2)] if halve else []
    layers += [
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers)


def cnn_small(input_size: tuple[int, int, int], num_classes: int, *, width: int) -> ConvNet:
    """Four convolutions of width w, w, 2w, 2w; halved once, between the pairs."""
    return ConvNet(input_size[0], num_classes, [width, width, 2 * width, 2 * width], [2])


def cnn_tiny(input_size: tuple[int, int, int], num_classes: int, *, width: int) -> ConvNet:
    """Two convolutions of width w and 2w, halved between them."""
    return ConvNet(input_size[0], num_classes, [width, 2 * width], [1])


def mlp(
    input_size: Sequence[int], num_classes: int, *, hidden: Sequence[int], dropout: float = 0.0
) -> MLP:
    """Hidden layers of the given widths."""
    return MLP(math.prod(input_size), num_classes, hidden, dropout=dropout)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "borrowed-head": borrowed_head,
    "cnn-cells": cnn_cells,
    "cnn-small": cnn_small,
    "cnn-tiny": cnn_tiny,
    "mlp": mlp,
    "vit-micro": vit_micro,
}
"""Constructors ``(input_size, num_classes, **arguments)`` by registered name."""


def make(name: str, input_size: tuple[int, ...], num_classes: int, **arguments: Any) -> nn.Module:
    """One of our networks by its registered name, for images (C, H, W) or table rows (F,)."""
    return NETWORKS[name](input_size, num_classes, **arguments)
