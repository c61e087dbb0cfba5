"""The views in JupyterLab, for ``scripts/pictures.py``: a real Lab, a notebook, a finished run.

A Lab of its own with a token, settings and kernels in a folder that goes away with it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SETTINGS = "@jupyterlab/apputils-extension/{}.jupyterlab-settings"
NOTEBOOK = "a-run.ipynb"
VIEWS = 5
PATIENCE_MS = 120_000


class Lab:
    """A running JupyterLab.

    Args:
        folder: Its notebooks and settings.
        url: Where it answers.
        token: What lets in.
    """

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self._folder, self._url, self._token = folder, url, token

    def write(self, run: str) -> None:
        """The notebook: it opens a run and shows its views."""
        cells = [_code("open", f"from workbench import Run\n\nrun = Run({run!r})")]
        cells.append(_code("show", "run.show()"))
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        about = {"kernelspec": kernel}  # without one, Lab asks
        content = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        (self._folder / "notebooks" / NOTEBOOK).write_text(json.dumps(content), "utf-8")

    def open(self, page: Any, theme: str, workspace: str) -> None:
        """Run all cells in a fresh page of that theme; returns once every view is drawn."""
        _write_settings(self._folder, "themes", {"theme": THEMES[theme]})
        page.goto(
            f"{self._url}/lab/workspaces/{workspace}/tree/{NOTEBOOK}?reset&token={self._token}"
        )
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=PATIENCE_MS)
        page.locator("text=/Python 3.*Idle/").first.wait_for(timeout=PATIENCE_MS)
        page.locator(".lm-MenuBar-item", has_text="Run").first.click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        drawn = page.locator('.wb-view[data-step]:not([data-step="-1"]) .main-svg')
        drawn.nth(VIEWS - 1).wait_for(state="attached", timeout=PATIENCE_MS)
        running = page.locator(".jp-InputPrompt", has_text="*")
        running.first.wait_for(state="detached", timeout=PATIENCE_MS)
        page.locator(".jp-Notebook .jp-CodeCell").nth(1).evaluate(
            "cell => cell.scrollIntoView({block: 'start'})"
        )


@contextmanager
def laboratory(home: Path, until: Callable[[Callable[[], bool], str], None]) -> Iterator[Lab]:
    """A Lab whose kernels know the store in a folder; gone afterwards.

    Args:
        home: Folder of the store.
        until: Waits for a condition.
    """
    with TemporaryDirectory() as name:
        folder, token = Path(name), secrets.token_urlsafe()
        _write_settings(folder, "notification", {"fetchNews": "false", "checkForUpdates": False})
        with socket.socket() as plug:
            plug.bind(("127.0.0.1", 0))
            port = plug.getsockname()[1]
        notebooks = folder / "notebooks"
        notebooks.mkdir()
        asked = ["--no-browser", "--ip=127.0.0.1", f"--port={port}"]
        asked.append(f"--ServerApp.root_dir={notebooks}")
        if os.geteuid() == 0:
            asked.append("--allow-root")
        places = {
            "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
            "JUPYTER_CONFIG_DIR": folder / "config",
            "JUPYTER_DATA_DIR": folder / "data",
            "IPYTHONDIR": folder / "ipython",
            "WORKBENCH_HOME": home,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *asked],
            env={
                **os.environ,
                "JUPYTER_TOKEN": token,
                **{key: str(at) for key, at in places.items()},
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: _listens(port), "JupyterLab")
            yield Lab(folder, f"http://127.0.0.1:{port}", token)
        finally:
            process.terminate()
            process.wait()


def _code(name: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": name, "source": source}
    return {**cell, "metadata": {}, "execution_count": None, "outputs": []}


def _write_settings(folder: Path, name: str, settings: dict[str, Any]) -> None:
    path = folder / "settings" / SETTINGS.format(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings), "utf-8")


def _listens(port: int) -> bool:
    with socket.socket() as plug:
        return plug.connect_ex(("127.0.0.1", port)) == 0
