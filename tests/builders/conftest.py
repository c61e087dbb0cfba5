"""A search on a small batch: cheap enough for hundreds of candidates a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from workbench.builders import BuildContext, SearchSpec
from workbench.builders.search import Search
from workbench.models import ModelContext
from workbench.models.batch import Batch
from workbench.registries import MODELS

SMALL_SPACE = [
    {"widths": [2, 4, 6], "kernels": [1, 3], "depths": [1, 2]},
    {"widths": [2, 4, 8], "kernels": [3, 5], "depths": [1]},
]
"""Twelve blocks times six: 72 candidates."""


def parse(**options: Any) -> SearchSpec:
    """A search of the small space, with any field changed."""
    data = {"use": "search", "space": SMALL_SPACE, "iterations": 12, "population": 8, **options}
    spec = MODELS.get("search").model_validate(data)
    assert isinstance(spec, SearchSpec)
    return spec


@pytest.fixture(scope="session")
def build_context() -> BuildContext:
    """Sixteen labelled noise images of five classes, a teacher whose classifier reads 12."""
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        ids=torch.arange(16),
        inputs=torch.rand(16, 1, 8, 8, generator=generator),
        labels=torch.arange(16) % 5,
        all_labelled=True,
    )
    model = ModelContext(
        channels=1, height=8, width=8, num_classes=5, mean=(0.5,), std=(0.3,), seed=7
    )
    teacher = MODELS.get("cnn-tiny").model_validate({"use": "cnn-tiny"}).build(model)
    return BuildContext(batch, teacher, model, seed=3, device=torch.device("cpu"))


@pytest.fixture
def search(build_context: BuildContext) -> Callable[..., Search]:
    """Make a search with fields of its spec, or of the context, changed."""

    def make(*, context: dict[str, Any] | None = None, **options: Any) -> Search:
        return Search(parse(**options), replace(build_context, **(context or {})))

    return make


def finish(search: Search) -> Search:
    """Step until nothing is left."""
    while not search.done:
        search.step()
    return search
