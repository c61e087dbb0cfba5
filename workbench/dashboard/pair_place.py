"""A page on which two kept models are looked at side by side, without training anything.

Unusual here: only what the store keeps can be named, teachers by their hash and students by their
run; an address never makes the server open a file that somebody else put on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from workbench_widgets.words import count, fixed, number, percent

from workbench.dashboard.address import first_of
from workbench.dashboard.models_place import title
from workbench.dashboard.template import Mode
from workbench.errors import UnknownName
from workbench.recipes import names, open_experiment
from workbench.runs.frames import BUILDERS, SNAPSHOT_VIEWS
from workbench.runs.inspecting import Question, Seen
from workbench.runs.kept_models import KeptModel
from workbench.store import Store

SPLITS: Final = ("probe", "val")
OF_RUN: Final = "run:"
"""What a choice of data begins with that is a run's own."""


@dataclass(frozen=True)
class PairAsked:
    """What an address asks for: ``/?pair=&teacher=ID&student=ID&data=NAME&split=val``.

    Attributes:
        teacher: Id of a kept model; empty for none yet.
        student: Likewise.
        data: ``run:RUN`` for the data of a run, or a recipe's name; empty for the student's own.
        split: Rows that are looked at.
    """

    teacher: str = ""
    student: str = ""
    data: str = ""
    split: str = "probe"

    kind: ClassVar[Mode] = "pair"

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> PairAsked | None:
        """From the arguments of a request; None where it asks for another page."""
        if "pair" not in arguments:
            return None
        split = first_of(arguments, "split")
        return cls(
            teacher=first_of(arguments, "teacher"),
            student=first_of(arguments, "student"),
            data=first_of(arguments, "data"),
            split=split if split in SPLITS else "probe",
        )

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {"teacher": self.teacher, "student": self.student, "data": self.data}
        kept = {name: value for name, value in asked.items() if value}
        kept |= {"split": self.split} if self.split != "probe" else {}
        return f"/?{urlencode({'pair': '', **kept}, safe='@:')}"

    def followed(self, asked: Mapping[str, Any]) -> PairAsked:
        """After what a reader did: ``{"do": "student", "value": ID}`` and the like."""
        do, value = str(asked.get("do", "")), str(asked.get("value") or "")
        if do in ("teacher", "student", "data"):
            return replace(self, **{do: value})
        if do == "split" and value in SPLITS:
            return replace(self, split=value)
        return self


def question(store: Store, models: Sequence[KeptModel], asked: PairAsked) -> Question | None:
    """What a process on the side is to look at; None while something is still to be picked.

    Raises:
        UnknownName: If the store keeps no such model, or there are no such data.
        UnknownRun: If data of a run are asked for that the store does not have.
    """
    if not (asked.teacher and asked.student):
        return None
    known = {model.id: model for model in models}
    for role in ("teacher", "student"):
        if getattr(asked, role) not in known:
            raise UnknownName("kept model", getattr(asked, role), known)
    data, base = _data(store, asked.data or own_data(known[asked.student]))
    return Question(known[asked.teacher].use, known[asked.student].use, data, asked.split, base)


def waiting_words(seen: Seen | None) -> str:
    """What the four views wait for while they have no numbers."""
    if seen is None:
        return "Waits for two models to be picked."
    if seen.state == "working":
        return "Both models are being asked."
    return "No numbers of this pair; the card on the left says why."


def waiting_views(words: str) -> dict[str, tuple[dict[str, Any], list[bytes]]]:
    """Axes of the four views with a sentence in place of numbers: each a frame's payload."""
    return {
        str(view): replace(BUILDERS[view]({}, {}), waiting=words, summary=words).payload()
        for view in SNAPSHOT_VIEWS
    }


def own_data(student: KeptModel) -> str:
    """The choice of data that a student learned from."""
    return f"{OF_RUN}{student.run}"


def _data(store: Store, choice: str) -> tuple[Any, str]:
    """Data as a spec takes them, and the folder that their paths start from."""
    if choice.startswith(OF_RUN):
        row = store.runs.get(choice.removeprefix(OF_RUN))
        return row.experiment["data"], str(row.options.get("base") or ".")
    if choice not in names():
        raise UnknownName("data", choice, names(), hint="Or run:RUN for the data of a run.")
    spec, _, base = open_experiment(choice)
    return spec.given()["data"], str(base)


def pair_page(
    models: Sequence[KeptModel], asked: PairAsked, seen: Seen | None, problem: str
) -> dict[str, Any]:
    """All that the page shows beside the views.

    Args:
        models: That the store keeps.
        asked: What the address asks for.
        seen: What is known of the pair; None before somebody asked.
        problem: Why it cannot be looked at; empty if it can.
    """
    chosen = next((model for model in models if model.id == asked.student), None)
    own = own_data(chosen) if chosen is not None and chosen.run else ""
    return {
        "address": asked.address,
        "picks": {
            role: {
                "value": getattr(asked, role),
                "options": [[model.id, _option(model)] for model in _first(models, role)],
            }
            for role in ("teacher", "student")
        },
        "data": {
            "value": asked.data or own,
            "options": [
                *([[own, f"of the student's run, {chosen.data}"]] if own and chosen else []),
                *[[name, f"of recipe {name}"] for name in names()],
            ],
        },
        "split": asked.split,
        "splits": list(SPLITS),
        "kept": len(models),
        "state": "refused" if problem else "" if seen is None else seen.state,
        "words": problem or ("" if seen is None else seen.words),
        "rows": [] if seen is None or seen.state != "done" else _rows(seen.numbers),
        "n": "" if seen is None or not seen.numbers else count(seen.numbers["n"]),
        "warnings": [] if seen is None else list(seen.warnings),
        "lines": [] if seen is None else [_as_shown(line, models) for line in seen.lines],
    }


def _first(models: Sequence[KeptModel], role: str) -> list[KeptModel]:
    """Models of a role first: a student may be looked at as a teacher, too."""
    return sorted(models, key=lambda model: model.role != role)


def _as_shown(line: str, models: Sequence[KeptModel]) -> str:
    """A line of the conditions that names a kept model as the page does, not by its file."""
    for model in models:
        line = line.replace(model.use, title(model))
    return line


def _option(model: KeptModel) -> str:
    where = model.run or model.id.removeprefix("teacher:")[:12]
    score = ""
    if model.score is not None:
        n = f", n = {count(model.score.n)}" if model.score.n else ""
        score = f", {percent(model.score.accuracy)} on {model.score.split}{n}"
    return f"{model.role}: {title(model)} ({where}{score})"


def _rows(numbers: Mapping[str, Any]) -> list[list[str]]:
    """Name, student, teacher of each number; a number of both stands under the student."""
    student, teacher = numbers["student"], numbers["teacher"]
    loyalty = numbers["loyalty"]
    rows = [
        ["accuracy", percent(student["accuracy"]), percent(teacher["accuracy"])],
        ["NLL, nats", number(student["nll"]), number(teacher["nll"])],
    ]
    for who in ("ece", "ece_null_p95"):
        name = "ECE" if who == "ece" else "ECE by chance, p95"
        rows.append([name, percent(student[who]), percent(teacher[who])])
    rows += [
        ["label loyalty", percent(loyalty["label"]), "–"],
        ["probability loyalty", _of_one(loyalty["probability"]), "–"],
        ["KL(teacher ‖ student), nats", number(numbers["fidelity_kl"]), "–"],
        [
            "copied errors",
            f"{count(numbers['copied_errors'])} of {count(numbers['teacher_wrong'])}",
            "–",
        ],
    ]
    return rows


def _of_one(value: float | None) -> str:
    return f"{fixed(value, 3)} of 1"
