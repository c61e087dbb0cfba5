"""A pair looked at in a process on the side: what is refused is said, and it can be stopped."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading

from workbench.runs import inspecting
from workbench.runs.inspecting import Inspection, Question, answer
from workbench.store import Store

from ..waiting import PATIENCE


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
    assert began.wait(PATIENCE)  # its first word; torch still loads
    inspection.cancel()
    assert ended.wait(PATIENCE)
    assert heard[-1].state == "cancelled"
    assert inspection._process.poll() is not None


def test_what_a_users_own_module_prints_is_no_word_of_the_process(tmp_path, monkeypatch):
    """It may reach the pipe before ours is set apart: a line that is not ours is passed over."""
    said = 'import sys; print("hello"); print(3); print(sys.argv[1])'
    done = json.dumps({"state": "done", "words": "both were asked"})
    monkeypatch.setattr(inspecting, "module_command", lambda *_: [sys.executable, "-c", said, done])
    heard, ended = [], threading.Event()

    def hear(seen):
        heard.append(seen)
        ended.set()

    Inspection(tmp_path / "workbench.db", Question("a", "b", "digits"), hear)
    assert ended.wait(PATIENCE)
    assert [(seen.state, seen.words) for seen in heard] == [("done", "both were asked")]


def test_the_answers_have_the_pipe_for_themselves(tmp_path):
    """What a library prints while both models are asked goes with the errors."""
    question = json.dumps(vars(Question("a", "b", "digits")))
    asked = (
        "import sys; from workbench.runs import inspecting as one\n"
        "def answer(store, question, out): print('of a module'); print('an answer', file=out)\n"
        "one.answer = answer; one.main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", asked, str(tmp_path / "workbench.db"), question]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("an answer\n", "of a module\n")
