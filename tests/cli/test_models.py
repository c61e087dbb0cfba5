"""``workbench models --kept``: what the store keeps, for people and as JSON."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from workbench.cli.main import app
from workbench.store import Store


def ask(*words: str) -> str:
    found = CliRunner().invoke(app, ["models", *words])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_an_empty_store_keeps_none(tmp_path):
    assert json.loads(ask("--kept", "--json", "--store", str(tmp_path / "workbench.db"))) == []


def test_a_kept_teacher_is_told_by_hash_size_and_use(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    path = store.teacher_path("a" * 32)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 2048)
    store.keep_teacher("a" * 32, weights="b" * 64, facts={"model": "cnn-small", "data": "digits"})
    store.close()
    (row,) = json.loads(ask("--kept", "--json", "--store", str(store.path)))
    assert (row["name"], row["bytes"], row["hash"], row["score"]) == (
        "cnn-small",
        2048,
        "b" * 64,
        None,
    )
    table = ask("--kept", "--store", str(store.path))
    assert "2.0" in table and "b" * 12 in table and row["use"] in table


def test_without_the_option_kinds_are_listed_as_before():
    assert {row["model"] for row in json.loads(ask("--json"))} >= {"cnn-small", "mlp"}
