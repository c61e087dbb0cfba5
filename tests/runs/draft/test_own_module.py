"""A module of the reader's own: what it registers is in the forms, is tried and is trained."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import BadInput
from workbench.registry import OWN_MODULES, import_own

PAGE = Path(__file__).parents[3] / "docs" / "own-code.md"
MODULE = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)[0]
"""The example that a reader copies."""
OWN = """
EXPERIMENT = {
    "name": "own", "data": {"use": "stripes"},
    "teacher": {"use": "one-layer", "units": 32, "train": {"steps": 4}},
    "student": {"use": "one-layer", "units": 8},
    "stages": {"main": {"terms": {"kd": {"use": "kd"}, "own": {"use": "brier-kd"}}, "steps": 3}},
}
from workbench.runs.draft import Draft
draft = Draft.of_recipe("quickstart").set_python("EXPERIMENT = " + repr(EXPERIMENT))
"""
LOOK = f"""{OWN}
import json
from workbench.registries import DATA, MODELS
from workbench.runs.draft.forms import form, menu
draft = draft.set_loss("KD + brier-kd(T=0.25)")
places = ("stages.main.terms.brier-kd", "student", "data")
fields = [field for place in places for field in form(draft, place)["fields"]]
own = ("temperature", "units", "classes")
found = [[field["label"], field["value"]] for field in fields if field["label"] in own]
names = [one["name"] for registry in (DATA, MODELS) for one in menu(registry)]
print(json.dumps([found, [name for name in names if name in ("stripes", "one-layer")]]))
"""
TRAINED = f"""{OWN}
import json, sys
from pathlib import Path
from workbench.runs.draft.checks import rows, why_not
from workbench.runs.draft.trial import tried
from workbench.runs.launch import FreshStarter, accept
from workbench.runs.run import Run
from workbench.store.store import Store
store = Store(sys.argv[1])
told = tried(store, draft.data, Path.cwd())
run = accept(store, draft.spec, recipe=None, base=None)
FreshStarter().start(store, run)
Run(run, store).wait()
row = Run(run, store).row
print(json.dumps([why_not(rows(draft, told)), row.status, row.experiment["modules"]]))
"""
AGAIN = """
import sys
from workbench.runs.replay import replay
from workbench.store.store import Store
store = Store(sys.argv[1])
print(replay(store, store.runs.list()[0].id).equal)
"""


@pytest.fixture
def surroundings(tmp_path):
    (tmp_path / "my_parts.py").write_text(MODULE, encoding="utf-8")
    return {**os.environ, OWN_MODULES: "my_parts", "PYTHONPATH": str(tmp_path)}


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


def test_a_term_a_model_and_data_of_ones_own_have_their_places_in_the_form(surroundings):
    assert json.loads(said(LOOK, surroundings)) == [
        [["temperature", 0.25], ["units", 8], ["classes", 4]],
        ["stripes", "one-layer"],
    ]


@pytest.mark.slow
def test_a_term_a_model_and_data_of_ones_own_pass_the_checks_are_trained_and_replayed(
    surroundings, tmp_path
):
    store = str(tmp_path / "store" / "workbench.db")
    assert json.loads(said(TRAINED, surroundings, store)) == ["", "finished", ["my_parts"]]
    bare = {key: value for key, value in surroundings.items() if key != OWN_MODULES}
    assert said(AGAIN, bare, store) == "True"  # the run itself names its module


def test_a_module_that_cannot_be_imported_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setenv(OWN_MODULES, "not_there_at_all")
    with pytest.raises(BadInput, match=r"not_there_at_all.*PYTHONPATH"):
        import_own()
