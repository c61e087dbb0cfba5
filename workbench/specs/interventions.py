"""What changes while a stage trains: planned in the file, or done by hand and journalled.

Both are the same thing, a path and a value at a step, so a run that was touched is again an
experiment: its journal, written as ``interventions:``, trains to the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from workbench.specs.base import Spec

Reach = Literal["live", "fork", "aside", "start"]
"""When a path may change: in a running stage; by a fork at any step; by a fork, without touching
the student (its name, its controls); at step 0 only."""
ASIDE = ("name", "control", "plain_kd")
LENGTH = ("batch_size", "epochs", "steps")
DATA_MIDWAY = ("augment", "labels_per_class")
NOTE, WHO = 2000, 200
"""Longest note and name of an intervention, characters."""
PLANNED = "plan"
"""Who is journalled for an intervention that the experiment file asked for."""


class Intervention(Spec):
    """One change: values at paths from a step on."""

    step: int = Field(ge=0, description="Optimiser steps done before it applies.")
    set: dict[str, Any] = Field(min_length=1, description="Path to value.")
    who: str = Field(PLANNED, max_length=WHO, description="Who made it.")
    note: str = Field("", max_length=NOTE, description="Why, in any words.")

    @field_validator("set")
    @classmethod
    def _reachable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for path in value:
            if not path or any(not part for part in path.split(".")):
                raise PydanticCustomError(
                    "path", "needs dotted paths, not {path}", {"path": repr(path)}
                )
        return value


def reach(path: str, *, stage: str | None = None) -> Reach:
    """When a path of an experiment may change.

    Args:
        path: Dotted address.
        stage: Name of the stage that people watch; what stands before it is made by then. None
            takes any stage for that one.
    """
    parts = path.split(".")
    if parts[0] == "teacher":
        return "live"
    if parts[0] in ASIDE:
        return "aside"
    if parts[0] == "data" and len(parts) == 2 and parts[1] in DATA_MIDWAY:
        return "fork"
    if parts[0] != "stages" or len(parts) < 3 or stage not in (None, parts[1]):
        return "start"
    section, rest = parts[2], parts[3:]
    if section in ("schedule", "freeze", "rows", "target", "policy") or (
        section == "terms" and rest
    ):
        return "live"
    if section == "optimiser":
        return "live" if rest and rest[0] != "use" else "fork"
    return "fork" if section in LENGTH else "start"


def get_path(data: Any, path: str) -> Any:
    """What lies at a dotted path of plain data; None where nothing does."""
    for part in path.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return None
        data = data[part]
    return data
