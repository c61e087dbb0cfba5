"""What stands between a draft and its start, as rows: failed first, then warnings, then passed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from workbench.errors import nearest
from workbench.runs.draft.draft import Draft
from workbench.runs.draft.paths import value_at
from workbench.training.tripwires import CHECKS

State = Literal["failed", "warning", "waiting", "passed"]
ORDER: Final[tuple[State, ...]] = ("failed", "warning", "waiting", "passed")
NO_TAP = re.compile(r"no tap '([^']+)'")
NAMES: Final = {
    "loss": "The loss can be read",
    "yaml": "The YAML can be read",
    "python": "The Python can be read",
}


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        state: ``failed``, ``warning``, ``waiting`` or ``passed``.
        title: What it makes sure of.
        detail: What was found, and the way out.
        path: Of the experiment, where it has one.
        value: A number worth seeing.
        fix: ``{"label", "path", "value"}`` of an edit that would mend it.
    """

    state: State
    title: str
    detail: str = ""
    path: str = ""
    value: str = ""
    fix: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def rows(draft: Draft, told: Mapping[str, Any] | None, more: Iterable[Row] = ()) -> list[Row]:
    """All checks of a draft.

    Args:
        draft: The experiment.
        told: What the process on the side answered; None while it still works.
        more: Checks of how it begins, such as those of a fork.
    """
    found = [*_typed(draft), *_fields(draft)]
    if not found:
        found = [Row("passed", "Every field is allowed"), *_tried(draft, told)]
    return sorted([*found, *more], key=lambda row: ORDER.index(row.state))


def why_not(found: list[Row]) -> str:
    """Why it cannot start, in words; empty if it can, or could once the checks have passed."""
    failed = sum(row.state == "failed" for row in found)
    if failed:
        which, what = ("check", "it") if failed == 1 else ("checks", "them")
        return f"{failed} {which} failed. Mend {what} first."
    return ""


def are_running(found: list[Row]) -> bool:
    """Whether it is not known yet that it can start."""
    return any(row.state == "waiting" for row in found)


def _typed(draft: Draft) -> Iterator[Row]:
    typed = draft.typed
    if typed is None:
        return
    fix = None
    if typed.kind == "loss" and typed.error.get("nearest"):
        start, end = typed.error["start"], typed.error["end"]
        mended = f"{typed.text[:start]}{typed.error['nearest']}{typed.text[end:]}"
        fix = {"label": f"Use {typed.error['nearest']}", "path": "loss", "value": mended}
    yield Row(
        "failed",
        NAMES[typed.kind],
        str(typed.error["message"]),
        typed.kind,
        fix=fix,
    )


def _fields(draft: Draft) -> Iterator[Row]:
    for wrong in draft.problems():
        fix = None
        if wrong.nearest is not None and wrong.path:
            fix = {"label": f"Use {wrong.nearest}", "path": wrong.path, "value": wrong.nearest}
        yield Row("failed", "A field is not allowed", wrong.message, wrong.path, fix=fix)


def _tried(draft: Draft, told: Mapping[str, Any] | None) -> Iterator[Row]:
    if told is None:
        yield Row("waiting", "Trying the first batch", "Builds both networks and every term.")
        return
    if "refused" in told:
        yield _refused(draft, told)
        return
    teacher, student, data = (told.get(key) or {} for key in ("teacher", "student", "data"))
    counts = [teacher.get("classes"), student.get("classes"), len(data.get("classes", ()))]
    if len(set(counts)) == 1:
        yield Row(
            "passed",
            "Class counts agree",
            "teacher, student, data",
            value=" = ".join(map(str, counts)),
        )
    if "accuracy" in teacher:
        yield Row(
            "passed",
            "Teacher knows this data",
            f"accuracy on the probe split, n = {teacher['n']}",
            value=f"{100 * teacher['accuracy']:.1f} %",
        )
    checks = told["checks"]
    for item in checks["found"]:
        state: State = "failed" if item["severity"] == "stop" else "warning"
        path = item["subject"]
        yield Row(state, CHECKS[item["check"]], item["message"], _path(draft, path))
    for name in checks["passed"]:
        yield Row("passed", CHECKS[name].removesuffix("."))


def _refused(draft: Draft, told: Mapping[str, Any]) -> Row:
    """What could not be built; a layer that does not exist is offered the nearest one."""
    message = str(told["refused"])
    missing = NO_TAP.search(message)
    if missing is None:
        return Row("failed", "The experiment can be built", message)
    found = next(_taps_of(missing[1], draft), "")
    field = _without_place(found)
    role = "teacher" if "teacher" in field.rpartition(".")[2] else "student"
    side = told.get(role) or {}
    names = [*side.get("stages", ()), *(layer["name"] for layer in side.get("layers", ()))]
    if not names:
        return Row("failed", f"Layer {missing[1]} exists", message, field)
    near = nearest(missing[1], names) or names[-1]
    words = f"The {role} {side['name']} has no layer {missing[1]}. It has {', '.join(names)}; any "
    fix = _instead(draft, found, near) if found else None
    return Row(
        "failed",
        f"Layer {missing[1]} exists",
        f"{words}other module path works too.",
        field,
        fix=fix,
    )


def _instead(draft: Draft, path: str, near: str) -> dict[str, Any]:
    """The edit that puts a layer's name in the place of another; of a list it is the whole list."""
    whole = _without_place(path)
    if whole == path:
        return {"label": f"Use {near}", "path": path, "value": near}
    listed = list(value_at(draft.data, whole))
    listed[int(path.rpartition(".")[2])] = near
    return {"label": f"Use {near}", "path": whole, "value": listed}


def _without_place(path: str) -> str:
    """The path of the list where it leads into one."""
    whole, _, place = path.rpartition(".")
    return whole if place.isdigit() else path


def _taps_of(value: str, draft: Draft) -> Iterator[str]:
    """Paths at which a layer's name stands, those of the stage that is edited first."""
    yield from _paths_of(value, draft.terms, f"stages.{draft.stage}.terms")
    yield from _paths_of(value, value_at(draft.data, "stages"), "stages")


def _paths_of(value: str, node: Any, path: str) -> Iterator[str]:
    """Paths at which a text stands."""
    if isinstance(node, Mapping):
        for key, item in node.items():
            yield from _paths_of(value, item, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for place, item in enumerate(node):
            yield from _paths_of(value, item, f"{path}.{place}")
    elif node == value:
        yield path


def _path(draft: Draft, subject: str) -> str:
    """A check's subject (``terms.kd``, of the last stage; ``student``) as a path in the draft."""
    if not subject.startswith("terms."):
        return subject
    return f"stages.{next(reversed(draft.data['stages']))}.{subject}"
