from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workbench.models import ModelContext
from workbench.models.adapter import ModelAdapter
from workbench.registries import MODELS


@pytest.fixture
def context() -> Callable[..., ModelContext]:
    """Context of digits, with any field changed."""

    def make(**changes: Any) -> ModelContext:
        fields: dict[str, Any] = {
            "channels": 1, "height": 8, "width": 8, "num_classes": 10, "seed": 7,
            **changes,
        }  # fmt: skip
        fields.setdefault("mean", (0.3,) * fields["channels"])
        fields.setdefault("std", (0.4,) * fields["channels"])
        return ModelContext(**fields)

    return make


@pytest.fixture
def build(context: Callable[..., ModelContext]) -> Callable[..., ModelAdapter]:
    """Build a model by its name, with options and changes of the context."""

    def make(use: str, *, options: dict[str, Any] | None = None, **changes: Any) -> ModelAdapter:
        spec = MODELS.get(use).model_validate({"use": use, **(options or {})})
        adapter: ModelAdapter = spec.build(context(**changes))
        return adapter

    return make
