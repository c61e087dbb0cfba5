"""A run as a notebook: the experiment, the training live, the figures, the numbers compared.

Unusual here: the file is written as plain JSON of the notebook format 4.5; no library is needed,
and cells get numbers as ids, so the same run gives the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.export.literal import literal
from workbench.export.story import Story

FIGURES = {
    "cka": "**Layer similarity.** Dark: both layers find the same samples alike.",
    "trilateral": "**Student · Teacher · Truth.** Each image is a point; G is the truth. Near G: "
    "right. Along the T edge: like the teacher.",
    "calibration": "**Calibration.** On the dotted line confidence equals accuracy; the band is "
    "what chance alone explains.",
    "loyalty": "**Loyalty and knowledge.** Where the student follows the teacher, and where it "
    "should not have.",
    "curves": "**Curves.** Accuracy on the probe split, and what each weighted term still costs.",
}
"""What to look for in each view, in the order in which they are shown."""
TITLE = """# A run of the workbench, trained again

**Question.** Does this experiment give here the numbers that it gave where it was recorded?

Wall time where it was recorded: about {seconds:.0f} s. What was recorded:

```json
{facts}
```"""
IMPORTS = """from pathlib import Path

import pandas as pd

from workbench import Run, Store
from workbench.runs.launch import FreshStarter, accept
from workbench.runs.objects import stored_spec"""
SETTINGS = """STORE = {store}  # where the run goes; None: the store that `workbench serve` shows
BASE = {base}  # folder of relative paths and modules
THREADS = {threads}  # as recorded: another number may give other bits"""
START = """store = Store(STORE)
spec = stored_spec(EXPERIMENT, source="the experiment of this notebook", base=BASE)
run = Run(accept(store, spec, base=Path(BASE), threads=THREADS), store)
FreshStarter().start(store, run.id)
run.show()"""
WAIT = """run.wait()
run"""
NUMBERS = """recorded = pd.DataFrame(EXPECTED["metrics"]).T
here = pd.DataFrame(run.result["metrics"]).T
pd.concat({"recorded": recorded, "here": here}, axis=1)"""
COMPARE = """different = [
    f"{part} {name}: recorded {value}, here {run.result['metrics'][part][name]}"
    for part, numbers in EXPECTED["metrics"].items()
    for name, value in (numbers or {}).items()
    if run.result["metrics"][part][name] != value
]
if run.result["weights"] != EXPECTED["weights"]:
    different.insert(0, "the student's weights are not the recorded ones")
now = run.result["protocol"]
elsewhere = [
    f"{name}: recorded with {value}, here {now[field].get(name)}"
    for field in ("versions", "machine")
    for name, value in RECORDED[field].items()
    if now[field].get(name) != value
]
print("\\n".join(different) or "equal, bit for bit: weights and every number")
print("\\n".join(elsewhere) or "on the same machine class and build")
assert not different or elsewhere"""


def notebook(story: Story, expected: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    """JSON of the notebook.

    Args:
        story: The run as plain data.
        expected: Numbers to compare with.
        recorded: When and on what they were made.
    """
    base = str(story.base) if story.needs_base else "."
    cells = [
        _words(_title(story, recorded)),
        _code(IMPORTS),
        _code(
            SETTINGS.format(
                store=literal(story.store),
                base=literal(base),
                threads=literal(recorded["threads"]),
            )
        ),
        _words(
            "The experiment is plain data. `interventions` is what changed in mid-run, by hand or "
            "as planned: value by path, and the step from which it held."
        ),
        _code(f"EXPERIMENT = {literal(story.experiment)}"),
        _words(
            "What came out: the student's weights as a hash, and each part's numbers on the test "
            "split, read once at the last step."
        ),
        _code(f"EXPECTED = {literal(expected)}\nRECORDED = {literal(recorded)}"),
        _words("A worker process trains; the five views follow it."),
        _code(START),
        _words("Wait for the end: the student, then the control if there is one."),
        _code(WAIT),
    ]
    for view in _views(story.experiment):
        cells += [_words(FIGURES[view]), _code(f"run.figure({literal(view)})")]
    cells += [
        _words("## What we saw\n\nThe numbers, beside the recorded ones."),
        _code(NUMBERS),
        _words("Equal bits are promised on the same machine class, torch build and threads."),
        _code(COMPARE),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:02d}"
    content = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _title(story: Story, recorded: Mapping[str, Any]) -> str:
    told = ("run", "recipe", "paper", "ended", "threads", "versions", "protocol")
    facts = {"name": story.experiment["name"], **{name: recorded[name] for name in told}}
    # JSON in ASCII, a key a line: no text of a user can end the block or begin markup
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()]
    return TITLE.format(
        seconds=float(recorded["seconds"]),
        facts="{\n" + ",\n".join(lines) + "\n}",
    )


def _views(experiment: Mapping[str, Any]) -> list[str]:
    """Views that have something to show."""
    probed = {
        probe if isinstance(probe, str) else probe.get("use")
        for probe in experiment.get("probes") or ()
    }
    return [view for view in FIGURES if view in probed or view == "curves"]


def _words(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(source)}


def _code(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": _lines(source),
    }


def _lines(source: str) -> list[str]:
    """As the format keeps a text: lines with their ends; only a newline ends one."""
    lines = source.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + lines[-1:]
