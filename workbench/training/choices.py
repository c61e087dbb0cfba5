"""What a data policy chose, kept with the run: numbers of each epoch, and the rows themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.atomic import write_atomically
from workbench.training.checkpoint import state_bytes
from workbench.training.journal import Recorder
from workbench.training.selecting import SELECTION, Selecting

FILE = "selection.safetensors"
"""In the run's folder: ``ids`` (n,), ``epochs`` (E,), ``kept`` (E, n)."""


def record_choice(recorder: Recorder, step: int, numbers: dict[str, float]) -> None:
    """Write the numbers of a choice; a resumed run chooses again what is written already."""
    if step <= recorder.last_step(SELECTION):
        return
    recorder.metrics(
        SELECTION,
        list(numbers),
        np.asarray([step], np.int64),
        np.asarray([list(numbers.values())], np.float64),
    )


def keep_choices(folder: Path, selecting: Selecting) -> None:
    """Write which rows each epoch showed, atomically."""
    import torch

    arrays = {name: torch.from_numpy(array) for name, array in selecting.chosen().items()}
    write_atomically(folder / FILE, state_bytes(arrays))
