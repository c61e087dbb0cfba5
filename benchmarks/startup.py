"""Seconds until the command answers, and that torch is not what they are spent on."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report

IMPORT = 0.5
COMMAND = 1.0
COMMANDS: dict[str, list[str]] = {"--help": ["--help"], "terms": ["terms"], "runs": ["runs"]}
HEAVY = ("torch", "pandas", "timm", "transformers", "sklearn")


def measure(rounds: int) -> dict[str, Any]:
    """The worst share of its budget over import and commands; medians over the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in ("bare", "import", *COMMANDS)}
    with TemporaryDirectory() as folder:
        store = str(Path(folder) / "wb.db")
        for _ in range(rounds):
            seconds["bare"].append(_spent(["-c", "pass"]))
            seconds["import"].append(_import())
            for name, words in COMMANDS.items():
                where = [] if name == "--help" else ["--store", store]
                seconds[name].append(_spent(["-m", "workbench.cli.main", *words, *where]))
        loaded = {name: _loaded(words, store) for name, words in COMMANDS.items()}
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    shares = {"import": medians["import"] / IMPORT}
    shares |= {name: medians[name] / COMMAND for name in COMMANDS}
    half = len(seconds["bare"]) // 2
    return report(
        "startup",
        max(shares.values()),
        1.0,
        ok=not any(loaded.values()),
        aa=statistics.median(seconds["bare"][half:]) / statistics.median(seconds["bare"][:half]),
        seconds=medians,
        budgets={"import": IMPORT, **dict.fromkeys(COMMANDS, COMMAND)},
        heavy_modules_loaded=loaded,
        rounds=rounds,
    )


def _import() -> float:
    """What ``-X importtime`` counts for ``import workbench``."""
    done = _python(["-X", "importtime", "-c", "import workbench"])
    (line,) = re.findall(r"\|\s+(\d+) \| workbench$", done.stderr, flags=re.MULTILINE)
    return int(line) / 1e6


def _spent(arguments: list[str]) -> float:
    began = time.perf_counter()
    _python(arguments)
    return time.perf_counter() - began


def _loaded(words: list[str], store: str) -> list[str]:
    """Heavy packages that a command imports."""
    where = [] if words == ["--help"] else ["--store", store]
    done = _python(["-X", "importtime", "-m", "workbench.cli.main", *words, *where])
    found = re.findall(r"\|\s+(\w+)$", done.stderr, flags=re.MULTILINE)
    return sorted(set(HEAVY) & set(found))


def _python(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
    )


if __name__ == "__main__":
    main(measure)
