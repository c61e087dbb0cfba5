"""Repeats the tests marked ``slow`` until the time is up or something gives way.

usage: python scripts/soak.py [--minutes 30] [--growth 1.5]

Every round is a fresh pytest with another hypothesis seed. The soak ends with exit code 1 when
a round fails, when a process of a round is still alive 15 s after it, or when a round's peak
memory passes the first round's by more than the factor ``--growth``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
MARK = "WORKBENCH_SOAK"
GRACE_SECONDS = 15.0
POLL_SECONDS = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Run rounds until the minutes are used up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long, default 30")
    parser.add_argument("--growth", type=float, default=1.5, help="allowed peak memory, x round 1")
    options = parser.parse_args(arguments)
    end = time.monotonic() + 60.0 * options.minutes
    number, first_peak = 0, 0
    while number == 0 or time.monotonic() < end:
        number += 1
        started = time.monotonic()
        code, peak, left = run_round(number)
        first_peak = first_peak or peak
        print(
            f"round {number}: exit {code}, {time.monotonic() - started:.0f} s, "
            f"peak {peak / 2**20:.0f} MiB, {len(left)} processes left over",
            flush=True,
        )
        if code or left:
            print("".join(f"  left over: {line}\n" for line in left), end="")
            return 1
        if peak > options.growth * first_peak:
            print(f"  memory grew by more than {options.growth} x since round 1")
            return 1
    print(f"{number} rounds held for {options.minutes:g} minutes")
    return 0


def run_round(number: int) -> tuple[int, int, list[str]]:
    """One pytest run: its exit code, peak resident bytes of all its processes, left-overs."""
    mark = uuid.uuid4().hex
    examples = ["--hypothesis-profile=others", f"--hypothesis-seed={number}"]
    round_process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-m", "slow", *examples],
        cwd=ROOT,
        env={**os.environ, MARK: mark},
    )
    peak = 0
    while round_process.poll() is None:
        peak = max(peak, sum(_resident(process) for process in marked(mark)))
        time.sleep(POLL_SECONDS)
    gone_by = time.monotonic() + GRACE_SECONDS
    while (left := marked(mark)) and time.monotonic() < gone_by:
        time.sleep(POLL_SECONDS)
    return round_process.returncode, peak, [_line(process) for process in left]


def marked(mark: str) -> list[psutil.Process]:
    """Living processes that inherited this round's mark, in whatever session they are."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue  # ended meanwhile, or another user's
    return found


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _line(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return f"{process.pid} (ended while it was being named)"


if __name__ == "__main__":
    raise SystemExit(main())
