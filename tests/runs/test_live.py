"""A static figure carries the conditions of its numbers; so does every export."""

from __future__ import annotations

import json

from workbench.export import export_run
from workbench.runs.run import Run
from workbench.training.card import caption, text

from .conftest import until_ended

CHANGES = {"student": "cnn-tiny", "stages.main.steps": 4, "probes": ["loyalty", "calibration"]}
LINES = 3
"""That a caption may take at the width of a figure, at most."""


def test_a_figure_has_the_protocol_in_a_line_under_it(store, accepted, workers):
    run = accepted(CHANGES)
    workers.start(store, run)
    row = until_ended(store, run)
    line = f"run {run}; {caption(row.protocol, split='probe', step=4)}"
    assert "seed 0; teacher" in line
    for view in ("loyalty", "calibration", "curves"):
        figure = Run(run, store).figure(view)
        lowest = sorted(figure.layout.annotations, key=lambda note: -note.y)[-LINES:]
        assert " ".join(note.text for note in lowest).endswith(line), "under everything else, whole"


def test_exports_begin_with_the_protocol(store, accepted, workers, tmp_path):
    run = accepted(CHANGES)
    workers.start(store, run)
    row = until_ended(store, run)
    script = export_run(store, run, "script", tmp_path / "again.py").read_text("utf-8")
    title = json.loads(export_run(store, run, "notebook", tmp_path / "again.ipynb").read_text())
    for line in text(row.protocol):
        assert json.dumps(line) in script
        assert json.dumps(line) in "".join(title["cells"][0]["source"])
