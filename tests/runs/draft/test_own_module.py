"""A module of the reader's own: what it registers is in the forms, is tried and is trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from workbench.errors import BadInput
from workbench.registry import OWN_MODULES, import_own

MODULE = '''
from pydantic import Field

from workbench.registries import TERMS


@TERMS.register("halved-ce")
class Halved(TERMS.get("ce")):
    """Cross-entropy, as another name."""

    extra: float = Field(0.5, ge=0, le=1, description="Not used.")
'''
LOOK = """
import json
from workbench.runs.draft import Draft
from workbench.runs.draft.forms import form
draft = Draft.of_recipe("quickstart").set_loss("KD + halved-ce(extra=0.25)")
fields = form(draft, "stages.main.terms.halved-ce")["fields"]
print(json.dumps([[f["label"], f["value"], f["help"]] for f in fields if f["label"] == "extra"]))
"""
TRAINED = """
from workbench.recipes import open_experiment
from workbench.runs.draft import Draft
from workbench.runs.launch import FreshStarter, accept
from workbench.runs.run import Run
from workbench.store.store import Store
import sys
store = Store(sys.argv[1])
draft = Draft.of_recipe("quickstart").set_loss("KD + halved-ce").edit("stages.main.steps", 2)
draft = draft.edit("teacher.train.epochs", 1)
run = accept(store, draft.spec, recipe=None, base=None)
FreshStarter().start(store, run)
Run(run, store).wait()
print(Run(run, store).status)
"""


@pytest.fixture
def surroundings(tmp_path):
    (tmp_path / "my_losses.py").write_text(MODULE, encoding="utf-8")
    return {**os.environ, OWN_MODULES: "my_losses", "PYTHONPATH": str(tmp_path)}


def said(code: str, surroundings: dict[str, str], *arguments: str) -> str:
    """What a program prints with that module in reach."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_term_of_ones_own_is_read_in_text_and_has_a_form(surroundings):
    assert json.loads(said(LOOK, surroundings)) == [["extra", 0.25, "Not used."]]


@pytest.mark.slow
def test_a_term_of_ones_own_is_trained_by_a_worker(surroundings, tmp_path):
    assert said(TRAINED, surroundings, str(tmp_path / "workbench.db")) == "finished"


def test_a_module_that_cannot_be_imported_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setenv(OWN_MODULES, "not_there_at_all")
    with pytest.raises(BadInput, match=r"not_there_at_all.*PYTHONPATH"):
        import_own()
