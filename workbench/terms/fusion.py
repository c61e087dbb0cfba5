"""Student maps fused from the deepest to the shallowest, each guessing the teacher's map there.

Unusual here: two ways to weigh what comes from below: ReviewKD looks at every position, TransKD at
every channel.
Shapes: B = sample, C = channel, H, W = space, L = token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from workbench.functional.attention import nearest_to
from workbench.functional.features import hcl
from workbench.terms.blocks import BatchNorm, SelfAttention, convolution, heads_for

Map = tuple[int, int, int]
MOST_CHANNELS = 512
GATE_CHANNELS = 32


class PositionGate(nn.Module):
    """Weighs two maps at each position by the sigmoid of a 1x1 convolution of both.

    Args:
        channels: C of each.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.att_conv = nn.Conv2d(2 * channels, 2, 1)

    def forward(self, own: Tensor, below: Tensor) -> Tensor:
        """Two maps (B, C, H, W) to one."""
        weights = self.att_conv(torch.cat([own, below], dim=1)).sigmoid()
        fused: Tensor = own * weights[:, :1] + below * weights[:, 1:]
        return fused


class ChannelGate(nn.Module):
    """Weighs two maps in each channel by a softmax over the two, from their pooled sum.

    Args:
        channels: C of each.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, GATE_CHANNELS)
        self.fc = nn.Sequential(convolution(channels, hidden), BatchNorm(hidden), nn.ReLU())
        self.fcs = nn.ModuleList([nn.Conv2d(hidden, channels, 1) for _ in range(2)])

    def forward(self, own: Tensor, below: Tensor) -> Tensor:
        """Two maps (B, C, H, W) to one."""
        pooled = self.fc((own + below).mean((2, 3), keepdim=True))
        weights = torch.stack([branch(pooled) for branch in self.fcs]).softmax(0)
        return own * weights[0] + below * weights[1]


GATES: dict[str, type[PositionGate] | type[ChannelGate]] = {
    "position": PositionGate,
    "channel": ChannelGate,
}


class FusionStep(nn.Module):
    """One stage: the student's map and what came from below, fused and brought to the teacher's.

    Args:
        inputs: Student's channels here.
        middle: Channels of all fused maps.
        outputs: Teacher's channels here.
        gate: How to weigh what came from below; None for the deepest stage.
    """

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        gate: PositionGate | ChannelGate | None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(convolution(inputs, middle), BatchNorm(middle))
        self.conv2 = nn.Sequential(convolution(middle, outputs, 3), BatchNorm(outputs))
        self.gate = gate

    def forward(
        self, features: Tensor, below: Tensor | None, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """The guess of the teacher's map at its ``size``, and the fused map for the stage above."""
        fused = self.conv1(features)
        if self.gate is not None and below is not None:
            fused = self.gate(fused, nearest_to(below, fused.shape[2], fused.shape[3]))
        guess: Tensor = self.conv2(nearest_to(fused, *size))
        return guess, fused


class Fusion(nn.Module):
    """All stages of a fusion, shallow to deep as they are given.

    Args:
        student: Shape of the student's map at each stage, shallow to deep.
        teacher: Shape of the teacher's.
        gate: ``position`` (ReviewKD) or ``channel`` (TransKD).
        middle: Channels of fused maps; None: those of the deepest student map, at most 512.

    Reference:
        Chen et al. 2021 (ReviewKD), arXiv:2104.09044, §3.3; Liu et al. 2022 (TransKD),
        arXiv:2202.13393, §3.2.
    """

    def __init__(
        self,
        student: Sequence[Map],
        teacher: Sequence[Map],
        *,
        gate: Literal["position", "channel"],
        middle: int | None = None,
    ) -> None:
        super().__init__()
        channels = middle or min(MOST_CHANNELS, student[-1][0])
        self.sizes = [(shape[1], shape[2]) for shape in teacher]
        deepest = len(student) - 1
        self.steps = nn.ModuleList(
            FusionStep(own[0], channels, their[0], GATES[gate](channels) if i < deepest else None)
            for i, (own, their) in enumerate(zip(student, teacher, strict=True))
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """A guess of the teacher's map at each stage, shallow to deep."""
        below: Tensor | None = None
        guesses: list[Tensor] = []
        for step, own, size in reversed(list(zip(self.steps, features, self.sizes, strict=True))):
            guess, below = step(own, below, size)
            guesses.append(guess)
        return guesses[::-1]


def context_loss(guesses: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Sum over stages of the hierarchical context loss, shape (B,)."""
    stages = [hcl(guess, their) for guess, their in zip(guesses, teacher, strict=True)]
    return torch.stack(stages).sum(0)


class GlobalLocalMixer(nn.Module):
    """Attention over all tokens plus a gated convolution over neighbouring ones.

    Both weights start at 1; the released code leaves them uninitialised.

    Args:
        width: D.
        heads: Must divide D; None takes up to 8.

    Reference:
        Liu et al. 2022 (TransKD), arXiv:2202.13393, §3.3 (GL-Mixer).
    """

    def __init__(self, width: int, heads: int | None = None) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads or heads_for(width, 8))
        self.content = nn.Conv1d(width, width, 3, padding=1)
        self.gate = nn.Conv1d(width, width, 3, padding=1)
        self.global_weight = nn.Parameter(torch.ones(1))
        self.local_weight = nn.Parameter(torch.ones(1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        moved = tokens.transpose(1, 2)
        local = (self.content(moved) * self.gate(moved).sigmoid()).transpose(1, 2)
        mixed: Tensor = self.global_weight * self.attention(tokens) + self.local_weight * local
        return mixed


class EmbeddingAssistant(nn.Module):
    """A second patch embedding, of the teacher's width, made from what the student's stage reads.

    Args:
        inputs: Channels that it reads.
        outputs: Teacher's width.
        size: Side of the convolution, 7 on the image and 3 on maps.
        stride: 4 on the image and 2 on maps.

    Reference:
        Liu et al. 2022 (TransKD), arXiv:2202.13393, §3.3 (Embedding Assistant).
    """

    def __init__(self, inputs: int, outputs: int, *, size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to tokens (B, L, D)."""
        tokens: Tensor = self.norm(self.proj(maps).flatten(2).transpose(1, 2))
        return tokens
