"""What the process that checks says: code of the user's own may print into it at any time."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

from workbench.runs.draft import Draft
from workbench.runs.draft.checker import Checker
from workbench.runs.draft.trial import reap


def test_what_a_users_own_code_prints_ends_no_listening(monkeypatch, tmp_path):
    checker = Checker(SimpleNamespace(path=tmp_path / "workbench.db"))
    monkeypatch.setattr(checker, "_deliver", lambda order: None)  # nothing is started
    heard = []
    checker.ask("page", Draft.of_recipe("quickstart"), heard.append)
    printed = '3\nnull\n[1, 2]\n"page"\n{"who": "page"}\n{"who": ["page"], "number": 1}\n'
    out = io.StringIO(f'{printed}{{"who": "page", "number": 1, "checks": {{}}}}\n')
    checker._listen(SimpleNamespace(stdout=out))
    checker.close()
    assert [answer["number"] for answer in heard] == [1]


def test_a_child_that_has_answered_is_let_go_by_the_next_order_of_whatever_page():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    read, write = os.pipe()
    busy = os.fork()
    if busy == 0:
        os.read(read, 1)
        os._exit(0)
    children = {"gone": child, "busy": busy}
    reap(children)
    os.write(write, b".")
    os.waitpid(busy, 0)
    os.close(read)
    os.close(write)
    assert children == {"busy": busy}
