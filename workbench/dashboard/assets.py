"""Our own scripts and plotly.js over HTTP: packed once, named by their content, cached for good.

Unusual here: a URL holds a hash of the content, so that a browser never asks twice and never shows
an old one; nothing comes from another host.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, OutputTransform, RequestHandler
from workbench_widgets.plotlyjs import plotly_js_gz, plotly_js_path
from workbench_widgets.view import joined, view_esm

PAGE = Path(__file__).parent / "page"
SCRIPTS = (
    *("dom.js", "contact.js", "people.js", "asking.js", "empty.js"),
    *("bar.js", "top.js", "recipes.js", "start.js", "controls.js", "pull.js", "around.js"),
    *("new_fields.js", "new_paint.js", "new_loss.js", "new_fork.js", "new_stages.js"),
    *("new_beside.js", "new.js"),
    *("places.js", "runs_place.js", "models_place.js", "pair_place.js", "after.js"),
    *("samples.js", "inspector.js", "failed.js"),
    *("journal.js", "pairing.js"),
    *("kept.js", "selection.js", "toggles.js", "opened.js", "scrubber.js", "layers.js"),
    *("figures.js", "compare.js", "parts.js"),
)
"""Pieces of ``parts.js`` in order; the last one exports."""
SHARED = ("read_off.js", "tables.js")
"""Pieces of the views' module that are the page's too."""

ROUTE = "assets"

POLICY = (
    "default-src 'self'",
    # Panel puts ES modules into blobs, Bokeh compiles its templates
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
"""Content-Security-Policy: whatever a page might hold, it cannot load from elsewhere."""


@cache
def content(name: str) -> bytes:
    """An asset, unpacked.

    Raises:
        KeyError: If there is no asset of that name.
    """
    if name == "view.js":
        return view_esm().encode()
    if name == "parts.js":
        pieces = [joined(SHARED).encode(), *((PAGE / script).read_bytes() for script in SCRIPTS)]
        return b"\n".join(pieces)
    if name == "icon.svg":
        return (PAGE / "icon.svg").read_bytes()
    if name == "plotly.js":
        return plotly_js_path().read_bytes()
    raise KeyError(name)


@cache
def packed(name: str) -> bytes:
    """An asset, gzipped."""
    return plotly_js_gz() if name == "plotly.js" else gzip.compress(content(name), mtime=0)


@cache
def url(name: str) -> str:
    """Where the page finds an asset, relative to its root."""
    digest = hashlib.sha256(content(name)).hexdigest()[:12]
    return f"{ROUTE}/{digest}/{name}"


class AssetHandler(RequestHandler):
    """Serves ``/assets/HASH/NAME``."""

    def head(self, name: str) -> None:
        """Whether it is there; how a page finds its server again."""
        self.get(name)

    def get(self, name: str) -> None:
        """The asset, packed if the browser can unpack it."""
        try:
            body, small = content(name), packed(name)
        except KeyError:
            raise HTTPError(404) from None
        kind = "image/svg+xml" if name.endswith(".svg") else "text/javascript; charset=utf-8"
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if self.request.method == "HEAD":
            self.finish()
        elif "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(small)
        else:
            self.finish(body)


def safe_headers(origins: Sequence[str]) -> type[OutputTransform]:
    """What puts the headers that keep a page to itself on every answer of a server.

    Args:
        origins: ``HOST`` or ``HOST:PORT`` of the pages that may open its websocket; they reach
            nobody else either. An IPv6 address cannot stand there: 'self' has to do.
    """
    named = [origin for origin in origins if not origin.startswith("[")]
    sockets = " ".join(f"ws://{origin} wss://{origin}" for origin in named)
    policy = "; ".join((*POLICY, f"connect-src 'self' blob: {sockets}".rstrip()))
    return type("SafeHeaders", (_SafeHeaders,), {"policy": policy})


class _SafeHeaders(OutputTransform):
    policy: str

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add them; the body stays."""
        headers["Content-Security-Policy"] = self.policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        return status_code, headers, chunk


PATTERNS = [(rf"/{ROUTE}/[0-9a-f]+/([a-z]+\.(?:js|svg))", AssetHandler)]
