"""The document that every page is: our template with the tokens of both themes in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import panel as pn
from bokeh.core.templates import get_env
from bokeh.document import Document
from panel.io.resources import LOCAL_DIST
from workbench_widgets.tokens import css_variables

from workbench.dashboard import assets

FOLDER = Path(__file__).parent / "page"

Mode = Literal["start", "run", "new", "compare", "runs", "models", "pair"]
"""Which place a page opens at; the start page becomes that of a run by itself."""


def make_template(mode: Mode, pieces: Mapping[str, Any]) -> pn.Template:
    """A page of these pieces, by the names under which ``page.html`` embeds them."""
    template = pn.Template(_page())
    for name, piece in pieces.items():
        template.add_panel(name, piece)
    template.add_variable("mode", mode)
    template.add_variable("light", css_variables("light"))
    template.add_variable("dark", css_variables("dark"))
    template.add_variable("sheet", _sheet())
    template.add_variable("app_favicon", assets.url("icon.svg"))
    template.add_variable("plotly_url", assets.url("plotly.js"))
    return template


def own_styles(doc: Document | None) -> None:
    """Let every piece that is made from now on take its styles from this server.

    Panel makes pieces with the address of its own network of servers, and puts ours in its place
    once the page is written; a piece that is busy at that moment would keep the other one.
    """
    if doc is not None:
        base = pn.state.rel_path
        doc.template_variables["dist_url"] = f"{base}/{LOCAL_DIST}" if base else LOCAL_DIST


@cache
def _page() -> Any:
    """The template, compiled once."""
    return get_env().from_string((FOLDER / "page.html").read_text("utf-8"))


@cache
def _sheet() -> str:
    return (FOLDER / "page.css").read_text("utf-8")
