"""Notebooks in a kernel that is met at files, not at ports.

Unusual here: Jupyter takes five free ports, lets go of them and starts the kernel, which takes them
a second later. Whoever got one of them meanwhile ends the kernel, so tests use a folder.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Any, Final

from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

CELL_SECONDS: Final = 480
"""For one cell; a cell that trains takes some twenty seconds where nothing else runs."""
LONGEST: Final = 100
"""Bytes of the name of a socket that every system takes."""


def execute(notebook: NotebookNode, **options: Any) -> None:
    """Run all cells; the outputs are written into the notebook.

    Args:
        notebook: As read.
        options: Of ``NotebookClient``.
    """
    with TemporaryDirectory(prefix="kernel-") as folder:
        at = f"{folder}/k"
        met = {"transport": "ipc", "ip": at} if len(os.fsencode(at)) < LONGEST else {}
        config = Config({"KernelManager": met})
        NotebookClient(notebook, timeout=CELL_SECONDS, config=config, **options).execute()
