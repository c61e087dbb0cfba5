"""Makes every picture in ``docs/images`` anew: each place and state, both themes, wide and narrow.

    python scripts/pictures.py              all of them (about ten minutes)
    python scripts/pictures.py run compare  some

A server and a store of its own; real runs, really touched, paused and killed. Needs Chromium.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from workbench.dashboard.access import Access, kept_secret
from workbench.dashboard.pair_place import PairAsked
from workbench.dashboard.select_text import encode
from workbench.recipes import open_experiment
from workbench.runs.kept_models import kept_models
from workbench.runs.launch import FreshStarter, accept, ask_to_set, command
from workbench.runs.queue import take_back
from workbench.store import Store

from pictures_lab import laboratory  # isort: skip  (beside this script)

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 1024, "height": 768}
LOOKS = {
    "light": (WIDE, "light"),
    "dark": (WIDE, "dark"),
    "1024": (NARROW, "light"),
    "1024-dark": (NARROW, "dark"),
}
"""What a picture's name ends in, with the window and the theme."""
KD = "stages.main.terms.kd"
TOUCHES = ((90, f"{KD}.temperature", 2.0), (160, "stages.main.terms.ce.weight", 0.3),
           (250, "stages.main.optimiser.lr", 0.0025))  # fmt: skip
"""What is done to the run that is looked at, as somebody would: step, path, value."""
VIEWS = ("cka", "trilateral", "calibration", "loyalty")
PATIENCE = 240.0
SLOW, SLOWEST = 0.5, 2.0
"""Seconds a step of a run that waits for its pictures, so that it does not end before them."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb"]


@dataclass
class Studio:
    """A store with runs, its server, and a browser."""

    store: Store
    url: str
    browser: Any
    server: subprocess.Popen[bytes]

    def take(self, name: str, address: str, ready: Callable[[Any], None]) -> None:
        """One place in all looks, once it is ready."""
        for look, (window, theme) in LOOKS.items():
            page = self.page(window, theme)
            page.goto(self.url + address)
            ready(page)
            self.keep(page, f"{name}-{look}")
            page.context.close()

    def page(self, window: dict[str, int], theme: str) -> Any:
        """A fresh page of that size in that theme."""
        context = self.browser.new_context(viewport=window, reduced_motion="reduce")
        context.add_init_script(f"localStorage.setItem('workbench-theme', '{theme}')")
        return context.new_page()

    def keep(self, page: Any, name: str) -> None:
        """Write the picture once its fonts and frames have settled."""
        page.evaluate("() => document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
        page.screenshot(path=str(IMAGES / f"{name}.png"))
        print(f"  {name}.png", flush=True)

    def until(self, run: str, true: Callable[[Any], bool], what: str) -> None:
        """Wait for a run to come so far."""
        until(lambda: true(self.store.runs.get(run)), f"{run}: {what}")

    def trains(self, run: str, picture: str) -> None:
        """Refuse a picture of a run that had ended by the time it was taken."""
        row = self.store.runs.get(run)
        if row.status != "training":
            raise SystemExit(f"pictures: {picture}.png shows run {run}, which is {row.status}.")


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition, or say which one never came."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def drawn(page: Any) -> None:
    """The four views show a step; the curves stand behind a tab where it is narrow."""
    for view in VIEWS:
        page.locator(f'[data-view="{view}"][data-step]:not([data-step="-1"])').wait_for(
            state="attached", timeout=PATIENCE * 1000
        )


def compared(page: Any) -> None:
    """The layers of what is selected are there too; a process on the side compares them."""
    drawn(page)
    chip = page.locator('[data-view="cka"] .wb-chip .wb-word')
    chip.wait_for(state="attached", timeout=PATIENCE * 1000)


def toggled(page: Any) -> None:
    """Each view as it can be, too: minus the control, a class in Hellinger, bins of equal mass."""
    drawn(page)
    for view, name in (
        ("cka", "vs CE"), ("trilateral", "class"), ("trilateral", "Hellinger"),
        ("calibration", "equal mass"),
    ):  # fmt: skip
        page.locator(f'[data-view="{view}"]').get_by_role("button", name=name, exact=True).click()
    hellinger = page.get_by_role("button", name="Hellinger", exact=True, pressed=True)
    hellinger.wait_for(timeout=PATIENCE * 1000)
    page.locator('[data-view="trilateral"]').get_by_text("Hellinger, τ = 1").wait_for()


def queued(page: Any) -> None:
    """Runs that wait are on the page."""
    page.locator(".card.queue").wait_for(timeout=PATIENCE * 1000)


def shown(text: str) -> Callable[[Any], None]:
    """Ready when this stands on the page."""
    return lambda page: page.get_by_text(text).first.wait_for(timeout=PATIENCE * 1000)


# The places


def start(studio: Studio) -> None:
    """What somebody sees first, with runs that this machine has had."""
    studio.take("start", "/", shown("Recent runs"))


def new(studio: Studio) -> None:
    """An experiment being written: one term names a layer that is not there."""
    loss = "0.9 * KD(T=4) + 0.1 * CE + 0.5 * hint(stge3 -> stage1)"
    address = f"/?new=quickstart&set=teacher.train.epochs=6&set=loss={quote(loss)}"
    studio.take("new", address, shown("Use stage3"))
    name = _finished(studio)
    studio.take("fork", f"/?fork={name}&at=200", shown("Class counts agree"))


def places(studio: Studio) -> None:
    """Runs and Models, of what this store has by now, and a queue behind a run in slow motion."""
    _finished(studio)
    studio.take("runs", "/?runs=", shown("Accepted"))
    name = _go(studio, "quickstart", slow=SLOWEST)
    studio.until(name, _after(1), "step 1")
    subprocess.run(
        [sys.executable, "-m", "workbench.cli.main", "run", "quickstart", "--queue", "--detach",
         "--set", f"{KD}.temperature=1,2,4", "--store", str(studio.store.path), "--json"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    studio.take("queue", "/?runs=", queued)
    studio.trains(name, "queue")
    for row in studio.store.runs.list():
        if row.turn is not None and row.status == "queued":
            take_back(studio.store, row.id, who="mira")
    command(studio.store, name, "stop", who="mira")
    studio.until(name, lambda row: not row.active, "stopped")
    studio.take("models", "/?models=", shown("Teachers"))


def run(studio: Studio) -> None:
    """A run in slow motion that was touched three times; it stands paused for the other looks."""
    name = _go(studio, "quickstart", slow=0.08)
    for step, path, value in TOUCHES:
        studio.until(name, _after(step), f"step {step}")
        ask_to_set(studio.store, name, path, value, who="mira")
    studio.until(name, lambda row: row.step >= 300, "step 300")
    # Slower from here on, so that it still trains when the last look is drawn.
    command(studio.store, name, "pace", who="mira", seconds=SLOW)
    for look, (window, theme) in LOOKS.items():
        page = studio.page(window, theme)
        page.goto(f"{studio.url}/?run={name}")
        drawn(page)
        page.get_by_text("Reads the samples").wait_for(state="hidden", timeout=PATIENCE * 1000)
        studio.keep(page, f"run-{look}")
        studio.trains(name, f"run-{look}")
        page.context.close()
    command(studio.store, name, "pause", who="mira")
    studio.until(name, lambda row: row.status == "paused", "paused")
    studio.take("paused", f"/?run={name}", drawn)
    command(studio.store, name, "stop", who="mira")
    studio.until(name, lambda row: not row.active, "stopped")


def past(studio: Studio) -> None:
    """A finished run: its result, and one of its earlier steps."""
    name = _finished(studio)
    studio.take("finished", f"/?run={name}", drawn)
    steps = studio.store.snapshot_steps(name)
    studio.take("looking-back", f"/?run={name}&step={steps[len(steps) // 3]}", drawn)
    answers = studio.store.snapshots(name)[-1].arrays
    wrong = answers["answers.labels"] != answers["answers.student_class"]
    ids = [int(one) for one in answers["answers.ids"][wrong]]
    studio.take("selected", f"/?run={name}&select={encode(ids)}", compared)
    studio.take("toggled", f"/?run={name}", toggled)
    token = Access(kept_secret(studio.store.path.parent)).token(name)
    studio.take("view-only", f"/?run={name}&view={token}", drawn)


def compare(studio: Studio) -> None:
    """Two temperatures, three seeds each, beside each other."""
    subprocess.run(
        [sys.executable, "-m", "workbench.cli.main", "run", "quickstart", "--seeds", "3", "--set",
         f"{KD}.temperature=2,4", "--store", str(studio.store.path), "--json"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    runs = [row.id for row in studio.store.runs.list() if row.role == "student"][:6]
    studio.take("compare", f"/?compare={','.join(runs)}", shown("Fork tree"))
    models = kept_models(studio.store)
    teacher = next(one.id for one in models if one.role == "teacher")
    asked = PairAsked(teacher=teacher, student=f"run:{runs[0]}@last")
    studio.take("pair", asked.address, drawn)


def failed(studio: Studio) -> None:
    """A loss that became NaN, and a worker that was killed."""
    broken = _go(studio, "quickstart", {"student": {"use": "vit-micro"}}, slow=0.05)
    studio.until(broken, _after(40), "step 40")
    ask_to_set(studio.store, broken, "stages.main.optimiser.lr", 1000, who="mira")
    studio.until(broken, lambda row: row.status == "failed", "failed")
    studio.take("failed", f"/?run={broken}", shown("NaN"))
    name = _go(studio, "quickstart", slow=0.05)
    studio.until(name, lambda row: row.step >= 60, "step 60")
    os.kill(int(studio.store.runs.get(name).pid or 0), signal.SIGKILL)
    studio.until(name, lambda row: row.status == "interrupted", "interrupted")
    studio.take("interrupted", f"/?run={name}", drawn)


def lab(studio: Studio) -> None:
    """The same views in JupyterLab."""
    name = _finished(studio)
    with laboratory(studio.store.path.parent, until) as opened:
        opened.write(name)
        for look, (window, theme) in LOOKS.items():
            page = studio.page(window, theme)
            opened.open(page, theme, f"auto-{look}")
            studio.keep(page, f"lab-{look}")
            page.context.close()


def no_contact(studio: Studio) -> None:
    """The server stops answering while somebody looks."""
    name = _finished(studio)
    pages = {look: studio.page(*LOOKS[look]) for look in LOOKS}
    for page in pages.values():
        page.goto(f"{studio.url}/?run={name}")
        drawn(page)
    studio.server.terminate()
    studio.server.wait()
    for look, page in pages.items():
        page.get_by_text("No contact").first.wait_for(timeout=PATIENCE * 1000)
        studio.keep(page, f"no-contact-{look}")
        page.context.close()


PICTURES: dict[str, Callable[[Studio], None]] = {
    "run": run,
    "past": past,
    "compare": compare,
    "new": new,
    "places": places,
    "start": start,
    "failed": failed,
    "lab": lab,
    "no-contact": no_contact,
}
"""In this order: the last one ends the server."""


# The studio


def _go(
    studio: Studio,
    recipe: str,
    settings: dict[str, Any] | None = None,
    *,
    slow: float | None = None,
) -> str:
    """Accept a run and start its worker."""
    spec, name, base = open_experiment(recipe)
    spec = spec.replace(settings or {})
    run = accept(studio.store, spec, recipe=name, base=base, pace=slow)
    FreshStarter().start(studio.store, run)
    return run


def _after(step: int) -> Callable[[Any], bool]:
    """Whether a run has come to that step."""
    return lambda row: bool(row.step >= step)


def _finished(studio: Studio) -> str:
    """A quickstart that has ended, touched on its way; trained once."""
    for row in studio.store.runs.list():
        if row.role == "student" and row.status == "finished" and row.name == "quickstart":
            return str(row.id)
    name = _go(studio, "quickstart")
    studio.until(name, lambda row: row.status == "finished", "finished")
    return name


@contextmanager
def studio() -> Iterator[Studio]:
    """Store, server and browser; gone afterwards."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("pictures: no Chromium found; install Debian's `chromium`.")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        with socket.socket() as plug:
            plug.bind(("127.0.0.1", 0))
            port = plug.getsockname()[1]
        path = Path(folder) / "store" / "workbench.db"
        server = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli.main", "serve", "--no-browser", "--store",
             str(path), "--port", str(port)], stdout=subprocess.DEVNULL,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(url), "the server")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        store = Store(str(path))
        try:
            yield Studio(store, url, browser, server)
        finally:
            store.close()
            browser.close()
            server.terminate()
            server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own loopback URL)
            return True
    except OSError:
        return False


def main(names: list[str]) -> int:
    """Take the pictures named, or all."""
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        print(f"pictures: no {', '.join(unknown)}. There are: {', '.join(PICTURES)}.")
        return 2
    with studio() as opened:
        for name, take in PICTURES.items():
            if not names or name in names:
                print(name, flush=True)
                take(opened)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
