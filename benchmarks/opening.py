"""Opening a run with 10^6 logged points: in the server's memory, and drawn in a browser.

A point is a step with its loss and two terms. The browser's page stands beside the page of a short
run, so that what the points cost can be told from what a page costs. Needs Chromium.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks._pairs import main, report
from benchmarks.page import FLAGS, _chromium, _finished, _load, _serving, _views_drawn
from workbench.store import Store

POINTS = 1_000_000
BLOCK = 10_000
SECONDS = 1.0
"""For which reading the run into the server's memory may take."""
READ = """
import json, sys, time
import psutil
from workbench.dashboard.live import Live
from workbench.store import Store
store = Store(sys.argv[1])
rss = lambda: psutil.Process().memory_info().rss / 2**20
before = rss()
began = time.perf_counter()
Live(store, sys.argv[2])
spent = time.perf_counter() - began
print(json.dumps({"seconds": spent, "mebibytes": rss() - before}))
"""


def measure(rounds: int) -> dict[str, Any]:
    """Seconds until the run is in memory, medians of fresh processes; and until it is drawn."""
    from playwright.sync_api import sync_playwright

    rounds = max(3, min(rounds, 5))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        short = str(Path(folder) / "short" / "workbench.db")
        run = _finished(short)
        long = Path(folder) / "long"
        shutil.copytree(Path(short).parent, long)
        _lengthen(str(long / "workbench.db"), run)
        read = [_read(str(long / "workbench.db"), run) for _ in range(rounds)]
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        drawn: dict[str, list[float]] = {"short": [], "long": []}
        for name, path in (("short", short), ("long", str(long / "workbench.db"))):
            serve = ["-m", "workbench.cli.main", "serve", "--no-browser", "--store", path, "--port"]
            with _serving(serve) as url:
                for _ in range(rounds):
                    spent = _load(browser, f"{url}/?run={run}", _views_drawn)
                    drawn[name].append(spent["drawn"])
        browser.close()
    seconds = statistics.median(one["seconds"] for one in read)
    page = {name: statistics.median(values) for name, values in drawn.items()}
    return report(
        "opening",
        seconds / SECONDS,
        1.0,
        points=POINTS,
        seconds={"read": seconds, "first_page": drawn["long"][0], "page": page},
        mebibytes=statistics.median(one["mebibytes"] for one in read),
        rounds=rounds,
    )


def _read(path: str, run: str) -> dict[str, float]:
    """One fresh process that reads the run as the server does."""
    told = subprocess.run(
        [sys.executable, "-c", READ, path, run], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(told.stdout)
    return found


def _lengthen(path: str, run: str) -> None:
    """Log as many steps more, as a worker logs them: block by block."""
    with closing(sqlite3.connect(path)) as database, database:  # its worker has ended: we log on
        database.execute("UPDATE runs SET owner = NULL WHERE id = ?", (run,))
    store = Store(path)
    names = list(store.metrics.read(run, "train").columns)
    recorder = store.recorder(run)
    last = recorder.last_step("train")
    noise = np.random.default_rng(0)
    for start in range(last + 1, last + 1 + POINTS, BLOCK):
        steps = np.arange(start, start + BLOCK)
        values = 1 / np.sqrt(steps)[:, None] + 0.01 * noise.random((BLOCK, len(names)))
        recorder.metrics("train", names, steps, values, step=int(steps[-1]))
    store.close()


if __name__ == "__main__":
    main(measure)
