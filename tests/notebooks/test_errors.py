"""A user error in a notebook is told by the reader's own lines, not by ours."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from workbench_widgets.frame import FrameError, need

from workbench.errors import UnknownName
from workbench.runs.looking import check_view

from ..kernels import execute


def test_a_notebook_prints_the_readers_lines_and_the_message() -> None:
    with pytest.raises(UnknownName) as raised:
        check_view("wedge")
    told = raised.value._render_traceback_()
    assert told[-1].startswith("UnknownName: [WB101] No view 'wedge'. Known: calibration, cka")
    (own,) = [line for line in told[:-1] if line]
    assert own.endswith('check_view("wedge")') and __file__ in own
    assert not any("looking.py" in line for line in told), "where we raise it"


def test_an_error_of_a_figure_is_told_in_the_same_form() -> None:
    """The widgets know nothing of workbench's errors; a reader sees no difference."""
    with pytest.raises(FrameError) as raised:
        need({}, "cka", {"unbiased": (2, 2)})
    told = raised.value._render_traceback_()
    assert told[-1].startswith("FrameError: cka: no array 'unbiased'; got none.")
    (own,) = [line for line in told[:-1] if line]
    assert own.endswith('need({}, "cka", {"unbiased": (2, 2)})')
    assert f"{__file__}, line " in own
    with pytest.raises(UnknownName) as other:
        check_view("wedge")
    assert len(other.value._render_traceback_()) == len(told)


@pytest.mark.notebook
def test_a_kernel_prints_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    cell = nbformat.v4.new_code_cell("from workbench import Run\n\nRun('nobody').show()")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    execute(notebook, allow_errors=True)
    (told,) = notebook.cells[0].outputs
    assert told.evalue.startswith("[WB111] No run 'nobody'")
    assert told.traceback[0] == "line 3: Run('nobody').show()"
    assert told.traceback[-1].startswith("UnknownRun: [WB111] No run 'nobody'")
    assert len(told.traceback) == 3, "as much as a reader takes in at a glance"
