"""A pair looked at in a process on the side: what is refused is said, and it can be stopped."""

from __future__ import annotations

import io
import json
import threading

from workbench.runs.inspecting import Inspection, Question, answer
from workbench.store import Store


def test_what_cannot_be_looked_at_is_said_in_words(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    out = io.StringIO()
    asked = Question("run:gone@last", "run:gone@last", "digits", base=str(tmp_path))
    assert answer(str(store.path), asked, out) == 2
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["state"] for line in lines] == ["working", "refused"]
    assert "No run 'gone'" in lines[-1]["words"]


def test_one_that_is_stopped_says_so_and_is_gone(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    began, ended, heard = threading.Event(), threading.Event(), []

    def hear(seen):
        heard.append(seen)
        began.set()
        if seen.state != "working":
            ended.set()

    asked = Question("run:gone@last", "run:gone@last", "digits", base=str(tmp_path))
    inspection = Inspection(store.path, asked, hear)
    assert began.wait(30)  # its first word; torch still loads
    inspection.cancel()
    assert ended.wait(10)
    assert heard[-1].state == "cancelled"
    assert inspection._process.poll() is not None
