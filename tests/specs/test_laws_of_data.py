"""Laws of plain data, over everything that is registered: YAML is the identity, names resolve.

The other laws of the extension points, about what trains: ``tests/test_laws.py``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml
from workbench.specs.stage import PlayerSpec, StageSpec, TrainSpec

from ..examples import EVERYTHING, REGISTRIES, example, kind_data, kind_of

# 3. YAML to specs to YAML is the identity


@pytest.mark.parametrize(("registry", "name"), EVERYTHING)
def test_an_example_of_every_kind_survives_the_round_trip(registry, name):
    """As given, and with all defaults written out."""
    spec = example(registry, name)
    for data in (spec.given(), spec.full()):
        text = dump_yaml({"it": data})
        again = type(spec).model_validate(parse_yaml(text, source="again")["it"])
        assert again.full() == spec.full()
        assert parse_yaml(dump_yaml({"it": again.given()}), source="again") == {"it": data}


def test_an_experiment_that_uses_every_place_survives_the_round_trip():
    data = whole_experiment()
    spec = ExperimentSpec.parse(data)
    text = dump_yaml(spec.given())
    assert parse_yaml(text, source="saved") == data
    assert ExperimentSpec.parse(parse_yaml(text, source="saved")) == spec


def whole_experiment() -> dict[str, Any]:
    """Every field that picks a kind is there."""
    return {
        "name": "whole",
        "task": "classification",
        "data": {"use": "pool", "of": "digits", "foreign": "photo-patches"},
        "teacher": {
            "use": "cnn-small",
            "train": {"epochs": 1, "optimiser": {"use": "sgd", "lr": 0.1}, "schedule": "step"},
        },
        "student": {"use": "borrowed-head", "of": "cnn-tiny"},
        "stages": {
            "before": {"data": "photo-patches", "terms": {"ce": "ce"}, "steps": 1},
            "main": {
                "terms": {"fuse": {"use": "mix", "a": "kd", "b": "ce", "net": "geometry"}},
                "target": {"use": "mix", "other": "path:second.safetensors"},
                "optimiser": {"use": "adamw", "lr": 0.01},
                "schedule": "cosine",
                "policy": "random-rows",
                "players": {
                    "controller": {
                        "trains": "terms.fuse.net",
                        "terms": {"ce": "ce"},
                        "optimiser": {"use": "adamw", "lr": 0.01},
                    }
                },
                "steps": 1,
            },
        },
        "probes": ["cka"],
    }


# 5. Names resolve at load time


def picks(annotation: Any, metadata: Any = ()) -> Iterator[tuple[Pick, str]]:
    """Every pick in a field's type, with the shape it stands in: one, list or dict."""
    for item in metadata:
        if isinstance(item, Pick):
            yield item, "one"
    origin = getattr(annotation, "__origin__", None)
    for inner in get_args(annotation):
        for item in getattr(inner, "__metadata__", ()):
            if isinstance(item, Pick):
                yield item, {dict: "dict", list: "list"}.get(origin, "one")
        if get_args(inner) and not hasattr(inner, "__metadata__"):
            yield from picks(inner)


SPECS: list[type[BaseModel]] = [ExperimentSpec, StageSpec, TrainSpec, PlayerSpec]
PICKED = [
    (spec, name, shape)
    for spec in [*SPECS, *(kind_of(kind, name) for kind, name in EVERYTHING)]
    for name, field in spec.model_fields.items()
    for _, shape in picks(field.annotation, field.metadata)
]
"""Every field anywhere that takes a registered kind by name."""


def test_the_fields_that_pick_are_all_found():
    found = {f"{spec.__name__}.{name}" for spec, name, _ in PICKED}
    assert {
        "ExperimentSpec.task", "ExperimentSpec.data", "ExperimentSpec.teacher",
        "ExperimentSpec.student", "ExperimentSpec.probes", "StageSpec.terms", "StageSpec.target",
        "StageSpec.policy", "StageSpec.data", "StageSpec.optimiser", "StageSpec.schedule",
        "TrainSpec.optimiser", "TrainSpec.schedule", "PlayerSpec.terms", "PlayerSpec.optimiser",
        "MixTerm.a", "MixTerm.b", "MixTerm.net", "MixTarget.other", "Pool.of", "Pool.foreign",
    } <= found  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "field", "shape"),
    PICKED,
    ids=[f"{spec.__name__}.{field}" for spec, field, _ in PICKED],
)
def test_an_unknown_name_is_refused_at_load_time_with_the_nearest(spec, field, shape):
    info = spec.model_fields[field]
    (pick, _) = next(iter(picks(info.annotation, info.metadata)))
    known = next(
        found for found in REGISTRIES.values() if getattr(pick._resolve, "__self__", None) is found
    )
    right = max((name for name in known.names() if name[-1] not in "/:"), key=len)
    wrong = f"{right}x"
    assert difflib.get_close_matches(wrong, known.names(), 1)
    value = {"one": wrong, "list": [wrong], "dict": {"it": wrong}}[shape]
    given = {"use": "x", field: value} if issubclass(spec, Kind) else {field: value}
    with pytest.raises(ValidationError) as caught:
        spec.model_validate(given)
    said = [
        error["msg"] for error in caught.value.errors() if error["loc"] and error["loc"][0] == field
    ]
    assert any(f"No {known.kind} {wrong!r}" in text and f"{right!r}" in text for text in said), said


@pytest.mark.parametrize(("registry", "name"), EVERYTHING)
def test_an_unknown_option_of_every_kind_is_refused_with_the_nearest(registry, name):
    kind = kind_of(registry, name)
    assert issubclass(kind, Spec)
    option = max(kind.model_fields, key=len)
    with pytest.raises(ValidationError, match=rf"Did you mean '{option}'\?"):
        kind.model_validate({**kind_data(registry, name), f"{option}x": 1})
