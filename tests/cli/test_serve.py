"""``serve``: what it refuses before anything starts, and how a name gets into its file."""

from __future__ import annotations

import threading

import pytest
from typer.testing import CliRunner

from workbench import registry
from workbench.cli.serve import serve
from workbench.dashboard.login import Users
from workbench.errors import BadAddress, BadFile, BadInput

OPEN = ".".join("0000")


@pytest.fixture(autouse=True)
def own_process(monkeypatch):
    """A server lets no experiment import modules from then on: here that ends with the test."""
    monkeypatch.setattr(registry, "_KNOWN_ONLY", threading.Event())


def asked(store, **options):
    return serve(store_url=str(store / "w.db"), no_browser=True, **options)


def test_others_are_let_in_only_where_they_say_who_they_are(tmp_path):
    with pytest.raises(BadAddress, match=r"--basic-auth FILE"):
        asked(tmp_path, host=OPEN)
    with pytest.raises(BadAddress, match=r"--basic-auth FILE"):
        asked(tmp_path, host=OPEN, read_only=True, allow_origin=["kd.example.org"])
    with pytest.raises(BadFile, match=r"cannot be read.*--add-user"):
        asked(tmp_path, host=OPEN, basic_auth=tmp_path / "none")
    with pytest.raises(BadInput, match=r"exclude each other"):
        asked(tmp_path, basic_auth=tmp_path / "none", oauth_provider="github")
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_added_with_a_password_that_only_its_owner_types(tmp_path):
    import typer

    app = typer.Typer()
    app.command()(serve)
    path = tmp_path / "users"
    said = CliRunner().invoke(
        app,
        ["--basic-auth", str(path), "--add-user", "mira"],
        input="correct horse\ncorrect horse\n",
    )
    assert said.exit_code == 0, said.output
    assert "mira can log in" in said.output
    assert "correct horse" not in said.output
    assert Users(path).lets_in("mira", "correct horse")
    with pytest.raises(BadInput, match=r"--add-user needs --basic-auth FILE"):
        serve(add_user="mira")
