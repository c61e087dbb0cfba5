"""The registries, one for each kind of thing that a file or a form can name."""

from __future__ import annotations

from typing import Any

from workbench.registry import Registry

DATA: Registry[type[Any]] = Registry("data set", builtin="workbench.data", group="workbench.data")
MODELS: Registry[type[Any]] = Registry(
    "model", builtin="workbench.builders", group="workbench.models"
)
TERMS: Registry[type[Any]] = Registry(
    "distillation term", builtin="workbench.terms", group="workbench.terms"
)
TARGETS: Registry[type[Any]] = Registry(
    "target", builtin="workbench.targets", group="workbench.targets"
)
PROBES: Registry[type[Any]] = Registry(
    "probe", builtin="workbench.probes", group="workbench.probes"
)
TASKS: Registry[type[Any]] = Registry("task", builtin="workbench.tasks", group="workbench.tasks")
OPTIMISERS: Registry[type[Any]] = Registry(
    "optimiser", builtin="workbench.training.optimisers", group="workbench.optimisers"
)
SCHEDULES: Registry[type[Any]] = Registry(
    "schedule", builtin="workbench.training.schedules", group="workbench.schedules"
)
RATIOS: Registry[type[Any]] = Registry(
    "ratio network", builtin="workbench.terms", group="workbench.ratios"
)
POLICIES: Registry[type[Any]] = Registry(
    "data policy", builtin="workbench.data", group="workbench.policies"
)
