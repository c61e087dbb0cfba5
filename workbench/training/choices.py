"""What a data policy chose, kept with the run: numbers of each epoch, and the rows themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.atomic import write_atomically
from workbench.errors import RefusedCommand
from workbench.training.checkpoint import read_state, state_bytes
from workbench.training.journal import Recorder
from workbench.training.selecting import SELECTION, Selecting

FILE = "selection.safetensors"
"""In the run's folder: ``ids`` (N,), ``epochs`` (E,), ``kept`` (E, N)."""


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


def read_choices(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """What :func:`keep_choices` wrote.

    Raises:
        RefusedCommand: If there is no such file.
        BadFile: If it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise RefusedCommand(
            f"No selection is kept in {folder}: it is written when a run ends under a data policy "
            "(`stages.NAME.policy`). The series `selection` has the numbers of each epoch so far."
        )
    return {name: tensor.numpy() for name, tensor in read_state(path).items()}
