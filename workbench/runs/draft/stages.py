"""Stages of a draft: one more before the last, one less, another name; what names them follows.

Unusual here: a new stage is valid at once, since it is a copy of the last one, which then begins
with its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from workbench.errors import BadInput
from workbench.runs.draft.draft import Draft
from workbench.specs.stage import KEY

FIRST_NAME: Final = "prepare"
LAST_ONLY: Final = ("data", "seed")
"""Fields that the last stage takes from the experiment."""


def stages_of(draft: Draft) -> dict[str, Any]:
    """A copy of the stages in their order, as far as there are any."""
    given = draft.data.get("stages")
    return copy.deepcopy(dict(given)) if isinstance(given, Mapping) else {}


def pick_stage(draft: Draft, name: str) -> Draft:
    """The same draft with another stage in its form and its loss.

    Raises:
        BadInput: If there is no such stage.
    """
    _known(stages_of(draft), name)
    typed = draft.typed
    if typed is not None and typed.kind == "loss" and name != draft.stage:
        raise BadInput(f"The loss of {draft.stage} cannot be read yet; mend it or undo it first.")
    return replace(draft, chosen=name)


def add_stage(draft: Draft) -> Draft:
    """One more stage before the last, a copy of it; the last begins with its weights.

    Raises:
        BadInput: If there is no stage to copy.
    """
    stages = stages_of(draft)
    if not stages:
        raise BadInput("stages: there is none to copy. Write one in the text: main: {terms: ...}.")
    last, own = stages.popitem()
    name, number = FIRST_NAME, 2
    while name in stages or name == last:
        name, number = f"{FIRST_NAME}-{number}", number + 1
    stages[name] = copy.deepcopy(own)
    own.pop("start", None)  # none: the stage before
    stages[last] = own
    return _with(draft, stages, chosen=name)


def remove_stage(draft: Draft, name: str) -> Draft:
    """One stage less; who began with its weights begins with what it began with.

    Raises:
        BadInput: If there is no such stage, or no other.
    """
    stages = stages_of(draft)
    gone = _known(stages, name)
    if len(stages) == 1:
        raise BadInput(f"{name} is the only stage; an experiment needs one.")
    del stages[name]
    heir = gone.get("start")
    for stage in stages.values():
        if stage.get("start") == name:
            _put(stage, "start", heir)
        if _target_stage(stage) == name:
            stage.pop("target")
    for field in LAST_ONLY:
        stages[next(reversed(stages))].pop(field, None)
    return _with(draft, stages, chosen=draft.chosen)


def rename_stage(draft: Draft, name: str, new: str) -> Draft:
    """Another name for a stage, also where others name it.

    Raises:
        BadInput: If there is no such stage, or the name is none or taken.
    """
    stages = stages_of(draft)
    _known(stages, name)
    if new == name:
        return draft
    if not KEY.match(new) or new in stages:
        why = "is taken" if new in stages else "is no name"
        raise BadInput(
            f"Stage name {new[:40]!r} {why}. Allowed: at most 40 letters, digits, '-' and '_', a "
            "letter first, each name once."
        )
    renamed = {new if key == name else key: stage for key, stage in stages.items()}
    for stage in renamed.values():
        if stage.get("start") == name:
            stage["start"] = new
        if _target_stage(stage) == name:
            stage["target"]["stage"] = new
    return _with(draft, renamed, chosen=new if draft.stage == name else draft.chosen)


def _known(stages: Mapping[str, Any], name: str) -> Any:
    if name not in stages:
        raise BadInput(f"There is no stage {name[:40]!r}. There are: {', '.join(stages)}.")
    return stages[name]


def _put(stage: dict[str, Any], field: str, value: Any) -> None:
    if value is None:
        stage.pop(field, None)
    else:
        stage[field] = value


def _target_stage(stage: Mapping[str, Any]) -> Any:
    """The stage that its target names, if it does."""
    target = stage.get("target")
    return target.get("stage") if isinstance(target, Mapping) else None


def _with(draft: Draft, stages: Mapping[str, Any], *, chosen: str | None) -> Draft:
    data = {**copy.deepcopy(dict(draft.data)), "stages": dict(stages)}
    return replace(draft, data=data, typed=None, chosen=chosen)
