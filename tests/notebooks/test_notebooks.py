"""Every notebook runs from top to bottom in quick mode, on a store of its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from ..kernels import execute

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDEST = 74
"""Letters of code in a cell of JupyterLab at 1024 pixels, its file browser open; more are cut."""
LONGEST = 15
PICTURES = {"application/vnd.plotly.v1+json", "image/png"}


def quick(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its one switch thrown."""
    thrown = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and "QUICK = False" in cell.source:
            cell.source = cell.source.replace("QUICK = False", "QUICK = True")
            thrown += 1
    assert thrown == 1, "a notebook has exactly one `QUICK = False`"
    return notebook


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_is_read_without_scrolling_on_a_small_screen(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            assert len(lines) <= LONGEST, cell.source
            assert max(map(len, lines)) <= WIDEST, cell.source


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_quick_mode(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    notebook = quick(nbformat.read(path, as_version=4))
    execute(notebook, resources={"metadata": {"path": tmp_path}})


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_with_its_outputs(path: Path) -> None:
    """Who reads it without running it sees the figures and the numbers."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    figures = [
        output for cell in code for output in cell.outputs if PICTURES & set(output.get("data", {}))
    ]
    assert len(figures) >= 5
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_live_views_are_kept_with_a_picture(path: Path) -> None:
    """Without a kernel a live view cannot be drawn, so the same cell holds what it showed."""
    cells = nbformat.read(path, as_version=4).cells
    told = [[output.get("data", {}) for output in cell.get("outputs", [])] for cell in cells]
    live = [kept for kept in told if any(WIDGET in data for data in kept)]
    assert live
    for kept in live:
        (picture,) = (data for data in kept if "image/png" in data)
        assert "samples" in picture["text/plain"], "what it shows, in words"
