"""Recipes by name, experiments by path, and what lies between in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import BadFile, InvalidExperiment, UnknownName
from workbench.recipes import USUAL_PROBES, names, open_experiment, path_of
from workbench.specs.files import read_yaml


@pytest.mark.parametrize("name", names())
def test_every_recipe_loads_says_what_it_is_and_stays_itself(name):
    spec, recipe, base = open_experiment(name)
    assert recipe == name
    assert base == Path.cwd()
    assert spec.name == name
    assert spec.given() == read_yaml(path_of(name))
    for words in (spec.recipe.paper, spec.recipe.summary, spec.recipe.watch, spec.recipe.claim):
        assert len(words) > 10


@pytest.mark.parametrize("name", names())
def test_every_scale_of_every_recipe_is_a_valid_experiment(name):
    spec, _, _ = open_experiment(name)
    assert {"smoke", "paper"} <= set(spec.recipe.scales)
    for scale in spec.recipe.scales:
        assert spec.at_scale(scale).given() != spec.given()


def test_the_quickstart_has_the_addresses_that_everything_relies_on():
    spec, _, _ = open_experiment("quickstart")
    assert spec.stage_name == "main"
    assert list(spec.stage.terms) == ["kd", "ce"]
    assert spec.control is True
    assert spec.replace({"stages.main.optimiser.lr": 0.01}).stage.optimiser.lr == 0.01


def test_a_file_is_opened_with_the_folder_its_paths_start_from(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text(path_of("quickstart").read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    for given in ("mine.yaml", str(path)):
        spec, recipe, base = open_experiment(given)
        assert (spec.name, recipe, base) == ("quickstart", None, tmp_path)


def test_a_file_without_name_and_probes_has_its_own_and_the_usual(tmp_path):
    """As `Experiment(...)` in Python has: views of nothing would be all that its author sees."""
    text = path_of("quickstart").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("name:", "probes:"))]
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(lines), "utf-8")
    spec = open_experiment(str(path))[0]
    assert (spec.name, tuple(kind.use for kind in spec.probes)) == ("mine", USUAL_PROBES)
    path.write_text("\n".join([*lines, "probes: []"]), "utf-8")
    assert open_experiment(str(path))[0].probes == []


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ("quickstrat", UnknownName, r"No recipe 'quickstrat'\. Did you mean 'quickstart'\?"),
        ("", BadFile, "The experiment is empty text"),
        ("  ", BadFile, "The experiment is empty text"),
        ("no/such/file.yaml", BadFile, r"No file no/such/file\.yaml"),
        ("n" * 300, BadFile, r"is no path of a file here \(File name too long\)"),
        ("~nobody-of-this-name/x.yaml", BadFile, "is no path of a file here"),
        ("a\x00b", UnknownName, "No recipe"),
    ],
    ids=["near", "empty", "blank", "missing", "long", "home", "nul"],
)
def test_what_names_no_experiment_is_told(given, kind, said):
    with pytest.raises(kind, match=said):
        open_experiment(given)


def test_wrong_fields_of_a_file_are_told_with_its_name(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: x\nseed: -1\n", "utf-8")
    with pytest.raises(InvalidExperiment, match=r"wrong\.yaml has 5 problems:") as caught:
        open_experiment(str(path))
    assert "stages: is missing; it is required" in caught.value.problems
