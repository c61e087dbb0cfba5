"""The experiment while somebody writes it: plain data that may be wrong, and what is wrong with it.

A draft never changes; an edit gives another one, so undo is the one before. What was typed stays as
it was typed, with its error beside it, and everything else goes on.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from workbench.errors import BadInput, InvalidExperiment, WorkbenchError
from workbench.export.literal import literal
from workbench.recipes import open_experiment
from workbench.registries import TERMS
from workbench.runs.draft.loss_text import LossError, parse_loss, print_loss
from workbench.runs.draft.paths import drop, put
from workbench.runs.draft.shape import misshapen
from workbench.runs.objects import refuse_stored_objects
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml
from workbench.store.runs import RunRow
from workbench.store.store import Store

MEANT = re.compile(r"Did you mean '([^']+)'\?")
PROBLEM = re.compile(r"([A-Za-z_][\w.-]*): (.*)", re.DOTALL)
KEPT: Final = ("recipe",)
"""What an experiment says of itself: no setting of it."""
PROGRAM: Final = """from workbench import Experiment

EXPERIMENT = {experiment}

run = Experiment(**EXPERIMENT).run()
"""


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong.

    Attributes:
        path: Where, ``stages.main.terms.kd.temperature``; empty for the whole.
        message: What, and what is allowed.
        nearest: A value that would do, if one is near.
    """

    path: str
    message: str
    nearest: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"path": self.path, "message": self.message, "nearest": self.nearest}


@dataclass(frozen=True)
class Typed:
    """A text that could not be followed: it stands as it was typed, the rest is as before."""

    kind: str
    text: str
    error: Mapping[str, Any]


@dataclass(frozen=True)
class Parent:
    """What a draft forks.

    Attributes:
        run: Id of the run.
        at: Optimiser steps that both share.
    """

    run: str
    at: int


@dataclass(frozen=True)
class Draft:
    """An experiment being written.

    Attributes:
        data: As an experiment file holds it; may be wrong.
        origin: What it began with, in words: ``recipe quickstart``.
        began: The data it began with.
        recipe: Name of the recipe it began with, if it did.
        base: Folder that relative paths start from.
        typed: A text (``loss``, ``yaml``, ``python``) that could not be followed.
        parent: What it forks; None for an experiment that begins at step 0.
        chosen: Name of the stage that is edited; None, or one that is gone, is the last.
    """

    data: Mapping[str, Any]
    origin: str
    began: Mapping[str, Any]
    recipe: str | None = None
    base: Path | None = None
    typed: Typed | None = None
    parent: Parent | None = None
    chosen: str | None = None

    @classmethod
    def of_recipe(cls, name: str) -> Draft:
        """A recipe, to be changed.

        Raises:
            WorkbenchError: If there is no such recipe.
        """
        spec, recipe, base = open_experiment(name)
        return cls(spec.given(), f"recipe {name}", spec.given(), recipe, base)

    @classmethod
    def of_run(cls, store: Store, run: str) -> Draft:
        """The experiment of a run, to be started anew with changes.

        Raises:
            UnknownRun: If the store has no such run.
            NotSendable: If it holds a Python object that no file can.
        """
        row = store.runs.get(run)
        refuse_stored_objects(row.experiment, run)
        return cls.of_row(row, row.experiment, f"run {run}")

    @classmethod
    def of_row(
        cls, row: RunRow, given: Mapping[str, Any], origin: str, parent: Parent | None = None
    ) -> Draft:
        """An experiment of a run, without the changes that are planned for it.

        Args:
            row: The run: its recipe and its folder.
            given: The experiment as it stood at some step.
            origin: What the draft begins with, in words.
            parent: What it forks, if it does.
        """
        data = {key: value for key, value in given.items() if key != "interventions"}
        base = row.options.get("base")
        return cls(
            data,
            origin,
            copy.deepcopy(data),
            row.recipe,
            None if base is None else Path(base),
            parent=parent,
        )

    @classmethod
    def of_yaml(cls, text: str) -> Draft:
        """An experiment file that somebody brings.

        Raises:
            BadFile: If it is no YAML mapping.
            BadInput: If it cannot stand in a form.
        """
        data = parse_yaml(text, source="the file")
        if found := misshapen(data):
            raise BadInput(found)
        return cls(data, "a file", copy.deepcopy(data))

    # What it says

    @property
    def spec(self) -> ExperimentSpec | None:
        """The experiment, or None while something is wrong."""
        try:
            return ExperimentSpec.parse(copy.deepcopy(dict(self.data)))
        except InvalidExperiment:
            return None

    def problems(self) -> list[Wrong]:
        """What is wrong, in the order of the fields."""
        try:
            ExperimentSpec.parse(copy.deepcopy(dict(self.data)))
        except InvalidExperiment as error:
            return [_wrong(problem) for problem in error.problems]
        return []

    @property
    def stage(self) -> str:
        """Name of the stage that is edited: the chosen one, else the last."""
        stages = self.data.get("stages")
        if not isinstance(stages, Mapping) or not stages:
            return "main"
        return str(self.chosen if self.chosen in stages else next(reversed(stages)))

    @property
    def terms(self) -> Mapping[str, Any]:
        """Key to term of that stage, as far as it is a mapping."""
        stage = (self.data.get("stages") or {}).get(self.stage)
        found = stage.get("terms") if isinstance(stage, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @property
    def loss(self) -> str:
        """The loss as text: as typed while it is wrong, else printed from the terms."""
        if self.typed is not None and self.typed.kind == "loss":
            return self.typed.text
        return print_loss(self.terms)

    @property
    def yaml(self) -> str:
        """The experiment file: as typed while it is wrong."""
        if self.typed is not None and self.typed.kind == "yaml":
            return self.typed.text
        return dump_yaml(self._settings())

    @property
    def python(self) -> str:
        """The same as a program of a few lines."""
        if self.typed is not None and self.typed.kind == "python":
            return self.typed.text
        return PROGRAM.replace("{experiment}", literal(self._settings()))

    def changed(self) -> list[str]:
        """Paths whose value is another than at the beginning."""
        return sorted(_differing(self._settings(), _without_words(self.began)))

    def _settings(self) -> dict[str, Any]:
        return _without_words(self.data)

    # Edits

    def edit(self, path: str, value: Any) -> Draft:
        """Another value at a path; a kind's options that the new kind does not have are dropped.

        Raises:
            BadInput: If the form could not hold it: a number for all stages, an infinite weight.
        """
        data = copy.deepcopy(dict(self.data))
        if value is None and path.rpartition(".")[2] in ("epochs", "steps"):
            drop(data, path)
        else:
            put(data, path, value)
        stage, _, last = path.rpartition(".")
        other = {"epochs": "steps", "steps": "epochs"}.get(last)
        if other and value is not None:
            drop(data, f"{stage}.{other}")
        if found := misshapen(data):
            raise BadInput(found)
        return self._with(data)

    def clear(self, path: str) -> Draft:
        """The default at a path."""
        data = copy.deepcopy(dict(self.data))
        drop(data, path)
        return self._with(data)

    def set_loss(self, text: str) -> Draft:
        """The terms that a text says; a wrong text stays as typed, with its error."""
        try:
            terms = parse_loss(text)
        except LossError as error:
            return replace(self, typed=Typed("loss", text, error.plain()))
        return self._with_terms(terms)

    def add_term(self, use: str) -> Draft:
        """One more term, with its defaults.

        Raises:
            UnknownName: If no term is called so.
        """
        TERMS.get(use)
        key, number = use, 2
        while key in self.terms:
            key, number = f"{use}-{number}", number + 1
        return self._with_terms({**self.terms, key: {"use": use}})

    def remove_term(self, key: str) -> Draft:
        """One term less."""
        return self._with_terms({k: v for k, v in self.terms.items() if k != key})

    def set_yaml(self, text: str) -> Draft:
        """The experiment that a file says; a wrong text stays as typed."""
        try:
            data = parse_yaml(text, source="the text")
        except WorkbenchError as error:
            return replace(self, typed=Typed("yaml", text, {"message": error.message}))
        return self._read("yaml", text, data)

    def set_python(self, text: str) -> Draft:
        """The experiment that stands under ``EXPERIMENT`` in a program; only literals are read."""
        try:
            data = _read_python(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            where = f"line {line}: " if line else ""
            said = getattr(error, "msg", None) or str(error)
            error_of = {"message": f"{where}{said}.".replace("..", "."), "line": line}
            return replace(self, typed=Typed("python", text, error_of))
        return self._read("python", text, data)

    def reset(self) -> Draft:
        """As it began."""
        return replace(self, data=copy.deepcopy(dict(self.began)), typed=None)

    def _read(self, kind: str, text: str, data: Mapping[str, Any]) -> Draft:
        """What was read from a text, if a form can hold it."""
        if found := misshapen(data):
            return replace(self, typed=Typed(kind, text, {"message": found}))
        return self._with(self._with_words(data))

    def _with(self, data: Mapping[str, Any]) -> Draft:
        return replace(self, data=data, typed=None)

    def _with_terms(self, terms: Mapping[str, Any]) -> Draft:
        data = copy.deepcopy(dict(self.data))
        put(data, f"stages.{self.stage}.terms", copy.deepcopy(dict(terms)))
        return self._with(data)

    def _with_words(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What an experiment says of itself is no setting: it stays."""
        kept = {key: self.data[key] for key in KEPT if key in self.data}
        return {**data, **kept}


def lines_of(text: str) -> dict[str, int]:
    """Line of each path in YAML text, from 1; empty where it is no YAML.

    What an alias stands for has its lines once: it may contain itself.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    found: dict[str, int] = {}
    followed: set[int] = set()
    pending = [("", root)]
    while pending:
        path, node = pending.pop()
        if id(node) in followed:
            continue
        followed.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = f"{path}.{key.value}" if path else str(key.value)
                found[inner] = key.start_mark.line + 1
                pending.append((inner, value))
        elif isinstance(node, yaml.SequenceNode):
            for place, value in enumerate(node.value):
                found[f"{path}.{place}"] = value.start_mark.line + 1
                pending.append((f"{path}.{place}", value))
    return found


def _wrong(problem: str) -> Wrong:
    found = PROBLEM.fullmatch(problem)
    path, message = (found[1], found[2]) if found else ("", problem)
    near = MEANT.search(message)
    return Wrong(path, message[:1].upper() + message[1:], near[1] if near else None)


def _without_words(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in KEPT}


def _differing(mine: Any, theirs: Any, path: str = "") -> set[str]:
    """Paths below which two plain values differ."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        found: set[str] = set()
        for key in {*mine, *theirs}:
            inner = f"{path}.{key}" if path else str(key)
            found |= _differing(mine.get(key), theirs.get(key), inner)
        return found
    return set() if mine == theirs else {path}


def _read_python(text: str) -> dict[str, Any]:
    """What is assigned to ``EXPERIMENT``.

    Raises:
        SyntaxError: If it is no Python.
        ValueError: If nothing is assigned to it, or no mapping of literals.
    """
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and [
            target.id for target in node.targets if isinstance(target, ast.Name)
        ] == ["EXPERIMENT"]:
            try:
                data = ast.literal_eval(node.value)
            except (ValueError, TypeError):
                raise ValueError(
                    f"line {node.lineno}: EXPERIMENT may hold numbers, texts, lists and mappings"
                ) from None
            if isinstance(data, dict):
                return data
    raise ValueError("The text needs a line EXPERIMENT = {...}")
