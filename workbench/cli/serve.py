"""``serve``: the page."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.options import StoreUrl


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", epilog="Example: workbench serve --port 5006 --no-browser")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; loopback only.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port; the first free one by default.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    store_url: StoreUrl = None,
) -> None:
    """Serve the page until Ctrl-C; training goes on without it."""
    from workbench.dashboard.server import serve as serve_page

    serve_page(store_url, host=host, port=port, open_browser=not no_browser)
