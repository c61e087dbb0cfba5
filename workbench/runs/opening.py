"""Data and trained models by name, outside an experiment: what a person types or has in Python.

Names are those of an experiment file. A model must have been trained already: one of random weights
is refused with the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ValidationError

from workbench import recipes
from workbench.data.spec import DataSpec
from workbench.errors import BadInput, BadModel, UnknownName
from workbench.models.kinds import ModelSpec
from workbench.recipes import open_experiment
from workbench.registries import DATA, MODELS
from workbench.runs.keeper import refuse_part
from workbench.runs.objects import data_spec, model_spec
from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.files import parse_scalar
from workbench.specs.problems import invalid
from workbench.store.store import Store

SUFFIXES = (".yaml", ".yml")
"""Of a file that is opened as an experiment."""


class Named(Spec):
    """Two models and the data they are looked at on, as plain data."""

    teacher: Annotated[Kind, Pick(MODELS)]
    student: Annotated[Kind, Pick(MODELS)]
    data: Annotated[Kind, Pick(DATA)]

    @property
    def models(self) -> dict[str, ModelSpec]:
        """Both models by role, teacher first."""
        return {who: cast(ModelSpec, getattr(self, who)) for who in ("teacher", "student")}


def named(*, teacher: Any, student: Any, data: Any, store: Store) -> tuple[Named, DataSpec, Path]:
    """Specs of two trained models and of data.

    Args:
        teacher: A model's name, ``{use: NAME, ...}`` as a mapping or its text, or a module.
        student: The same.
        data: A data set's name, ``{use: NAME, ...}`` as a mapping or its text, a recipe's name or
            the path of an experiment file (its data), or a map-style data set of (image, label).
        store: Where a data set of Python is written to.

    Returns:
        Both models, the data, and the folder that the data's relative paths start from.

    Raises:
        UnknownName: If nothing is called as the data are.
        UnknownRun: If the store has no such run.
        InvalidExperiment: Names every wrong field.
        BadModel: If a model would have random weights, or is no student of its run.
        BadFile: If an experiment file cannot be read.
    """
    given, base = _data(data, store)
    try:
        found = Named.model_validate(
            {
                "teacher": model_spec(_read(teacher, "teacher")),
                "student": model_spec(_read(student, "student")),
                "data": given,
            }
        )
    except ValidationError as error:
        raise invalid(error, source="what is to be inspected") from None
    for who, spec in found.models.items():
        refuse_untrained(who, spec)
        if spec.use.startswith("run:"):
            refuse_part(who, store, spec.use.removeprefix("run:").partition("@")[0])
    return found, cast(DataSpec, found.data), base


def refuse_untrained(who: str, spec: ModelSpec) -> None:
    """A model that nobody has trained says nothing.

    Raises:
        BadModel: Says why its weights are random, and what to name instead.
    """
    from workbench.training.teacher import RANDOM, TRAINED

    way_out = "Name a trained one: run:RUN@last|best|STEP, path:FILE or hub:ORG/NAME."
    if spec.train is not None:
        raise BadModel(f"{who}: `train` is given, but nothing is trained here. {way_out}")
    if not spec.use.startswith(TRAINED):
        raise BadModel(f"{who}: {spec.use} {RANDOM}, so there is nothing to see in it. {way_out}")
    if getattr(spec, "new_head", False):
        raise BadModel(
            f"{who}: `new_head` gives {spec.use} a classifier of random weights. Leave it out, and "
            "take data with the model's own classes."
        )


def _data(value: Any, store: Store) -> tuple[Any, Path]:
    """Data as a spec takes it, and the folder that its paths start from."""
    value = _read(value, "data")
    if isinstance(value, str) and value not in DATA:
        known = recipes.names()
        if value not in known and not value.endswith(SUFFIXES):
            raise UnknownName(
                "data set or recipe",
                value,
                [*DATA.names(), *known],
                hint="Files of your own: '{use: table, path: rows.csv}', or an experiment's .yaml.",
            )
        spec, _, base = open_experiment(value)
        return spec.data, base
    return data_spec(value, lambda: store.folder / "data"), Path.cwd()


def _read(value: Any, field: str) -> Any:
    """The mapping that text in braces stands for; anything else as it is.

    Raises:
        BadInput: If the text is no mapping.
    """
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    found = parse_scalar(value)
    if not isinstance(found, Mapping):
        raise BadInput(f"{field}: {value!r} is no mapping. Write '{{use: NAME, option: value}}'.")
    return found
