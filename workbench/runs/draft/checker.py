"""Asks for what is known of a draft, without torch: one process on the side for all pages.

Unusual here: a page's newest question ends its older one, in the process too, so typing costs no
more than the last edit. The process starts with the first question and ends with the server.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from workbench.runs.draft.draft import Draft
from workbench.store.store import Store

Heard = Callable[[dict[str, Any]], None]
LOG = logging.getLogger(__name__)


class Checker:
    """The one place that a server asks at; may be used from any thread.

    Args:
        store: Where cached teachers are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._heard: dict[str, tuple[int, Heard]] = {}
        self._number = 0
        self._closed = False

    def ask(self, who: str, draft: Draft, heard: Heard) -> None:
        """Try a draft; ``heard`` is called once, from another thread, unless ``who`` asks again.

        Args:
            who: The page that asks.
            draft: A valid one: what its fields already show to be wrong needs no process.
            heard: Called with what :func:`workbench.runs.draft.trial.tried` tells.
        """
        with self._lock:
            self._number += 1
            self._heard[who] = self._number, heard
            order = {
                "who": who,
                "number": self._number,
                "experiment": dict(draft.data),
                "base": str(draft.base or "."),
            }
            self._send(order)

    def forget(self, who: str) -> None:
        """The page has gone, or what it asked is no longer worth an answer."""
        with self._lock:
            if self._heard.pop(who, None) is not None and self._process is not None:
                self._send({"who": who})

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait(timeout=20)
            self._listener.join(timeout=20)

    def _send(self, order: Mapping[str, Any]) -> None:
        if self._closed:
            return
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
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as answers:
            for line in answers:
                self._answered(json.loads(line))
        with self._lock:
            left = [] if process is not self._process else list(self._heard.values())
            if process is self._process:
                self._heard.clear()
        for _, heard in left:
            heard({"refused": "The process that checks has ended; the next edit starts another."})

    def _answered(self, answer: dict[str, Any]) -> None:
        with self._lock:
            number, heard = self._heard.get(answer.get("who", ""), (0, None))
            if heard is None or number != answer["number"]:  # "ready", or asked again meanwhile
                return
            del self._heard[answer["who"]]
        heard(answer)
