"""What a kind needs to be built with, where its defaults alone do not do."""

from __future__ import annotations

from typing import Any

import torch

from workbench.registries import (
    DATA,
    MODELS,
    OPTIMISERS,
    POLICIES,
    PROBES,
    RATIOS,
    SCHEDULES,
    TARGETS,
    TASKS,
    TERMS,
)
from workbench.registry import Registry

REGISTRIES: dict[str, Registry[type[Any]]] = {
    each.kind: each
    for each in (
        DATA, MODELS, TERMS, TARGETS, PROBES, TASKS, OPTIMISERS, SCHEDULES, RATIOS, POLICIES,
    )
}  # fmt: skip
EVERYTHING = [(kind, name) for kind, found in REGISTRIES.items() for name in found.names()]

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
VIEWS = {
    "masked-0.75:tokens": (5, 12),
    "masked-0.75:pixels": (16, 4),
    "styled-0.1-stage2:stage2": (6, 4, 4),
}
"""Taps of the student's other views, as ``mae`` (four patches stayed) and ``nt-xent`` read them."""


def kept_patches(rows: int) -> torch.Tensor:
    """Four of sixteen patches for each row, ascending, int64, shape (rows, 4)."""
    first = torch.arange(rows)[:, None] % 4
    return first + torch.tensor([0, 4, 8, 12])


def term_data(name: str, **options: Any) -> dict[str, Any]:
    """A term by name with what it needs, as an experiment holds it."""
    return {"use": name, **TERM_OPTIONS.get(name, {}), **options}


KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "data set": {
        "arrays": {"path": "rows.npz"},
        "folder": {"path": "photos", "size": 16},
        "idx": {"path": "mnist"},
        "nsl-kdd": {"path": "nsl"},
        "pool": {"of": "digits", "limit": 200, "corrupted": 0.2, "foreign": "photo-patches"},
        "table": {"path": "rows.csv"},
    },
    "model": {
        "borrowed-head": {"of": {"use": "cnn-tiny", "width": 4}},
        "hub:": {"use": "hub:timm/resnet18.a1_in1k"},
        "path:": {"use": "path:weights.safetensors"},
        "run:": {"use": "run:quickstart-7k2p9x@best"},
        "search": {"max_parameters": 5000, "iterations": 12},
        "timm/": {"use": "timm/resnet18", "drop_rate": 0.1},
    },
    "distillation term": TERM_OPTIONS,
    "target": {
        "mix": {"other": "path:second.safetensors", "share": 0.25},
        "past": {"share": 0.6},
        "stage": {"stage": "before"},
    },
    # networks that have hardly learned are sure of little
    "data policy": {"confident": {"threshold": 0.1, "per_class": False}},
    "optimiser": {"adamw": {"lr": 0.01}, "sgd": {"lr": 0.1, "momentum": 0.9}},
}
"""By what a registry's things are called, then by name: options of a valid example."""


def kind_data(registry: str, name: str) -> dict[str, Any]:
    """A valid example of a registered kind, as plain data."""
    return {"use": name, **KINDS.get(registry, {}).get(name, {})}


def kind_of(registry: str, name: str) -> type[Any]:
    """The class of a registered kind; a family's (``timm/``) by its mark."""
    return dict(REGISTRIES[registry].items())[name]


def example(registry: str, name: str) -> Any:
    """A valid spec of a registered kind."""
    return kind_of(registry, name).model_validate(kind_data(registry, name))
