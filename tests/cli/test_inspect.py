"""``inspect`` from a shell: a run that was trained beside the teacher in the store's cache."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from workbench.store.store import Store

SMOKE = ("--scale", "smoke", "--set", "data.limit=300", "--set", "data.labels_per_class=3")
DATA = "{use: digits, limit: 300}"


@pytest.fixture(scope="module")
def trained(shell: Any) -> dict[str, Any]:
    """Names of the teacher and the student of a run, and what the run said."""
    done = shell("run", "quickstart", *SMOKE, "--json").json
    with closing(Store(str(shell.store))) as store:
        teacher = store.teacher_path(store.runs.get(done["run"]).teacher)
    return {"done": done, "teacher": f"path:{teacher}", "student": f"run:{done['run']}@last"}


@pytest.fixture
def inspect(shell: Any, trained: dict[str, Any]) -> Any:
    """The command on this pair, with more words or other ones."""

    def ask(*words: str, code: int = 0, data: str = DATA, **models: str) -> Any:
        named = {who: models.get(who, trained[who]) for who in ("teacher", "student")}
        given = [word for who, name in named.items() for word in (f"--{who}", name)]
        return shell("inspect", *given, "--data", data, *words, code=code)

    return ask


def test_json_has_the_numbers_that_the_run_had_with_their_conditions(inspect, trained, shell):
    said = inspect("--json", "-o", "tables")
    found, told = said.json, trained["done"]["protocol"]
    assert said.err.splitlines() == [f"Warning: {words}" for words in found["warnings"]]
    assert found["protocol"]["teacher"]["hash"] == told["teacher"]["hash"]
    assert found["protocol"]["student"]["hash"] == trained["done"]["weights"]
    assert found["protocol"]["splits"]["probe"] == told["splits"]["probe"]
    for name, value in told["teacher"]["probe"].items():
        assert found["numbers"]["teacher"][name] == pytest.approx(value, rel=1e-5)
    last = told["numbers"]["accuracy"]["last"]["value"]
    assert found["numbers"]["student"]["accuracy"] == pytest.approx(last)
    cka = found["numbers"]["cka"]
    for name in ("unbiased", "null_p95"):
        assert len(cka[name]) == len(cka["teacher_layers"])
        assert {len(row) for row in cka[name]} == {len(cka["student_layers"])}
    views = ("cka", "trilateral", "calibration", "loyalty")
    assert found["files"] == [f"tables/{view}.csv" for view in views]
    assert all((shell.folder / name).is_file() for name in found["files"])
    assert len(shell.rows("--all")) == 3  # nothing was trained: run, teacher, control


def test_words_say_units_rows_and_hashes_and_warn_of_rows_that_were_seen(inspect, trained, shell):
    said = inspect("-o", "pair.html", data="{use: digits, limit: 300, split_seed: 9}")
    assert "probe split, n = 42" in said.out
    assert "teacher: accuracy " in said.out and " nats, ECE " in said.out
    assert "label loyalty " in said.out and " of 1, KL(teacher || student) " in said.out
    assert f"student {trained['done']['weights'][:12]}" in said.out
    assert "Written: pair.html" in said.out
    assert f"Warning: student: {trained['student']} was trained on " in said.err
    assert " of the 42 probe rows looked at" in said.err
    page = (shell.folder / "pair.html").read_text("utf-8")
    assert "rows looked at, so its numbers are too good" in page
    again = inspect("-o", "pair.html", code=2)
    assert "'pair.html' exists" in again.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teacher": "cnn-small"}, "[WB106] teacher: cnn-small starts from random weights"),
        ({"student": "run:nobody@last"}, "[WB111] No run 'nobody'"),
        ({"data": "wine"}, "[WB106] path:"),
    ],
)
def test_what_cannot_be_looked_at_exits_with_2_and_one_message(inspect, changes, words):
    said = inspect(code=2, **changes)
    assert said.out == ""
    assert said.err.startswith(f"workbench: {words}")
    assert len(said.err.strip().splitlines()) == 1
