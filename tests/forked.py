"""A process that has imported everything and forks: a command starts in 0.1 s, not in one or four.

Run as a script it is that process. It has never run a tensor operation and has no thread, so a fork
of it is as a fresh interpreter is after its imports: its own argv, folder, environment and file
descriptors, ``python -m MODULE`` by `runpy`, and an interpreter's end (threads, atexit, flush, exit
code) without taking the modules apart, which costs a fork 0.3 s.

What only a fresh interpreter shows stays with one: what is imported when, the console script, how
an unimported module fails, an environment that Python or a library reads as it starts.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep  # its own name: some tests put another in its module
from typing import Any, NoReturn

COMMAND = "workbench.cli.main"
HELPERS = (
    "workbench.runs.draft.trial",
    "workbench.runs.explaining",
    "workbench.runs.inspecting",
    "workbench.runs.replay",
    "workbench.runs.worker",
    "workbench.runs.zygote",
)
"""What our processes start, each as ``python -P -m``."""
STARTING = (
    "workbench.runs.draft.checker",
    "workbench.runs.explainer",
    "workbench.runs.inspecting",
    "workbench.runs.launch",
)
"""The modules that start them."""
ALSO = (
    "timm",
    "workbench.dashboard.server",
    "workbench.runs.anneal",
    "workbench.runs.fork",
    "workbench.runs.keeper",
    "workbench.runs.layer_map",
    "workbench.runs.pair",
    "workbench.training.session",
)
"""What is imported only when it is needed."""
LONGEST_NAME = 90
"""Bytes of a folder's name; a system takes some hundred for a socket in it."""
LONGEST = 1 << 20
"""Bytes of an order: the words and the environment of one process."""
READ_LATE = frozenset(
    {
        "CUBLAS_WORKSPACE_CONFIG",
        "PYTEST_CURRENT_TEST",
        "PYTHONUNBUFFERED",
        "TORCHINDUCTOR_CACHE_DIR",
        "TORCHINDUCTOR_DETERMINISTIC",
        "WORKBENCH_HOME",
        "WORKBENCH_RUN_BUDGET",
        "_PYVIZ_COMMS_INSTALLED",
    }
)
"""Variables that are read when they are needed, or set by an import: they may differ."""


@dataclass(frozen=True)
class Order:
    """One process to start: ``python -m module words``.

    The module ``-c`` is a program in words, one that ends in ``.py`` a file.
    """

    module: str
    words: tuple[str, ...]
    folder: str
    env: Mapping[str, str]
    safe: bool = False
    """As ``python -P``: the working folder is no place for modules."""


class Started:
    """A forked process, as far as our code knows `subprocess.Popen`.

    Args:
        address: Path of the socket of the process that forks.
        order: What to start.
        stdin: PIPE, DEVNULL, a file, or None for that of this process.
        stdout: Likewise.
        stderr: Likewise.
        text: Whether the pipes carry text.
    """

    def __init__(
        self,
        address: str,
        order: Order,
        *,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        text: bool = False,
    ) -> None:
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(address)
        theirs, ours = zip(*map(_ends, range(3), (stdin, stdout, stderr)), strict=True)
        socket.send_fds(self._line, [json.dumps(vars(order)).encode()], theirs)
        self.pid = int(self._line.recv(32))
        for end in theirs:
            os.close(end)
        kind = "" if text else "b"
        self.stdin, self.stdout, self.stderr = (
            None if end is None else os.fdopen(end, mode + kind)
            for end, mode in zip(ours, "wrr", strict=True)
        )

    def poll(self) -> int | None:
        """The exit code, minus the signal for one that was killed; None while it runs."""
        with self._lock:
            if self.returncode is None and select.select([self._line], [], [], 0)[0]:
                self.returncode = int(self._line.recv(32))
                self._line.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; subprocess.TimeoutExpired after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            sleep(0.005)
        return code

    def send_signal(self, word: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, word)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)


def _ends(number: int, given: Any) -> tuple[int, int | None]:
    """The file descriptor for the other process, and for a pipe our end of it."""
    if given == subprocess.PIPE:
        source, sink = os.pipe()
        return (source, sink) if number == 0 else (sink, source)
    if given == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    return os.dup(number if given is None else given.fileno()), None


class Forks:
    """The process that forks, for the tests; start it once a session.

    Args:
        folder: Where its socket lies.
    """

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "forks")
        self._env = _settled(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @staticmethod
    def here() -> bool:
        """Whether this system can fork and wait for it."""
        return hasattr(os, "pidfd_open")

    def fit(self, env: Mapping[str, str]) -> bool:
        """Whether this environment differs in nothing that imports read, so that a fork will do."""
        return _settled(env) == self._env

    def start(self, order: Order, **streams: Any) -> Started:
        """Start a process and go on."""
        return Started(self._address, order, **streams)

    def run(self, order: Order, *, timeout: float) -> tuple[int, str, str]:
        """Run a process to its end; exit code, standard output, standard error.

        Raises:
            subprocess.TimeoutExpired: If it takes longer than ``timeout`` seconds; it is killed.
        """
        pipe = subprocess.PIPE
        started = self.start(order, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        try:
            said = _read_all((started.stdout, started.stderr), timeout)
            return started.wait(timeout), *said
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
            raise
        finally:
            started.stdout.close()
            started.stderr.close()

    def helpers(self) -> types.SimpleNamespace:
        """Stands for `subprocess` in our modules that start others: those are forked."""
        return _helpers(self._address, self.fit)

    def close(self) -> None:
        """Let it leave; what it has forked and still lives is killed."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def _settled(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in READ_LATE}


def _helpers(address: str, fits: Callable[[Mapping[str, str]], bool]) -> types.SimpleNamespace:
    """`subprocess`, but that what our processes start is forked where its environment fits."""

    def start(words: Sequence[str], **given: Any) -> Any:
        env = dict(given.get("env") or os.environ)
        if words[1:3] != ["-P", "-m"] or words[3] not in HELPERS or not fits(env):
            return subprocess.Popen(words, **given)
        assert given.pop("start_new_session")
        given.pop("env", None)
        order = Order(words[3], tuple(words[4:]), str(Path.cwd()), env, safe=True)
        return Started(address, order, **given)

    return types.SimpleNamespace(**{**vars(subprocess), "Popen": start})


def _read_all(pipes: tuple[Any, Any], timeout: float) -> tuple[str, str]:
    """What comes out of both pipes until all their writers have closed them."""
    said = dict.fromkeys(pipes, b"")
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as ready:
        for pipe in pipes:
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            found = ready.select(max(deadline - time.monotonic(), 0))
            if not found:
                raise subprocess.TimeoutExpired("a forked command", timeout)
            for key, _ in found:
                part = os.read(key.fd, 1 << 16)
                said[key.fileobj] += part
                if not part:
                    ready.unregister(key.fileobj)
    out, err = (said[p].decode().replace("\r\n", "\n").replace("\r", "\n") for p in pipes)
    return out, err


# -- the process itself -----------------------------------------------------------------------


def serve(address: str) -> tuple[Order, list[int]]:
    """Fork for every order until the standard input ends, then kill what still lives.

    Returns in the forked processes only.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    ready.register(0, selectors.EVENT_READ)
    lines: dict[int, tuple[int, socket.socket]] = {}
    gc.collect()
    gc.freeze()  # a collection in a fork would touch, and so copy, every page
    os.write(1, b"ready\n")
    while True:
        for key, _ in ready.select():
            if key.fd == 0:
                for pid, _ in lines.values():  # of tests that were killed before they ended them
                    for kill in (os.kill, os.killpg):  # it may not lead its own group yet
                        with contextlib.suppress(ProcessLookupError):
                            kill(pid, signal.SIGKILL)
                os._exit(0)
            if key.fd in lines:
                ready.unregister(key.fd)
                pid, line = lines.pop(key.fd)
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with contextlib.suppress(BrokenPipeError):  # who ordered it did not stay
                    line.send(str(code).encode())
                line.close()
                continue
            line, _ = listener.accept()
            message, streams, _, _ = socket.recv_fds(line, LONGEST, 3)
            pid = os.fork()
            if not pid:
                os.setsid()
                listener.close()
                line.close()
                ready.close()
                for fd, (_, other) in lines.items():
                    os.close(fd)
                    other.close()
                given: dict[str, Any] = json.loads(message)
                return Order(**{**given, "words": tuple(given["words"])}), streams
            for stream in streams:
                os.close(stream)
            line.send(str(pid).encode())
            watched = os.pidfd_open(pid)
            lines[watched] = (pid, line)
            ready.register(watched, selectors.EVENT_READ)


def become(order: Order, streams: Sequence[int]) -> NoReturn:
    """Turn into the process that was ordered, and end as it does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    imported = _settled(os.environ)
    os.environ.clear()
    os.environ.update({**imported, **order.env})  # a library may set one as it is imported
    if order.env.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)
        sys.stderr.reconfigure(write_through=True)
    os.chdir(order.folder)
    sys.path.pop(0)  # of this script
    inline, file = order.module == "-c", order.module.endswith(".py")
    path, argv = order.folder, ["-m", *order.words]
    if inline:
        path, argv = "", ["-c", *order.words[1:]]
    elif file:
        path, argv = str(Path(order.module).parent), [order.module, *order.words]
    if not order.safe:
        sys.path.insert(0, path)
    sys.argv, code = argv, 0
    try:
        if inline:
            sys.modules["__main__"] = here = types.ModuleType("__main__")
            exec(order.words[0], vars(here))  # noqa: S102  # a test's own program
        elif file:
            runpy.run_path(order.module, run_name="__main__")
        else:
            sys.modules.pop(order.module, None)  # as yet it is nobody's `__main__`
            runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = 0 if left.code is None else int(left.code)  # ours never leave with words
    except BaseException:  # the boundary of the process: os._exit would swallow it
        traceback.print_exc()
        code = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        os._exit(code)


def fork_helpers(address: str) -> None:
    """What a forked process starts is forked too: its own imports would take four seconds."""
    env = _settled(os.environ)
    for name in STARTING:
        module: Any = importlib.import_module(name)
        module.subprocess = _helpers(address, lambda found: _settled(found) == env)


def preload() -> None:
    """Import what these processes import."""
    for name in (COMMAND, *HELPERS, *ALSO):
        importlib.import_module(name)


if __name__ == "__main__":
    preload()
    fork_helpers(sys.argv[1])
    become(*serve(sys.argv[1]))
