"""What an experiment would cost and whether it would be refused, without starting it; in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, FailedChecks, RunFailed, WorkbenchError
from workbench.runs.launch import last_word
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store

PARTS = ("teacher", "stages", "search", "student", "probes", "controls")
"""Parts of the time that are worth a word."""


def estimate_here(
    store: Store, spec: ExperimentSpec, base: Path | None, *, settle_here: bool = True
) -> dict[str, Any]:
    """Checks and estimate, measured in this process; nothing is written.

    Args:
        store: Where stored and cached teachers are.
        spec: The experiment; of several seeds the first is measured, and the time is theirs all.
        base: Folder that relative paths start from; None for the current one.
        settle_here: Whether to take the threads and folder of a worker, for good.

    Raises:
        FailedChecks: If a check would stop the run.
    """
    from workbench.runs.keeper import StoreKeeper
    from workbench.runs.worker import settle
    from workbench.training.before import looked_ahead
    from workbench.training.device import configure, default_threads

    base = (base or Path.cwd()).resolve()
    if settle_here:
        configure(default_threads())
        settle(base)
    seeds = spec.each_seed()
    found = looked_ahead(seeds[0], StoreKeeper(store, ""), base=base)
    return {**found, "estimate": of_all(found["estimate"], len(seeds))}


def of_all(estimate: Mapping[str, Any] | None, seeds: int) -> dict[str, Any] | None:
    """The estimate of one seed for all: one teacher, and the stages that are common to them.

    Args:
        estimate: Of the first seed; None stays None.
        seeds: How many there are.
    """
    if estimate is None:
        return None
    once = estimate["shared_seconds"]
    seconds = once + seeds * (estimate["seconds"] - once)
    return {**estimate, "seconds": seconds, "disk_bytes": seeds * estimate["disk_bytes"]}


def of_rest(estimate: Mapping[str, Any] | None, start: int) -> dict[str, Any] | None:
    """The estimate of a whole run for a fork that takes up its parent's weights at a step.

    The student's steps, its looks and their snapshots are those after the step: the ones before are
    the parent's files. It searches for no student again; its controls train from step 0.

    Args:
        estimate: Of the whole run; None stays None.
        start: Step of the checkpoint that it begins with; 0 for a run from its beginning.
    """
    if estimate is None or start <= 0:
        return None if estimate is None else dict(estimate)
    whole = estimate["parts"]["student"]
    left = max(whole - start * estimate["step_seconds"], 0.0)
    share = left / whole if whole > 0 else 0.0
    parts = {name: seconds for name, seconds in estimate["parts"].items() if name != "search"}
    parts |= {"student": left, "probes": share * parts["probes"]}
    kept = (1 - share) * estimate["snapshot_bytes"]
    return {
        **estimate,
        "parts": parts,
        "seconds": sum(parts.values()),
        "disk_bytes": round(estimate["disk_bytes"] - kept),
    }


def estimate_in_fresh_process(
    store: Store, spec: ExperimentSpec, base: Path | None
) -> dict[str, Any]:
    """The same in a new interpreter, as a worker is one.

    Raises:
        BadInput: What the check or the experiment is refused for.
        RunFailed: If the process ends without a word.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workbench.runs.estimate", str(store.path), str(base or ".")],
        input=json.dumps(spec.given()),
        capture_output=True,
        text=True,
        check=False,
    )
    told = last_word(done.stdout)
    if told is None:
        raise RunFailed(f"The estimate ended without a word. {done.stderr[-500:]}")
    if "problems" in told:
        raise FailedChecks(told["problems"])
    if "refused" in told:
        raise BadInput(told["refused"])
    return told


def before_words(found: Mapping[str, Any]) -> list[str]:
    """Estimate and warnings as lines; a protocol that holds neither gives none."""
    lines = []
    estimate = found.get("estimate")
    if isinstance(estimate, Mapping):
        lines.append(estimate_words(estimate))
    for item in (found.get("checks") or {}).get("found", ()):
        lines.append(f"Check {item['check']}: {item['subject']}: {item['message']}")
    return lines


def estimate_words(estimate: Mapping[str, Any]) -> str:
    """``Estimate: 4 s (teacher 1 s, student 2 s), 750 MiB of memory, 1 MiB on disk``."""
    parts = ", ".join(
        f"{name} {span(estimate['parts'][name])}"
        for name in PARTS
        if estimate["parts"].get(name, 0) > 0
    )
    return (
        f"Estimate: {span(estimate['seconds'])}{f' ({parts})' if parts else ''}, "
        f"{size(estimate['memory_bytes'])} of memory, {size(estimate['disk_bytes'])} on disk"
    )


def span(seconds: float) -> str:
    """``0.4 s``, ``11 s``, ``4 min``, then ``2.5 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """``0.8 MiB``, ``750 MiB``, ``2.3 GiB``."""
    mebi = count / 2**20
    if mebi >= 1024:
        return f"{mebi / 1024:.1f} GiB"
    return f"{mebi:.0f} MiB" if mebi >= 10 else f"{mebi:.1f} MiB"


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.estimate STORE BASE``: the experiment comes on standard input."""
    url, base = arguments
    try:
        spec = ExperimentSpec.parse(json.loads(sys.stdin.read()), source="the experiment")
        told = estimate_here(Store(url), spec, Path(base))
    except FailedChecks as error:
        told = {"problems": error.problems}
    except WorkbenchError as error:
        told = {"refused": error.message}
    print(json.dumps(told, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
