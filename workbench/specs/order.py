"""Stages refer back: a stage may begin with, or learn from, what an earlier one has made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic_core import PydanticCustomError

from workbench.errors import nearest
from workbench.specs.stage import FRESH, StageSpec


def references(stage: StageSpec) -> Iterator[tuple[str, str]]:
    """Fields of a stage that name another, with the name."""
    if stage.start not in (None, FRESH):
        yield "start", str(stage.start)
    named = getattr(stage.target, "stage", None)
    if named is not None:
        yield "target.stage", str(named)


def check_order(stages: Mapping[str, StageSpec]) -> None:
    """Refuse references to stages that are not there or not ready, and fields of the wrong stage.

    Raises:
        PydanticCustomError: Lists all problems.
    """
    names, problems = list(stages), []
    for place, (name, stage) in enumerate(stages.items()):
        for field, other in references(stage):
            if other not in stages:
                near = nearest(other, names)
                ask = f" Did you mean {near!r}?" if near else ""
                before = ", ".join(names[:place]) or f"none, only `{FRESH}`"
                problems.append(
                    f"{name}.{field}: there is no stage {other!r}.{ask} Before it: {before}"
                )
            elif names.index(other) >= place:
                circle = " -> ".join([name, *_way(stages, other, name)])
                what = f"a cycle ({circle})" if circle.endswith(f" {name}") else "not ready by then"
                problems.append(
                    f"{name}.{field}: refers to {other!r}, which is {what}; a stage may only name "
                    "one that stands before it"
                )
        if place == len(names) - 1:
            problems += [
                f"{name}.{field}: belongs to a stage before the last; the last takes the "
                f"experiment's `{field}`"
                for field in ("data", "seed")
                if getattr(stage, field) is not None
            ]
    if problems:
        raise PydanticCustomError("stages", "{text}", {"text": "; ".join(problems)})


def _way(stages: Mapping[str, StageSpec], start: str, goal: str) -> list[str]:
    """Stages from one to another along their references; only the first if there is no way."""
    seen, queue = {start}, [[start]]
    while queue:
        way = queue.pop(0)
        if way[-1] == goal:
            return way
        for _, other in references(stages[way[-1]]):
            if other in stages and other not in seen:
                seen.add(other)
                queue.append([*way, other])
    return [start]
