"""`student: {use: search}` in an experiment, and the replay of what was chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from pydantic import ValidationError

from workbench.builders import BuilderSpec, SearchSpec, choice_of
from workbench.errors import BadFile, BadModel
from workbench.models.cell_kinds import CnnCells
from workbench.models.weights import weights_hash
from workbench.registries import MODELS
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml

from ..small import SMALL
from .conftest import finish, parse

DECLARING = """
import sys
from workbench.registries import MODELS
assert {"search", "cnn-cells", "cnn-tiny", "timm/"} <= set(MODELS.names())
spec = MODELS.get("search").model_validate({"use": "search", "max_parameters": 5000})
assert spec.choices().size == 27000
import workbench.builders
assert not {"torch", "timm", "transformers", "pandas", "sklearn"} & set(sys.modules)
"""


def test_search_is_declared_and_validated_without_torch():
    subprocess.run([sys.executable, "-c", DECLARING], check=True)


def test_a_search_is_written_as_a_student_and_comes_back_as_given():
    student = {
        "use": "search",
        "space": [{"widths": [2, 4]}, {"widths": [4, 8], "kernels": [3], "depths": [1]}],
        "max_parameters": 5000,
        "score": "relation",
    }
    spec = ExperimentSpec.model_validate(
        parse_yaml(dump_yaml({**SMALL, "student": student}), source="x")
    )
    assert isinstance(spec.student, SearchSpec)
    assert spec.student.given() == student
    assert spec.given()["student"] == student


def test_every_candidate_round_trips_through_an_experiment_file_to_its_network(
    search, build_context
):
    made = search()
    for candidate in list(made.space.candidates())[::5]:
        text = dump_yaml({**SMALL, "student": made.mapping(candidate)})
        student = ExperimentSpec.model_validate(parse_yaml(text, source="x")).student
        assert student.given() == made.mapping(candidate)
        adapter = student.build(build_context.model)
        fields = made.space.fields(candidate)
        assert [adapter.network.blocks[0][0].out_channels, fields["kernels"][0]] == [
            fields["widths"][0],
            adapter.network.blocks[0][0].kernel_size[0],
        ]
        assert len(adapter.network.blocks) == sum(fields["depths"]) + 1


def test_a_search_cannot_be_built_and_says_who_resolves_it(build_context):
    with pytest.raises(BadModel, match=r"WB106.*search: not a network yet.*searches before"):
        parse().build(build_context.model)


def test_the_journalled_choice_builds_the_same_network_and_searches_nothing(
    search, build_context, monkeypatch
):
    made = finish(search())
    journalled = json.loads(json.dumps(made.result(), allow_nan=False))
    expected = weights_hash(made._built(made.best.candidate))
    monkeypatch.setattr(type(made), "step", None)
    spec = choice_of(journalled)
    assert spec.given() == journalled["student"]
    assert weights_hash(spec.build(build_context.model)) == expected
    other = replace(build_context.model, seed=build_context.model.seed + 1)
    assert weights_hash(spec.build(other)) != expected


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({}, "names no known model: student is None"),
        ({"student": "cnn-tiny"}, "names no known model"),
        ({"student": {"use": "cnn-cels"}}, "names no known model"),
        ({"student": {"use": "cnn-cells", "widths": [0]}}, r"wrong at student\.widths"),
        ({"student": {"use": "search"}}, "itself a search"),
    ],
)
def test_a_damaged_choice_is_refused(result, text):
    with pytest.raises(BadFile, match=text):
        choice_of(result)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"space": []}, "at least 1 item"),
        ({"space": [{}] * 5}, "at most 4 items"),
        ({"score": "zen"}, "'diswot', 'relation', 'semantic', 'parameters' or 'random'"),
        ({"max_parameters": 0}, "greater than or equal to 1"),
        ({"max_flops": 5}, "Did you mean 'max_macs'|Known: .*max_macs"),
        ({"batch_size": 1}, "greater than or equal to 2"),
        ({"population": 0}, "greater than or equal to 1"),
        ({"measure": -1}, "greater than or equal to 0"),
    ],
)
def test_wrong_fields_are_refused_before_anything_is_built(options, text):
    with pytest.raises(ValidationError, match=text):
        parse(**options)


def test_every_field_has_one_line_of_help():
    for name, field in SearchSpec.model_fields.items():
        assert field.description or name == "use"
    assert "two FLOPs" in SearchSpec.model_fields["max_macs"].description


def test_a_builder_is_told_from_a_model():
    assert issubclass(MODELS.get("search"), BuilderSpec)
    assert not issubclass(CnnCells, BuilderSpec)
    assert MODELS.get("cnn-cells") is CnnCells
