"""Python objects in an experiment: your own module as teacher or student, your own data set.

A data set is written into the store as plain arrays, so a worker can read it. A module cannot leave
its process without pickle; an experiment that holds one trains where it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr

from workbench.errors import BadInput, NotSendable
from workbench.models.kinds import ModelSpec
from workbench.registry import look_in
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.timeline import stands, timeline

if TYPE_CHECKING:
    from workbench.models.adapter import ModelAdapter
    from workbench.models.facts import ModelContext


AGAIN = "Run the experiment again in Python, with the module."


class ObjectModel(ModelSpec):
    """A user's module; every build copies it: student and control start from the same weights."""

    use: Literal["object"] = "object"
    of: str = Field(description="Class of the module.")
    _module: Any = PrivateAttr(default=None)

    @classmethod
    def around(cls, module: Any, options: Mapping[str, Any]) -> ObjectModel:
        """A spec around a module, with options such as ``train``."""
        spec = cls.model_validate({**options, "of": type(module).__qualname__})
        spec._module = module
        return spec

    def build(self, context: ModelContext) -> ModelAdapter:
        """An adapter around a copy of the module.

        Raises:
            NotSendable: If the spec was read back from a store, which has no module.
        """
        from workbench.models.adapter import wrap_module

        if self._module is None:
            raise NotSendable(f"The {self.of} object is gone with the process it lived in. {AGAIN}")
        return wrap_module(copy.deepcopy(self._module), context)

    def given(self) -> dict[str, Any]:
        """What a reader can be told of it."""
        return {**super().given(), "use": "object"}

    def full(self) -> dict[str, Any]:
        """Content: structure and weights, so that a cached teacher is never of another module."""
        from workbench.models.weights import weights_hash

        return {
            **super().full(),
            "network": repr(self._module),
            "weights": weights_hash(self._module),
        }


def model_spec(value: Any) -> Any:
    """A model as the spec takes it; a module becomes an :class:`ObjectModel`.

    Accepts a name, a mapping, a spec, a module, or ``{"use": module, "train": {...}}``.
    """
    if isinstance(value, Mapping) and _is_module(value.get("use")):
        return ObjectModel.around(value["use"], {k: v for k, v in value.items() if k != "use"})
    return ObjectModel.around(value, {}) if _is_module(value) else value


def data_spec(value: Any, place: Callable[[], Path]) -> Any:
    """Data as the spec takes it; a map-style data set is written to a folder as plain arrays.

    ``place`` gives that folder; it is asked only where there is something to write.

    Accepts a name, a mapping, a spec, a data set, or ``{"use": data set, "labels_per_class": 5}``.
    """
    options: dict[str, Any] = {}
    if isinstance(value, Mapping) and not isinstance(value.get("use"), str):
        options = {key: item for key, item in value.items() if key not in ("use", "test")}
        value, test = value.get("use"), value.get("test")
    else:
        test = None
    if value is None or isinstance(value, (str, Mapping)) or hasattr(value, "model_fields"):
        return value
    if not (hasattr(value, "__getitem__") and hasattr(value, "__len__")):
        raise BadInput(
            f"data: {type(value).__name__} is no data set. Give a name, a mapping, or an object "
            "with len() and [row] -> (image, label)."
        )
    from workbench.data.arrays import from_dataset, save_arrays

    examples = from_dataset(value, name=type(value).__name__, test=test)
    folder = place()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{examples.content_hash[:32]}.npz"
    if not path.is_file():
        save_arrays(examples, path)
    return {"use": "arrays", "path": str(path), **options}


def refuse_objects(spec: Any, what: str) -> None:
    """Raise if an experiment holds a module that exists in this process only.

    Raises:
        NotSendable: Says which field, and what to do.
    """
    for field in ("teacher", "student"):
        model = getattr(spec, field)
        if isinstance(model, ObjectModel):
            raise NotSendable(
                f"{field}: a {model.of} object cannot be {what}. Save its "
                "weights with workbench.models.weights.save_weights and name the file with path:, "
                "or register the class as a model."
            )


def stored_spec(data: Mapping[str, Any], *, source: str, base: str | None = None) -> ExperimentSpec:
    """The experiment of a stored run; where it held a module, the spec says of which class.

    Args:
        data: As the store has it.
        source: For messages.
        base: Folder of the experiment file, in which the modules that it names are looked for too.
    """
    read = dict(data)
    if read.get("modules") and base is not None:
        look_in(base)
    for field in ("teacher", "student"):
        if _is_object(read.get(field)):
            read[field] = ObjectModel.model_validate(read[field])
    return ExperimentSpec.parse(read, source=source)


def spec_of(row: RunRow) -> ExperimentSpec:
    """The experiment that a run was started from.

    Raises:
        InvalidExperiment: If this workbench cannot read it: a module of its own is not here.
    """
    source, base = f"the experiment of run {row.id}", row.options.get("base")
    return stored_spec(row.experiment, source=source, base=base)


def as_it_stands(store: Store, run: str) -> ExperimentSpec:
    """A run's experiment with what was done to it so far."""
    spec = spec_of(store.runs.get(run))
    items = timeline(spec, store.journal.events(run))
    return stands(spec, [item for item in items if item.journalled])


def refuse_stored_objects(data: Mapping[str, Any], run: str) -> None:
    """Raise if a stored run needs a module that no other process has.

    Raises:
        NotSendable: Says which field, and what to do.
    """
    for field in ("teacher", "student"):
        if _is_object(data.get(field)):
            raise NotSendable(
                f"Run {run} cannot go on: its {field}, a {data[field].get('of')} object, is gone "
                f"with the process it lived in. {AGAIN}"
            )


def holds_objects(spec: Any) -> bool:
    """Whether an experiment can train in this process only."""
    return any(isinstance(getattr(spec, field), ObjectModel) for field in ("teacher", "student"))


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("use") == "object"


def _is_module(value: Any) -> bool:
    # asked of every value, so without importing torch: a module's classes say it
    return any(base.__module__ == "torch.nn.modules.module" for base in type(value).__mro__)
