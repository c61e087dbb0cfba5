"""What every test stands on: a home of its own, no network, no chance, a browser."""

from __future__ import annotations

import ipaddress
import os
import random
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

# Before torch is imported anywhere: one thread, so that two tests at once do not fight for cores
# and sums come out in one order. Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from .forked import Forks

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EXPECT_MS = 180_000
"""How long a browser test waits for what it expects."""
SECONDS = {
    "notebook": 20.0, "recipe": 5.0, "slow": 10.0, "browser": 5.0,
    "workers": 4.0, "shell": 1.0, "train": 0.5, "hand": 0.5,
}  # fmt: skip
"""What a test with a mark or a fixture takes, roughly; all others far less."""
SEED = 20
"""Of the global generators, at the start of each test; torch's own is another in each process."""
NO_CHROMIUM = (
    "no Chromium found; install Debian's `chromium`, or name one in WORKBENCH_CHROMIUM=/path/to/it"
)

# The same examples each time, however slow the machine is; a rarer one is looked for with
# `make test ARGS="--hypothesis-profile=others"`, and by each round of `make soak`.
settings.register_profile(
    "workbench",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "others", settings.get_profile("workbench"), derandomize=False, print_blob=True
)
settings.load_profile("workbench")


def in_ci() -> bool:
    """Whether CI says it is one; there a browser test may not be skipped."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def find_chromium() -> str | None:
    """Path of a Chromium: WORKBENCH_CHROMIUM if set, else the first one on the PATH."""
    names = (named,) if (named := os.environ.get("WORKBENCH_CHROMIUM")) else CHROMIUM_NAMES
    return next((path for name in names if (path := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):  # whatever asks for a page
            item.add_marker("browser")
    if find_chromium() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))
    if "PYTEST_XDIST_WORKER" in os.environ:
        _longest_files_first(items)


def _longest_files_first(items: list[pytest.Item]) -> None:
    """A file goes to one process: a long one at the end would leave the others without work."""
    weights: Counter[Path] = Counter()
    for item in items:
        known = {*getattr(item, "fixturenames", ()), *(mark.name for mark in item.iter_markers())}
        weights[item.path] += max((SECONDS[name] for name in known & SECONDS.keys()), default=0.05)
    items.sort(key=lambda item: -weights[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test, with the fixtures it makes, draws the same, whatever ran before in its process."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(SEED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Under CI a browser test that skips, for whatever reason, fails with that reason."""
    report = yield
    if report.skipped and in_ci() and item.get_closest_marker("browser"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"A browser test may not be skipped under CI. {reason}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs, caches and hub files go to a folder of this session, never to the user's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_HOME", str(home / "workbench"))
        patch.setenv("HF_HOME", str(home / "hub"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(home / "jupyter"))
        patch.setenv("IPYTHONDIR", str(home / "ipython"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse every connection of this process that would leave the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(real: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise ConnectionRefusedError(f"tests use no network; something asked for {address}")
        return real(self, address)

    return connect


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks | None]:
    """What forks our processes for tests; None where the system cannot."""
    from .forked import LONGEST_NAME, Forks

    folder = tmp_path_factory.mktemp("forks")
    if not Forks.here() or len(os.fsencode(folder)) > LONGEST_NAME:
        yield None
        return
    started = Forks(folder)
    yield started
    started.close()


@pytest.fixture(scope="session")
def python(forks: Forks | None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a file of Python to its end, in a process of its own: ``python(*words, folder=...)``."""
    from .forked import Order
    from .waiting import PATIENCE

    def run(file: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(file), *words]
        if forks is None or not forks.fit(os.environ):
            return subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        order = Order(str(file), words, str(folder), dict(os.environ))
        return subprocess.CompletedProcess(command, *forks.run(order, timeout=PATIENCE))

    return run


@pytest.fixture(scope="module")
def forked_helpers(forks: Forks | None) -> Iterator[None]:
    """What our code starts from this very process is forked as well, in the modules that ask."""
    from .forked import STARTING

    with pytest.MonkeyPatch.context() as patch:
        if forks is not None:
            for name in STARTING:
                patch.setattr(f"{name}.subprocess", forks.helpers())
        yield


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium that browser tests drive."""
    path = find_chromium()
    if path is None:
        pytest.skip(NO_CHROMIUM)
    return path


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A running Chromium. One a module: Playwright's event loop would trip the notebooks' own."""
    from playwright.sync_api import expect, sync_playwright

    # Not Playwright's 5 s: the first page of a fresh server takes that long where two tests share
    # two cores. A condition that never comes still fails.
    expect.set_options(timeout=EXPECT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=chromium_path, args=list(CHROMIUM_FLAGS)
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page of 1440 x 900; the test fails if it logs an error or asks another machine."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(EXPECT_MS)
    fresh = context.new_page()
    errors: list[str] = []
    outside: list[str] = []
    fresh.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    fresh.on("request", lambda sent: None if _stays_here(sent.url) else outside.append(sent.url))
    yield fresh
    context.close()
    assert not errors, f"the browser console shows errors: {errors[:5]}"
    assert not outside, f"the page asked other machines: {outside[:5]}"


def _stays_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or is_loopback(parts.hostname or "")
