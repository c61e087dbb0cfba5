"""Asks for what is known of a draft, without torch: one process on the side for all pages.

Unusual here: a page's newest question ends its older one, in the process too, so typing costs no
more than the last edit. The process starts with the first question and ends with the server.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from workbench.runs.draft.draft import Draft
from workbench.store.store import Store

Heard = Callable[[dict[str, Any]], None]
LOG = logging.getLogger(__name__)

ANSWER_SECONDS = 120.0
"""After which a page that waits is told that nothing came."""
MOST_ASKING = 8
"""Pages whose drafts are tried at a time, each in a child with both networks."""


class Checker:
    """The one place that a server asks at; may be used from any thread.

    Args:
        store: Where cached teachers are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._heard: dict[str, tuple[int, Heard]] = {}
        self._orders: dict[str, Mapping[str, Any]] = {}
        self._clocks: dict[str, threading.Timer] = {}
        self._sender: threading.Thread | None = None
        self._number = 0
        self._closed = False

    def ask(self, who: str, draft: Draft, heard: Heard) -> None:
        """Try a draft; ``heard`` is called once, from another thread, unless ``who`` asks again.

        With more than :data:`MOST_ASKING` pages that wait it is called at once, with a refusal.

        Args:
            who: The page that asks.
            draft: A valid one: what its fields already show to be wrong needs no process.
            heard: Called with what :func:`workbench.runs.draft.trial.tried` tells.
        """
        with self._lock:
            full = who not in self._heard and len(self._heard) >= MOST_ASKING
            if not full:
                self._number += 1
                self._heard[who] = self._number, heard
                order = {
                    "who": who,
                    "number": self._number,
                    "experiment": dict(draft.data),
                    "base": str(draft.base or "."),
                }
                self._put(order)
                self._start_clock(who)
        if full:
            words = f"{MOST_ASKING} other pages wait for their checks. Change a field to ask again."
            heard({"refused": words})

    def forget(self, who: str) -> None:
        """The page has gone, or what it asked is no longer worth an answer."""
        with self._lock:
            if self._heard.pop(who, None) is None:
                return
            self._orders.pop(who, None)
            self._stop_clock(who)
            if self._process is not None:
                self._put({"who": who})

    def close(self) -> None:
        """End the process and its children: they only look, and while it loads it hears nothing."""
        with self._lock:
            self._closed = True
            self._orders.clear()
            for who in list(self._clocks):
                self._stop_clock(who)
            process, self._process = self._process, None
            self._lock.notify_all()
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if self._sender is not None:
            self._sender.join()
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended before what was left was written
                process.stdin.close()
            process.wait()
            self._listener.join()

    def _put(self, order: Mapping[str, Any]) -> None:
        """A page's newest order stands for its older ones. Called with the lock held."""
        if self._closed:
            return
        self._orders[str(order["who"])] = order
        if self._sender is None:
            self._sender = threading.Thread(target=self._send, name="draft-orders", daemon=True)
            self._sender.start()
        self._lock.notify_all()

    def _send(self) -> None:
        """In a thread: until the process has preloaded, its pipe may be full, and a write waits."""
        while True:
            with self._lock:
                while not self._orders and not self._closed:
                    self._lock.wait()
                if self._closed:
                    return
                order = self._orders.pop(next(iter(self._orders)))
            self._deliver(order)

    def _deliver(self, order: Mapping[str, Any]) -> None:
        try:
            with self._lock:
                if self._closed:
                    return
                process = self._living()
        except OSError as error:  # too many processes, or no memory
            self._let_go(f"No process could be started ({error.strerror}).")
            return
        if process.stdin is not None:
            # Where it ends meanwhile, its listener tells whoever waits.
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()

    def _living(self) -> subprocess.Popen[str]:
        """The process, started if none lives. Called with the lock held."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench.runs.draft.trial", str(self._store.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._listener = threading.Thread(
                target=self._listen, args=(self._process,), name="draft-checks", daemon=True
            )
            self._listener.start()
        return self._process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as answers:
            for line in answers:
                try:
                    answer = json.loads(line)
                except ValueError:  # a child was ended in the midst of its line, or an empty line
                    continue
                if _is_answer(answer):
                    self._answered(answer)
        if process is self._process:
            self._let_go("The process that checks has ended; the next edit starts another.")

    def _let_go(self, words: str) -> None:
        """Nothing comes any more for those who wait."""
        with self._lock:
            left = list(self._heard.values())
            self._heard.clear()
            for who in list(self._clocks):
                self._stop_clock(who)
        for _, heard in left:
            heard({"refused": words})

    def _answered(self, answer: dict[str, Any]) -> None:
        with self._lock:
            number, heard = self._heard.get(answer["who"], (0, None))
            if heard is None or number != answer["number"]:  # "ready", or asked again meanwhile
                return
            del self._heard[answer["who"]]
            self._stop_clock(answer["who"])
        heard(answer)

    def _start_clock(self, who: str) -> None:
        """Say so if this question finds no answer. Called with the lock held."""
        self._stop_clock(who)
        known = {"who": who, "number": self._number}
        late = {"refused": f"No answer for {ANSWER_SECONDS:.0f} s. Change a field to ask again."}
        clock = threading.Timer(ANSWER_SECONDS, self._answered, [{**late, **known}])
        clock.daemon = True
        self._clocks[who] = clock
        clock.start()

    def _stop_clock(self, who: str) -> None:
        clock = self._clocks.pop(who, None)
        if clock is not None:
            clock.cancel()


def _is_answer(found: object) -> bool:
    """Whether a line is a child's answer: what a user's own module prints is none."""
    return (
        isinstance(found, dict)
        and isinstance(found.get("who"), str)
        and isinstance(found.get("number"), int)
    )
