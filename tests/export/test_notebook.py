from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from workbench.export import export_run
from workbench.store.runs import RunRow
from workbench.store.store import Store

from ..kernels import execute


@pytest.fixture(scope="module")
def exported(
    store: Store, nasty: RunRow, tmp_path_factory: pytest.TempPathFactory
) -> nbformat.NotebookNode:
    """The hostile run as a notebook."""
    path = tmp_path_factory.mktemp("notebook") / "x.ipynb"
    return nbformat.read(export_run(store, nasty.id, "notebook", path), as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_valid(exported: nbformat.NotebookNode):
    nbformat.validate(exported)
    assert exported.nbformat == 4
    assert len({cell.id for cell in exported.cells}) == len(exported.cells)


def test_hostile_words_come_back_as_data(exported: nbformat.NotebookNode, hostile: str):
    (source,) = [text for text in code(exported) if text.startswith("EXPERIMENT")]
    (assignment,) = ast.parse(source).body
    assert isinstance(assignment, ast.Assign)
    experiment = ast.literal_eval(assignment.value)
    assert experiment["name"] == hostile
    assert [item["note"] for item in experiment["interventions"]] == [hostile, hostile]


def test_hostile_words_are_no_markup(exported: nbformat.NotebookNode, hostile: str):
    """The one cell of words that has any keeps them in a fence that they cannot close."""
    title, *others = [cell.source for cell in exported.cells if cell.cell_type == "markdown"]
    before, block, after = re.split(r"^```(?:json)?$", title, flags=re.MULTILINE)
    facts = json.loads(block)
    assert facts["name"] == hostile
    assert after == ""
    for words in (before, *others):
        assert not set("<{$%\x1b") & set(words)
    assert title.isascii()


def test_every_cell_but_the_data_is_the_same_for_every_run(
    exported: nbformat.NotebookNode, store: Store, untouched: RunRow, tmp_path: Path
):
    path = export_run(store, untouched.id, "notebook", tmp_path / "x.ipynb")
    plain = code(nbformat.read(path, as_version=4))
    mine = code(exported)
    differs = [a.partition(" ")[0] for a, b in zip(mine, plain, strict=True) if a != b]
    assert differs == ["EXPERIMENT", "EXPECTED"]


@pytest.mark.notebook
def test_it_runs_and_finds_the_recorded_numbers(
    store: Store,
    train: Callable[..., RunRow],
    hostile: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    views = ["cka", "trilateral", "calibration", "loyalty"]
    row = train({"name": hostile, "probes": views, "control": True})
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    path = export_run(store, row.id, "notebook", tmp_path / "x.ipynb")
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, resources={"metadata": {"path": tmp_path}})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    figures = [
        output
        for cell in cells
        for output in cell.outputs
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(figures) == 5
    said = "".join(output.get("text", "") for output in cells[-1].outputs)
    assert "equal, bit for bit" in said
    assert "same machine class" in said
