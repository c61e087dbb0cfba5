"""A reader's own code is told by what it does; the workbench's and its libraries' by versions."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from workbench.registries import MODELS, OPTIMISERS, TERMS
from workbench.specs.code import kinds, own_code
from workbench.specs.experiment import ExperimentSpec

from ..small import SMALL

CELL = """
class Net:
    def forward(self, x):
        return [max(value, {floor}) for value in x]
"""


def in_a_cell(number: int, floor: int, first: str = "") -> type:
    """As a notebook defines it, in its n-th cell."""
    names = {"__name__": "__main__"}
    exec(compile(first + CELL.format(floor=floor), f"<cell {number}>", "exec"), names)  # noqa: S102
    return names["Net"]


def test_a_class_of_a_cell_is_told_by_its_methods_wherever_they_stand():
    first, again, edited = in_a_cell(1, 0), in_a_cell(2, 0, "seed = 3\n\n"), in_a_cell(3, 1)
    assert own_code([first]) == own_code([again])
    assert own_code([first]).keys() == own_code([edited]).keys() == {"__main__.Net"}
    assert own_code([first]) != own_code([edited])


def test_a_class_of_a_script_is_told_alike_by_processes_that_order_sets_otherwise():
    code = (
        "from workbench.specs.code import own_code\n"
        "class Net:\n"
        "    def forward(self, x): return x in {'relu', 'gelu', 'silu', 'tanh'}\n"
        "print(own_code([Net]))\n"
    )
    said = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_a_class_of_a_module_is_told_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_layers.py"
    file.write_text("class Base: ...\n")
    base = importlib.import_module("own_layers").Base
    derived = type("Derived", (base,), {"__module__": "workbench.models.nets"})
    found = own_code([derived])
    file.write_text("class Base: value = 1\n")
    assert found.keys() == {"own_layers"} and own_code([derived]) != found
    file.unlink()
    assert own_code([derived]) == {}
    sys.modules.pop("own_layers")


@pytest.mark.parametrize("registry", [MODELS, OPTIMISERS, TERMS])
def test_ours_and_what_it_derives_from_say_nothing(registry):
    assert own_code(registry.get(name) for name in registry.names() if name[-1] not in ":/") == {}


def test_every_kind_is_found_with_its_place():
    found = {path: kind.use for path, kind in kinds(ExperimentSpec.parse(SMALL))}
    assert found["stages.main.terms.kd"] == "kd"
    assert found["teacher.train.optimiser"] == found["stages.main.optimiser"] == "adamw"
