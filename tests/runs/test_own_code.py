"""Own code is named by its module: in the experiment, in a file that names it, from a cell."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Literal

import pytest

from workbench import registry
from workbench.errors import BadInput, InvalidExperiment, NotSendable
from workbench.recipes import open_experiment
from workbench.registries import TERMS
from workbench.runs.cells import module_from
from workbench.runs.own_code import with_modules
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml

from ..small import SMALL

CELL = '''
from workbench.registries import TERMS

@TERMS.register("cell-ce")
class CellCe(TERMS.get("ce")):
    """Cross-entropy, from a cell."""
'''
NOTEBOOK = r"""
import sys
from IPython.core.interactiveshell import InteractiveShell
from workbench.errors import NotSendable
shell = InteractiveShell.instance()
cell = sys.argv[2]
experiment = '''
from workbench import Experiment
made = Experiment(
    data={"use": "digits", "limit": 300},
    teacher={"use": "cnn-small", "width": 4, "train": {"steps": 2}},
    student={"use": "cnn-tiny", "width": 2},
    terms={"kd": {"use": "kd"}, "own": {"use": "cell-ce"}}, steps=2, probes=[], store=%r)
''' % sys.argv[1]
def do(code):
    shell.run_cell(code).raise_error()
do(cell)
do(experiment)
try:
    made = shell.user_ns["made"].run(progress=False)
    sys.exit("a class without a module was sent")
except NotSendable as error:
    assert "%%workbench_module" in str(error)
do("from workbench.registries import TERMS; TERMS._entries.pop('cell-ce')")  # as after a restart
do("%load_ext workbench")
do("%%workbench_module my_cell\n" + cell)
do("%%workbench_module my_cell\n" + cell)  # a cell is run again and again
do(experiment)
run = shell.user_ns["made"].run(progress=False)
print(run.status, run.experiment.modules, shell.user_ns["CellCe"].__module__)
"""


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """What a cell's module changes of this process is put back."""
    monkeypatch.setattr(TERMS, "_entries", dict(TERMS._entries))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("own_cell", "own_file"):
        sys.modules.pop(name, None)


def small(use: str, **more):
    """The small experiment with one term of this kind."""
    stage = {**SMALL["stages"]["main"], "terms": {"own": {"use": use}}}
    return {**SMALL, "stages": {"main": stage}, **more}


def test_an_experiment_of_ours_names_no_module():
    spec = open_experiment("quickstart")[0]
    assert with_modules(spec) is spec


def test_a_cell_becomes_a_module_that_the_experiment_names(clean):
    module = module_from(CELL, "own_cell")
    assert (clean / "own_cell.py").read_text().endswith(CELL.rstrip() + "\n")
    spec = ExperimentSpec.parse(small("cell-ce"))
    assert with_modules(spec).modules == ["own_cell"]
    assert with_modules(with_modules(spec)).modules == ["own_cell"]
    assert str(clean) in os.environ["PYTHONPATH"]
    changed = module_from(CELL + "ANSWER = 42\n", "own_cell")
    assert (changed.ANSWER, TERMS.get("cell-ce")) == (42, changed.CellCe)
    assert changed.CellCe is not module.CellCe


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a-b", "letters, digits"),
        ("class", "letters, digits"),
        ("json", "already"),
        ("own_file", "not written by"),
    ],
)
def test_a_cell_never_takes_the_place_of_what_is_there(clean, name, says):
    (clean / "own_file.py").write_text("MINE = 1\n")
    sys.path.append(str(clean))
    with pytest.raises(BadInput, match=says):
        module_from(CELL, name)
    assert (clean / "own_file.py").read_text() == "MINE = 1\n"


def test_a_file_finds_the_module_that_it_names_beside_it(clean):
    folder = clean / "there"
    folder.mkdir()
    (folder / "own_file.py").write_text(CELL)
    (folder / "mine.yaml").write_text(dump_yaml(small("cell-ce", modules=["own_file"])))
    spec, _, base = open_experiment(str(folder / "mine.yaml"))
    assert (spec.modules, base) == (["own_file"], folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [("not_there_at_all", r"could not be imported.*PYTHONPATH"), ("../evil", "no module's name")],
)
def test_a_module_that_is_not_there_is_named_before_its_names_are_missed(name, says):
    with pytest.raises(InvalidExperiment, match=says):
        ExperimentSpec.parse(small("cell-ce", modules=[name]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "\nraise RuntimeError('no licence')\n",
            r"RuntimeError: no licence\. Mend line 2 of",
        ),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3\. Mend line 2 of .*own_file.py"),
        ("def f(:\n", r"SyntaxError: .* Mend line 1 of .*own_file.py"),
        ("import not_there_at_all\n", r"'not_there_at_all'\. line 1 of .*own_file.py needs it"),
    ],
)
def test_a_module_that_breaks_is_told_with_kind_and_line(clean, monkeypatch, text, says):
    """It was found, so a folder on PYTHONPATH would not help."""
    (clean / "own_file.py").write_text(text)
    sys.path.append(str(clean))
    with pytest.raises(InvalidExperiment, match=says) as told:
        ExperimentSpec.parse(small("ce", modules=["own_file"]))
    assert "PYTHONPATH" not in str(told.value)
    monkeypatch.setenv(registry.OWN_MODULES, "own_file")
    with pytest.raises(BadInput, match=says):
        registry.import_own()


def test_what_a_module_prints_is_kept_out_of_our_answers(clean, capsys):
    """`check --json` is one JSON document whatever a module says."""
    (clean / "own_file.py").write_text("print('hello')\n")
    sys.path.append(str(clean))
    ExperimentSpec.parse(small("ce", modules=["own_file"]))
    assert capsys.readouterr() == ("", "hello\n")


def test_on_a_server_an_experiment_cannot_have_a_module_imported(clean, monkeypatch):
    (clean / "own_file.py").write_text("raise SystemExit('imported')\n")
    sys.path.append(str(clean))
    monkeypatch.setattr(registry, "_KNOWN_ONLY", threading.Event())
    registry.only_known()
    with pytest.raises(InvalidExperiment, match="serve --import own_file"):
        ExperimentSpec.parse(small("ce", modules=["own_file"]))


def test_a_class_without_a_module_is_refused_with_the_way_out(clean):
    class Loose(TERMS.get("ce")):
        """Defined where no other process finds it."""

        use: Literal["loose-ce"] = "loose-ce"

    Loose.__module__ = "__main__"
    TERMS.register("loose-ce")(Loose)
    with pytest.raises(NotSendable, match=r"stages.main.terms.own: 'loose-ce'.*%%workbench_module"):
        with_modules(ExperimentSpec.parse(small("loose-ce")))


@pytest.mark.slow
def test_what_a_notebook_s_cell_registers_is_trained_once_it_is_a_module(tmp_path):
    store = str(tmp_path / "store" / "workbench.db")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, store, CELL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip().splitlines()[-1] == "finished ['my_cell'] my_cell"
