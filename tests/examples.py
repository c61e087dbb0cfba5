"""What a kind needs to be built with, where its defaults alone do not do."""

from __future__ import annotations

from typing import Any

import torch

TERM_OPTIONS: dict[str, dict[str, Any]] = {
    "mix": {"a": {"use": "kd", "temperature": 2.0}, "b": {"use": "ce"}, "ratio": 0.3},
}
"""Options without which a term says nothing."""
OF_TOKENS = {"mae", "token-hint"}
"""Terms that read tokens: both networks must be transformers."""
TRANSFORMER = {"use": "vit-micro"}
IMAGE = (1, 8, 8)
TOKENS = {"norm": (17, 12)}
"""Of a transformer on an image of 8 x 8 in patches of 2 x 2: the class token, then the patches."""
MASKED = {"masked-0.75:tokens": (5, 12), "masked-0.75:pixels": (16, 4)}
"""Its view of which four patches stayed, as ``mae`` reads it."""


def kept_patches(rows: int) -> torch.Tensor:
    """Four of sixteen patches for each row, ascending, int64, shape (rows, 4)."""
    first = torch.arange(rows)[:, None] % 4
    return first + torch.tensor([0, 4, 8, 12])


def term_data(name: str, **options: Any) -> dict[str, Any]:
    """A term by name with what it needs, as an experiment holds it."""
    return {"use": name, **TERM_OPTIONS.get(name, {}), **options}
