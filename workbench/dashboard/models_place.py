"""The place Models as plain data: networks that the store keeps, and a pair of them to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from workbench_widgets.words import count, fixed, percent

from workbench.dashboard import wording
from workbench.dashboard.address import first_of
from workbench.dashboard.runs_place import when
from workbench.dashboard.template import Mode
from workbench.runs.kept_models import KeptModel
from workbench.training.card import SHORT

ROLES: Final = ("teacher", "student")
SHOWN: Final = 200
"""Rows that are drawn at most; a filter finds the others."""


@dataclass(frozen=True)
class ModelsAsked:
    """What an address asks for: ``/?models=&find=cnn&role=teacher&teacher=...&student=...``.

    Attributes:
        find: Words that a row must have.
        role: Only teachers or students; empty for both.
        teacher: Id of the model that is picked as teacher of a pair; empty for none.
        student: Likewise.
    """

    find: str = ""
    role: str = ""
    teacher: str = ""
    student: str = ""

    kind: ClassVar[Mode] = "models"

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> ModelsAsked | None:
        """From the arguments of a request; None where it asks for another page."""
        if "models" not in arguments:
            return None
        role = first_of(arguments, "role")
        return cls(
            find=first_of(arguments, "find")[:200],
            role=role if role in ROLES else "",
            teacher=first_of(arguments, "teacher"),
            student=first_of(arguments, "student"),
        )

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {name: getattr(self, name) for name in ("find", "role", "teacher", "student")}
        kept = {name: value for name, value in asked.items() if value}
        return f"/?{urlencode({'models': '', **kept}, safe='@:')}"

    def followed(self, asked: Mapping[str, Any]) -> ModelsAsked:
        """After what a reader did: ``{"do": "student", "value": ID}`` and the like."""
        do, value = str(asked.get("do", "")), str(asked.get("value") or "")
        if do in ("find", "role"):
            return replace(self, **{do: value[:200]})
        if do in ROLES:
            picked = "" if getattr(self, do) == value else value
            return replace(self, **{do: picked})
        return self


def models_page(models: Sequence[KeptModel], asked: ModelsAsked) -> dict[str, Any]:
    """All that the page shows.

    Args:
        models: That the store keeps.
        asked: What the address asks for.
    """
    found = models_meant(models, asked)
    known = {model.id: model for model in models}
    picked = {role: known.get(getattr(asked, role)) for role in ROLES}
    return {
        "address": asked.address,
        "total": len(models),
        "count": f"{count(len(found))} of {count(len(models))} models"
        if len(found) < len(models)
        else f"{count(len(models))} model{'s' if len(models) != 1 else ''}",
        "bytes": size_words(sum(model.bytes for model in models)),
        "find": asked.find,
        "role": asked.role,
        "roles": [
            {"value": role, "words": f"{role.capitalize()}s", "count": number}
            for role in ROLES
            if (number := sum(model.role == role for model in models))
        ],
        "rows": [_row(model, asked) for model in found[:SHOWN]],
        "more": max(len(found) - SHOWN, 0),
        "pair": {
            role: None if model is None else f"{title(model)}, {_where(model)}"
            for role, model in picked.items()
        },
        "inspect": pair_address(picked["teacher"], picked["student"]),
    }


def pair_address(teacher: KeptModel | None, student: KeptModel | None) -> str:
    """Address of the page that shows two models side by side; empty while one is missing."""
    if teacher is None or student is None:
        return ""
    asked = {"pair": "", "teacher": teacher.id, "student": student.id}
    return f"?{urlencode(asked, safe='@:')}"


def title(model: KeptModel) -> str:
    """What a model is called: architecture, and which of its run's weights."""
    named = wording.model_name({"use": model.name, **model.options})
    return named if model.role == "teacher" else f"{named}, {model.which}"


def size_words(size: int) -> str:
    """Bytes as people read them: ``7.4 KiB``."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{fixed(value, 0 if units[0] == 'B' or value >= 100 else 1)} {units[0]}"


def models_meant(models: Sequence[KeptModel], asked: ModelsAsked) -> list[KeptModel]:
    """All models that the filters leave, drawn or not."""
    return [model for model in models if _is_meant(model, asked)]


def _is_meant(model: KeptModel, asked: ModelsAsked) -> bool:
    if asked.role and model.role != asked.role:
        return False
    text = f"{model.name} {model.id} {model.hash} {model.data} {model.run}".lower()
    return all(word in text for word in asked.find.lower().split())


def _row(model: KeptModel, asked: ModelsAsked) -> dict[str, Any]:
    score = model.score
    users = len(model.used_by)
    base = quote(model.run or "quickstart")
    return {
        "id": model.id,
        "role": model.role,
        "letter": model.role[0].upper(),
        "name": title(model),
        "where": _where(model),
        "data": model.data,
        "step": "" if model.step is None else f"step {count(model.step)}",
        "hash": (model.hash or model.file_hash)[:SHORT],
        "hash_of": "of its weights"
        if model.hash
        else "of its file, optimiser included"
        if model.file_hash
        else "",
        "weights": "" if model.parameters is None else count(model.parameters),
        "bytes": size_words(model.bytes),
        "accuracy": "" if score is None else percent(score.accuracy),
        "ece": "" if score is None or score.ece is None else percent(score.ece),
        "of": "not measured"
        if score is None
        else score.of + (", chosen on these rows" if model.which == "best" else ""),
        "run": model.run,
        "used": f"taught {count(users)} run{'s' if users != 1 else ''}" if users else "",
        "users": list(model.used_by[:5]),
        "when": when(model.created_ns),
        "as_teacher": f"?new={base}&set={quote(f'teacher={model.use}')}",
        "as_start": f"?new={base}&set={quote(f'student={model.use}')}",
        **{f"is_{role}": getattr(asked, role) == model.id for role in ROLES},
    }


def _where(model: KeptModel) -> str:
    if model.role == "teacher":
        return f"cache {model.id.removeprefix('teacher:')[:SHORT]}"
    return model.run
