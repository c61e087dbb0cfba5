"""``serve``: the page, for one or for a team."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import StoreUrl
from workbench.registry import OWN_MODULES, import_own

TEAM = "A team on one server"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve",
        epilog="Example: workbench serve --port 5006 --no-browser. With a login, behind a proxy: "
        "docs/serving.md.",
    )(serve)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; loopback only, unless people log in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port; the first free one by default.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="A module that registers terms, models, data; looked for here too; repeat.",
        ),
    ] = None,
    basic_auth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Names and password hashes; asks for both.", rich_help_panel=TEAM
        ),
    ] = None,
    add_user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Ask for a password, write it to FILE, end.", rich_help_panel=TEAM
        ),
    ] = None,
    oauth_provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="github, gitlab, okta, ...; keys from PANEL_OAUTH_*.",
            rich_help_panel=TEAM,
        ),
    ] = None,
    allow_user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Who of that provider may come in; repeat.", rich_help_panel=TEAM
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="As browsers see it; repeat. Default: what is bound.",
            rich_help_panel=TEAM,
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="/PATH", help="Path behind a proxy.", rich_help_panel=TEAM)
    ] = "",
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="Believe its X-Forwarded headers.", rich_help_panel=TEAM
        ),
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Nobody may touch a run.", rich_help_panel=TEAM)
    ] = False,
    share_links: Annotated[
        bool,
        typer.Option("--share-links", help="View-only links need no login.", rich_help_panel=TEAM),
    ] = False,
    store_url: StoreUrl = None,
) -> None:
    """Serve the page until Ctrl-C; training goes on without it."""
    if add_user is not None:
        _add_user(basic_auth, add_user)
        return
    if imports:
        _import(imports)
    from workbench.dashboard.server import Team
    from workbench.dashboard.server import serve as serve_page

    team = Team(
        basic_auth,
        oauth_provider,
        tuple(allow_user or ()),
        tuple(allow_origin or ()),
        prefix,
        behind_proxy,
        read_only,
        share_links,
    )
    serve_page(store_url, host=host, port=port, open_browser=not no_browser, team=team)


def _import(modules: list[str]) -> None:
    """Here and, by the environment, in every process that we start."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: a file there never stands in for a library
        paths = filter(None, [os.environ.get("PYTHONPATH", ""), here])
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    given = os.environ.get(OWN_MODULES, "")
    os.environ[OWN_MODULES] = ",".join(filter(None, [given, *modules]))
    import_own()


def _add_user(path: Path | None, name: str) -> None:
    """Ask for the password where neither `ps` nor the shell's history sees it."""
    from workbench.dashboard.login import add_user
    from workbench.errors import BadInput

    if path is None:
        raise BadInput("--add-user needs --basic-auth FILE, where the name is to stand.")
    add_user(path, name, typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    typer.echo(f"{name} can log in: workbench serve --basic-auth {path}")
