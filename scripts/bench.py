"""Runs the benchmarks one after the other and prints measured ratio against budget.

usage: python scripts/bench.py [NAME ...] [--json FILE]

Each ``benchmarks/NAME.py`` is run alone, in a process of its own, as
``python -m benchmarks.NAME --json``; it prints one object ``{name, ratio, budget, ok, ...}``.
Exit code: 0 when every budget holds, 1 when one does not, 2 for a name that does not exist.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks named, or all of them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="benchmarks to run; default: all")
    parser.add_argument("--json", type=Path, help="write all results to this file as well")
    options = parser.parse_args(arguments)
    known = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))
    unknown = sorted(set(options.names) - set(known))
    if unknown or not known:
        print(f"No benchmark {', '.join(unknown)}. Known: {', '.join(known) or 'none'}.")
        return 2
    rows = [measure(name) for name in options.names or known]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    missed = [row["name"] for row in rows if not row["ok"]]
    print(f"{len(rows) - len(missed)} of {len(rows)} budgets hold" + _listed(missed))
    return 1 if missed else 0


def measure(name: str) -> dict[str, Any]:
    """Run one benchmark and print its line; a crash counts as a missed budget."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    try:
        row: dict[str, Any] = json.loads(done.stdout)
        line = (
            f"{row['ratio']:10.3f}  budget {row['budget']!s:>8}  {'ok' if row['ok'] else 'MISSED'}"
        )
    except (ValueError, KeyError, TypeError) as error:
        words = (done.stderr.strip() or repr(error)).splitlines()[-1]
        row = {"name": name, "ok": False, "error": words, "exit_code": done.returncode}
        line = f"FAILED (exit {done.returncode}): {words}"
    print(f"{name:28s} {line}  [{seconds:.0f} s]", flush=True)
    return row


def _listed(names: list[str]) -> str:
    return f"; missed: {', '.join(names)}" if names else ""


if __name__ == "__main__":
    raise SystemExit(main())
