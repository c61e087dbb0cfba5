"""Forms, read off the specs: one field of a form a field of a spec, with bounds, unit and help.

Nothing here names a term, a model or a data set: what is registered, by us, by a package or by the
reader's own module, appears by itself.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workbench.errors import UnknownName
from workbench.registry import Registry
from workbench.runs.draft.draft import Draft
from workbench.runs.draft.forked import why_fixed
from workbench.runs.draft.paths import put, value_at
from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import literals
from workbench.specs.stage import StageSpec
from workbench.specs.values import Bounds

MOST_DEEP: Final = 4
"""Kinds within kinds."""
OWN_CARD: Final = ("terms", "players")
"""Fields of a stage that are no form of fields: terms are cards, players stand in the text."""
SORTS: Final = ((bool, "flag"), (float, "number"), (int, "integer"), (str, "text"))


class _Sheet:
    """What a form is filled from: the draft's data, with the defaults that a form needs."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.data: dict[str, Any] = copy.deepcopy(dict(draft.data))
        self.changed = draft.changed()

    def is_changed(self, path: str) -> bool:
        """Whether it, or something in it, is another than at the beginning."""
        return any(one == path or one.startswith(f"{path}.") for one in self.changed)


def form(draft: Draft, path: str, kind: type[Any] | None = None) -> dict[str, Any]:
    """The form of what stands at a path, as JSON.

    Args:
        draft: The experiment.
        path: Of a kind (``teacher``, ``stages.main.optimiser``) or of a plain spec; empty for the
            experiment itself.
        kind: Its class where no registry knows it.

    Returns:
        ``use`` (the name as it stands and its ``choices``; absent for a plain spec) and ``fields``,
        each with ``path``, ``label``, ``help``, ``sort`` (``number``, ``integer``, ``flag``,
        ``choice``, ``text``, ``list``, ``plain``, ``group``, ``kind``), ``value``, ``given``
        (whether it stands in the file), ``default``, ``min``, ``max``, ``open``, ``choices``, and
        ``off``: why a fork cannot change it, empty if it can.
    """
    sheet = _Sheet(draft)
    if kind is not None:
        return {"fields": list(_fields(sheet, path, kind, 0))}
    return _kind_form(sheet, path, _registry_at(path), 0)


def stage_form(draft: Draft) -> dict[str, Any]:
    """Length, batch, optimiser, schedule, target, rows and the rest of the stage that is edited."""
    return form(draft, f"stages.{draft.stage}", StageSpec)


def entries(draft: Draft, path: str, registry: Registry[Any]) -> list[dict[str, Any]]:
    """What a list of kinds may hold, each once: an entry of :func:`menu` each.

    Args:
        draft: The experiment.
        path: Of the list, such as ``probes``.
        registry: Of its kinds.

    Returns:
        With ``on`` (whether it is in the list) and ``fields``, its own as :func:`form` has them;
        none while it is not.
    """
    sheet = _Sheet(draft)
    given = value_at(draft.data, path)
    listed = given if isinstance(given, list) else []
    uses = [one if isinstance(one, str) else value_at({"at": one}, "at.use") for one in listed]
    made = []
    for name, kind in registry.items():
        place = uses.index(name) if name in uses else None
        fields = [] if place is None else list(_fields(sheet, f"{path}.{place}", kind, 1))
        made.append({**_entry(name, kind), "on": place is not None, "fields": fields})
    return made


def menu(registry: Registry[Any]) -> list[dict[str, Any]]:
    """What there is to choose from: name and summary; of terms also paper, needs and pull."""
    return [_entry(name, kind) for name, kind in registry.items()]


def _entry(name: str, kind: Any) -> dict[str, Any]:
    summary = getattr(kind, "summary", None) or (kind.__doc__ or "").strip().partition("\n")[0]
    told = {key: getattr(kind, key, None) for key in ("paper", "pull", "unit")}
    needs = list(getattr(kind, "needs", ()))
    return {"name": name, "summary": summary, "needs": needs, **told}


def _kind_form(
    sheet: _Sheet, path: str, registry: Registry[Any] | None, depth: int
) -> dict[str, Any]:
    value = value_at(sheet.data, path)
    use = value if isinstance(value, str) else value_at({"at": value or {}}, "at.use")
    choices = menu(registry) if registry is not None else []
    told = {
        "path": f"{path}.use",
        "value": use,
        "choices": choices,
        "changed": sheet.is_changed(f"{path}.use"),
        "off": why_fixed(sheet.draft, f"{path}.use"),
    }
    fields: list[dict[str, Any]] = []
    if isinstance(use, str) and registry is not None and depth < MOST_DEEP:
        try:
            fields = list(_fields(sheet, path, registry.get(use), depth))
        except UnknownName:  # said at the name itself
            fields = []
    return {"use": told, "fields": fields}


def _fields(sheet: _Sheet, path: str, kind: type[Spec], depth: int) -> Iterator[dict[str, Any]]:
    for name, info in kind.model_fields.items():
        if name == "use" or (name in OWN_CARD and kind is StageSpec):
            continue
        yield _field(sheet, f"{path}.{name}" if path else name, name, info, depth)


def _field(sheet: _Sheet, path: str, name: str, info: FieldInfo, depth: int) -> dict[str, Any]:
    value = value_at(sheet.data, path)
    default = None if info.is_required() else _plain(info.get_default(call_default_factory=True))
    told: dict[str, Any] = {
        "path": path,
        "label": name.replace("_", " "),
        "help": info.description or "",
        "given": value_at(sheet.draft.data, path) is not None,
        "value": default if value is None else value,
        "default": default,
        "required": info.is_required(),
        "changed": sheet.is_changed(path),
        "off": why_fixed(sheet.draft, path),
    }
    if any(isinstance(item, Bounds) for item in info.metadata):
        return {**told, **_sort(info, told["value"])}
    pick = next((item for item in info.metadata if isinstance(item, Pick)), None)
    if pick is not None:
        if value is None and default is not None:
            put(sheet.data, path, {"use": default} if isinstance(default, str) else default)
        inner = _kind_form(sheet, path, pick.registry, depth + 1)
        return {**told, "sort": "kind", "optional": pick.optional, **inner}
    spec = next((one for one in _options(info.annotation) if _is_spec(one)), None)
    if spec is not None and depth < MOST_DEEP:
        return {
            **told,
            "sort": "group",
            "fields": list(_fields(sheet, path, spec, depth + 1)),
        }
    return {**told, **_sort(info, told["value"])}


def _sort(info: FieldInfo, value: Any) -> dict[str, Any]:
    words = literals(info.annotation)
    if words:
        return {"sort": "choice", "choices": list(words)}
    bounds = next((item for item in info.metadata if isinstance(item, Bounds)), None)
    if bounds is not None:  # a number, or a schedule of numbers, which stands as text
        sort = "number" if isinstance(value, (int, float)) else "plain"
        limits = {"min": bounds.low, "max": bounds.high, "open": bounds.open_low}
        return {"sort": sort, "allowed": str(bounds), **limits}
    kinds = set(_options(info.annotation))
    sort = next((name for kind, name in SORTS if kind in kinds), "plain")
    if any(get_origin(one) in (list, tuple) for one in kinds):
        sort = "list"
    if isinstance(value, Mapping):
        sort = "plain"
    limit = {
        key: getattr(item, key)
        for item in info.metadata
        for key in ("ge", "gt", "le", "lt")
        if getattr(item, key, None) is not None
    }
    low, high = limit.get("ge", limit.get("gt")), limit.get("le", limit.get("lt"))
    return {"sort": sort, "min": low, "max": high, "open": "gt" in limit}


def _options(annotation: Any) -> tuple[Any, ...]:
    """The annotation itself, or what it is a union of."""
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_spec(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Spec) and not issubclass(kind, Kind)


def _plain(value: Any) -> Any:
    if value is PydanticUndefined:
        return None
    if isinstance(value, Spec):
        return value.given()
    return list(value) if isinstance(value, (tuple, frozenset, set)) else value


def _registry_at(path: str) -> Registry[Any] | None:
    """Registry behind a field of the experiment, a stage or a stage's terms."""
    parts = path.split(".")
    fields = ExperimentSpec.model_fields
    if len(parts) > 2 and parts[0] == "stages":
        if parts[2] == "terms":
            from workbench.registries import TERMS

            return TERMS
        fields, parts = StageSpec.model_fields, parts[2:]
    info = fields.get(parts[0])
    pick = next((item for item in info.metadata if isinstance(item, Pick)), None) if info else None
    return pick.registry if pick is not None else None
