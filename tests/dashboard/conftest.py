"""A store with a finished run of the quickstart at smoke scale, and servers on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.store import Store

from ..forked import Forks, Order, Started
from ..waiting import PATIENCE, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SERVE = """
import json, pathlib, sys
from workbench.dashboard.server import Team, serve
from workbench.dashboard import server, start
start.WATCH_SECONDS = 90.0  # a busy browser needs that long for what comes before the run's end
given = json.loads(sys.argv[3])
server.UNUSED_SESSION_MS = given.pop("session_ms", server.UNUSED_SESSION_MS)
server.CHECK_SESSIONS_MS = min(server.CHECK_SESSIONS_MS, server.UNUSED_SESSION_MS)
if "basic_auth" in given:
    given["basic_auth"] = pathlib.Path(given["basic_auth"])
serve(sys.argv[1], port=int(sys.argv[2]), open_browser=False, team=Team(**given))
"""


@dataclass
class Finished:
    store: Store
    run: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """The quickstart at smoke scale, really trained, with its control; nobody writes to it.

    It is looked at on the grid's steps only: between them the machine's speed decides.
    """
    from workbench.runs.worker import work
    from workbench.training import probing

    store = Store(str(tmp_path_factory.mktemp("trained") / "workbench.db"))
    spec, recipe, base = open_experiment("quickstart")
    run = accept(store, spec.at_scale("smoke"), recipe=recipe, base=base, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "MIN_SECONDS", 1e9)
        assert work(str(store.path), run) == 0
    yield Finished(store, run)
    store.close()


@pytest.fixture(scope="module")
def finished(trained: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """The same in a store of each file's own: a note that one leaves is none of the next."""
    store = Store(str(copied(trained, tmp_path_factory.mktemp("finished") / "store")))
    yield Finished(store, trained.run)
    store.close()


def copied(finished: Finished, folder: Path) -> Path:
    """The store of a finished run for a test of its own; returns its database.

    In another process: one that reads and closes the file of an open database takes away the locks
    that this process holds on it.
    """
    source = finished.store.path
    code = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(source.parent), str(folder)], check=True)
    return folder / source.name


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


@contextmanager
def kept_port() -> Iterator[int]:
    """A port for a server, given to nobody else meanwhile.

    A server takes seconds to start, in which another test might get the port. Linux lets it listen
    beside a socket that only holds the port; elsewhere the port is let go.
    """
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plug.bind(("127.0.0.1", 0))
        port = int(plug.getsockname()[1])
        if sys.platform != "linux":
            plug.close()
        yield port


@dataclass
class Served:
    """A server process that has said that it answers."""

    process: subprocess.Popen[str] | Started
    url: str
    store: Path
    said: str


class Servers:
    """Starts servers in processes of their own; ends those that still run.

    Args:
        forks: What forks them; None for an interpreter each.
    """

    def __init__(self, forks: Forks | None) -> None:
        self._forks = forks
        self._running: list[subprocess.Popen[str] | Started] = []
        self._ports = ExitStack()

    def start(self, store: Path, *, port: int | None = None, team: object = None) -> Served:
        """One that answers.

        Args:
            store: Its database.
            port: Where; None takes a free one.
            team: Fields of ``server.Team``; none for this machine only. ``session_ms`` is the
                life of a session whose browser has gone.
        """
        port = port or self._ports.enter_context(kept_port())
        words = (SERVE, str(store), str(port), json.dumps(team or {}))
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        process: subprocess.Popen[str] | Started
        if self._forks is not None and self._forks.fit(env):
            order = Order("-c", words, str(Path.cwd()), env)
            process = self._forks.start(order, stdout=subprocess.PIPE, text=True)
        else:
            process = subprocess.Popen(
                [sys.executable, "-c", *words], stdout=subprocess.PIPE, text=True, env=env
            )
        self._running.append(process)
        assert process.stdout is not None
        return Served(process, f"http://127.0.0.1:{port}", store, process.stdout.readline())

    def end(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait(timeout=PATIENCE)
            assert process.stdout is not None
            process.stdout.close()
        self._ports.close()


@pytest.fixture
def servers(forks: Forks | None) -> Iterator[Servers]:
    """For tests that end a server or train on it."""
    started = Servers(forks)
    yield started
    started.end()


@pytest.fixture
def fresh_servers() -> Iterator[Servers]:
    """Servers with an interpreter of their own each: for tests of how one starts and leaves."""
    started = Servers(None)
    yield started
    started.end()


@pytest.fixture(scope="module")
def lasting_servers(forks: Forks | None) -> Iterator[Servers]:
    """For a module whose tests share a server of its own kind."""
    started = Servers(forks)
    yield started
    started.end()


@pytest.fixture(scope="module")
def served(finished: Finished, forks: Forks | None) -> Iterator[Served]:
    """A server on the store with the finished run, for tests that only look."""
    started = Servers(forks)
    yield started.start(finished.store.path)
    started.end()


@pytest.fixture
def quiet_end(servers: Servers, tmp_path: Path) -> Iterator[Callable[[], Served]]:
    """Starts a server; afterwards every run of its store is stopped and its worker gone."""
    served: list[Served] = []

    def start() -> Served:
        served.append(servers.start(tmp_path / "store" / "workbench.db"))
        return served[-1]

    yield start
    for one in served:
        stop_all(one)


def stop_all(served: Served) -> None:
    """Stop every run of a server's store, and wait until its worker has gone."""
    store = Store(str(served.store))
    for row in store.runs.list():
        if row.active:
            store.journal.send(row.id, "stop", who="test")
    until(lambda: not any(row.active for row in store.runs.list()), "stop")
    store.close()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Opens the page of another person, with cookies of their own; all leave at the end."""
    contexts: list[BrowserContext] = []

    def come() -> Page:
        contexts.append(browser.new_context(viewport={"width": 1440, "height": 900}))
        return contexts[-1].new_page()

    yield come
    for context in contexts:
        context.close()
