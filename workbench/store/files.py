"""Files of a run: written whole or not at all, found again by name.

``runs/RUN/`` holds ``experiment.yaml``, ``log.txt``, ``snapshots/``, ``checkpoints/`` and, at the
end, ``student.safetensors``; ``teachers/KEY/`` holds cached teachers. Names are made by us (run
ids, step numbers, hashes), never from a user's text.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from workbench.atomic import write_atomically

BALLAST_BYTES = 1 << 20
"""Space kept aside by a running run, so that a full disk can still be reported."""


def make_ballast(folder: Path) -> None:
    """Set space aside in a run's folder."""
    write_atomically(folder / "ballast", os.urandom(BALLAST_BYTES), durable=False)


def drop_ballast(folder: Path) -> None:
    """Give the space back, so that the failure can be written down.

    Where the system refuses (the folder is gone, the disk is read-only), there is none to give.
    """
    with contextlib.suppress(OSError):
        (folder / "ballast").unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A UTF-8 text file, whole or not at all."""
    write_atomically(path, text.encode())


def write_arrays(path: Path, arrays: Mapping[str, object], metadata: Mapping[str, str]) -> int:
    """Numpy arrays as safetensors, not synced: they can be made again; returns the bytes."""
    import numpy as np
    from safetensors.numpy import save

    blob = save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(metadata)
    )
    write_atomically(path, blob, durable=False)
    return len(blob)


def read_arrays(path: Path) -> tuple[dict[str, object], dict[str, str]]:
    """Arrays and metadata of a file that :func:`write_arrays` made."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
