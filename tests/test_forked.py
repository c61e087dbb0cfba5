"""A forked process is what a fresh interpreter would be, as far as anyone outside can see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .forked import COMMAND, Forks, Order
from .waiting import PATIENCE

LOOK = """
import atexit, os, sys
atexit.register(lambda: print("left"))
print(sys.argv[1:], os.getcwd(), os.environ["SAID"], sys.stdout.isatty(), sys.path[0] == "")
print("to the error", file=sys.stderr)
if "fail" in sys.argv:
    raise ValueError("on purpose")
sys.exit(3)
"""


@pytest.fixture
def made(forks: Forks | None) -> Forks:
    if forks is None:
        pytest.skip("this system cannot wait for a forked process")
    return forks


def both(made: Forks, folder: Path, module: str, *words: str) -> list[tuple[int, str, str]]:
    """What a process says that is forked, and one with an interpreter of its own."""
    env = {**os.environ, "SAID": "yes"}
    order = Order(module, words, str(folder), env)
    head = ["-c"] if module == "-c" else ["-m", module]
    real = subprocess.run(
        [sys.executable, *head, *words], cwd=folder, env=env, capture_output=True, text=True
    )
    return [made.run(order, timeout=PATIENCE), (real.returncode, real.stdout, real.stderr)]


def test_words_folder_environment_streams_and_end_are_those_of_a_fresh_interpreter(made, tmp_path):
    forked, fresh = both(made, tmp_path, "-c", LOOK, "é")
    assert forked == fresh
    assert forked[0] == 3
    assert forked[1].endswith("left\n")


def test_an_error_nobody_caught_exits_with_1_and_its_traceback(made, tmp_path):
    forked, fresh = both(made, tmp_path, "-c", LOOK, "fail")
    assert forked[:2] == fresh[:2]
    assert forked[0] == 1
    assert forked[2].splitlines()[-1] == fresh[2].splitlines()[-1] == "ValueError: on purpose"


def test_a_refused_command_says_the_same_in_both(made, tmp_path):
    words = ("show", "nobody", "--store", str(tmp_path / "wb.db"))
    forked, fresh = both(made, tmp_path, COMMAND, *words)
    assert forked == fresh
    assert forked[0] == 2
    assert "WB111" in forked[2]


def test_one_that_is_killed_says_by_which_signal(made, tmp_path):
    order = Order("-c", ("input()",), str(tmp_path), dict(os.environ))
    started = made.start(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.poll() is None
    started.kill()
    assert started.wait(timeout=PATIENCE) == -signal.SIGKILL
    started.stdin.close()
    started.stdout.close()


def test_what_takes_too_long_is_killed_and_reported(made, tmp_path):
    order = Order("-c", ("import time; time.sleep(600)",), str(tmp_path), dict(os.environ))
    with pytest.raises(subprocess.TimeoutExpired):
        made.run(order, timeout=0.3)


def test_an_environment_that_imports_would_read_is_not_forked(made):
    assert made.fit({**os.environ, "WORKBENCH_HOME": "/elsewhere"})
    assert not made.fit({**os.environ, "PYTHONPATH": "/elsewhere"})
    assert not made.fit({**os.environ, "WORKBENCH_IMPORT": "my_terms"})
