"""A process that has imported everything and waits: a worker forked from it steps within 0.1 s.

It has never run a tensor operation (a thread pool used before a fork hangs the child) and reads
one JSON line a process from its standard input; at the end of the input it leaves. The workers
stay. A line with ``explain`` asks for a process that answers, at the socket it names.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from workbench.runs.explaining import explain
from workbench.runs.forked import come
from workbench.runs.worker import NICENESS, work_through


def serve() -> None:
    """Preload, say ``ready``, then fork a worker for each line until the input ends."""
    import timm  # noqa: F401
    import torch  # noqa: F401

    import workbench.runs.keeper
    import workbench.runs.layer_map
    import workbench.training.session  # noqa: F401

    # Whoever started this may ignore its children, which is inherited: nobody could be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            child = os.fork()
        except OSError as error:  # too many processes, or no memory; the next order may find some
            _refuse(order, error)
            continue
        if child:
            os.waitpid(child, 0)  # the middle process leaves at once; its child belongs to init
            continue
        os.setsid()
        if os.fork():
            os._exit(0)
        if "explain" in order:
            _become_explainer(order)
        _become_worker(order)


def _refuse(order: dict[str, str], error: OSError) -> None:
    """Say in a run's log why nobody trains it; who asks for an explainer soon asks elsewhere."""
    if "log" not in order:
        return
    words = f"No worker could be started ({error.strerror}). `workbench resume` tries again.\n"
    with contextlib.suppress(OSError):  # the same machine may have no file to give either
        log = Path(order["log"])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(words)


def _become_explainer(order: dict[str, str]) -> None:
    """Give up everything of the zygote but its modules, then answer until nobody asks."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        with come(order["at"]) as connection:
            lines, out = connection.makefile("r", encoding="utf-8"), connection.makefile("wb")
            code = explain(order["explain"], lines, out, warm=True)
    except OSError:  # whoever asked has gone meanwhile
        code = 0
    finally:
        os._exit(code)


def _become_worker(order: dict[str, str]) -> None:
    """Give up everything of the zygote but its modules, then train."""
    code = 1
    try:
        log = Path(order["log"])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.nice(NICENESS)
        code = work_through(order["store"], order["run"])
    except BaseException:  # the boundary of the process: os._exit would swallow it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
