"""The space of a student search as plain data: choices stage by stage, and draws from them.

Unusual here: a candidate is a tuple of whole numbers, one a stage, each the number of a block among
the blocks that stage allows; so a draw is a number, a candidate is a dictionary key, and all of it
is pure in the key that is handed in. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from workbench.models.cell_kinds import MAX_DEPTH, MAX_WIDTH, Kernel
from workbench.randomness import uniform
from workbench.specs.base import Spec

Candidate: TypeAlias = tuple[int, ...]
"""Number of the chosen block of each stage."""
MAX_CHOICES = 32
"""Of each field of a stage."""


class Block(NamedTuple):
    """What one stage may be: ``depth`` convolutions of ``kernel`` pixels, ``width`` channels."""

    width: int
    kernel: int
    depth: int


class StageChoices(Spec):
    """What one stage of a candidate may be."""

    widths: tuple[int, ...] = Field(
        (4, 8, 12, 16, 24), min_length=1, max_length=MAX_CHOICES, description="Channels to choose."
    )
    kernels: tuple[Kernel, ...] = Field(
        (1, 3, 5),
        min_length=1,
        max_length=3,
        description="Sides of a convolution to choose, in pixels: 1, 3, 5.",
    )
    depths: tuple[int, ...] = Field(
        (1, 2), min_length=1, max_length=MAX_DEPTH, description="Numbers of convolutions to choose."
    )

    @field_validator("widths", "kernels", "depths")
    @classmethod
    def _choices_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise PydanticCustomError("choices", "each choice may stand there once", {})
        return value

    @field_validator("widths")
    @classmethod
    def _widths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _bounded("width", value, MAX_WIDTH)

    @field_validator("depths")
    @classmethod
    def _depths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _bounded("depth", value, MAX_DEPTH)

    def blocks(self) -> list[Block]:
        """Every block this stage may be; a block's place in the list is its number."""
        return [Block(*choice) for choice in product(self.widths, self.kernels, self.depths)]


class Space:
    """Candidates of a student search.

    Args:
        stages: Choices of each stage, input to output.

    Attributes:
        blocks: The blocks of each stage by their number.
    """

    def __init__(self, stages: Sequence[StageChoices]) -> None:
        self.blocks = tuple(tuple(stage.blocks()) for stage in stages)

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(len(blocks) for blocks in self.blocks)

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate once, in the order of their numbers."""
        yield from product(*(range(len(blocks)) for blocks in self.blocks))

    def smallest(self) -> Candidate:
        """The candidate with the least parameters and multiplications: both grow with each field.

        So a budget that it does not meet is met by none.
        """
        least = (Block(*map(min, zip(*blocks, strict=True))) for blocks in self.blocks)
        return tuple(of.index(block) for of, block in zip(self.blocks, least, strict=True))

    def random(self, key: int) -> Candidate:
        """A candidate drawn with equal chance for each; pure in ``key``."""
        draws = uniform(range(len(self.blocks)), key, "random")
        return tuple(
            _index(draw, len(blocks)) for draw, blocks in zip(draws, self.blocks, strict=True)
        )

    def mutate(self, parent: Candidate, count: int, key: int) -> Candidate:
        """The parent with other blocks in ``count`` of its stages; pure in ``key``.

        Args:
            parent: Where it starts.
            count: Stages to change, >= 1; fewer where fewer have a choice.
            key: Of the draw.

        Returns:
            A candidate that differs from its parent in exactly so many stages; each new block
            is drawn from all others of its stage. The parent itself where no stage has a choice.

        Reference:
            Dong, Li, Wei 2023 (DisWOT), arXiv:2303.15678; one block, two once the population
            exceeds 10, as the released search does.
        """
        free = [stage for stage, blocks in enumerate(self.blocks) if len(blocks) > 1]
        order = uniform(free, key, "stages").argsort(kind="stable")
        draws = uniform(range(len(self.blocks)), key, "blocks")
        child = list(parent)
        for place in order[:count]:
            stage = free[place]
            other = _index(draws[stage], len(self.blocks[stage]) - 1)
            child[stage] = other + (other >= parent[stage])
        return tuple(child)

    def fields(self, candidate: Candidate) -> dict[str, list[int]]:
        """A candidate in the words of ``cnn-cells``: widths, kernels and depths of its stages."""
        chosen = [of[number] for number, of in zip(candidate, self.blocks, strict=True)]
        return {
            "widths": [block.width for block in chosen],
            "kernels": [block.kernel for block in chosen],
            "depths": [block.depth for block in chosen],
        }

    def holds(self, candidate: Any) -> bool:
        """Whether plain data is a candidate of this space."""
        return (
            isinstance(candidate, (list, tuple))
            and len(candidate) == len(self.blocks)
            and all(
                type(number) is int and 0 <= number < len(blocks)
                for number, blocks in zip(candidate, self.blocks, strict=True)
            )
        )


def _index(draw: float, count: int) -> int:
    return min(int(draw * count), count - 1)


def _bounded(what: str, values: tuple[int, ...], high: int) -> tuple[int, ...]:
    if not all(1 <= value <= high for value in values):
        raise PydanticCustomError(
            "space", "each {what} must be in 1..{high}", {"what": what, "high": high}
        )
    return values
