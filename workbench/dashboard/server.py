"""`workbench serve`: the page on 127.0.0.1, a watcher of the store, a process that forks workers.

Unusual here: torch is never imported in this process; the workers' parent preloads it in its own.
A worker belongs to nobody: when the server ends, runs go on.
"""

from __future__ import annotations

import gc
import logging
import secrets
import signal
import subprocess
import threading
import urllib.request
import webbrowser
from typing import Any

import panel as pn
from tornado.ioloop import IOLoop

from workbench.dashboard import assets
from workbench.dashboard.address import check_host, choose_port
from workbench.dashboard.downloads import ExportHandler
from workbench.dashboard.hub import Hub
from workbench.dashboard.scrubber import SnapshotHandler
from workbench.dashboard.session import open_page
from workbench.errors import BadAddress
from workbench.runs.launch import ZygoteStarter
from workbench.store import Store

UNUSED_SESSION_MS = 15_000
"""Life of a session whose browser has gone, or never came."""
CHECK_SESSIONS_MS = 3_000
LOG = logging.getLogger(__name__)

MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message that a browser may send."""


def serve(
    store_url: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
) -> None:
    """Serve the page until Ctrl-C; prints one line when it answers.

    Args:
        store_url: As ``--store``.
        host: 127.0.0.1 or localhost.
        port: 1 to 65535; None takes a free one.
        open_browser: Whether to open the page in the user's browser.

    Raises:
        BadAddress: If the host is not this machine, or the port cannot be had.
        BadStore: If the store cannot be opened.
    """
    host = check_host(host)
    port = choose_port(host, port)
    store = Store(store_url)
    starter = ZygoteStarter()
    try:
        hub = Hub(store, starter)
        try:
            server = make_server(hub, host, port)
            _run(server, f"http://{host}:{port}", open_browser=open_browser)
        finally:
            hub.close()
    finally:
        _let_go(starter)
        store.close()


def make_server(hub: Hub, host: str, port: int) -> Any:
    """The Panel server, not started.

    Raises:
        BadAddress: If somebody took the port meanwhile.
    """
    pn.extension()
    origins = [f"127.0.0.1:{port}", f"localhost:{port}"]
    try:
        server = pn.io.server.get_server(
            {"/": lambda: open_page(hub)},
            address=host,
            port=port,
            websocket_origin=origins,
            title="Workbench",
            location=False,
            show=False,
            start=False,
            admin=False,
            liveness=False,
            use_index=False,
            cookie_secret=secrets.token_urlsafe(48),
            xsrf_cookies=True,
            compress_response=True,
            websocket_max_message_size=MESSAGE_BYTES,
            unused_session_lifetime_milliseconds=UNUSED_SESSION_MS,
            check_unused_sessions_milliseconds=CHECK_SESSIONS_MS,
            extra_patterns=[
                *assets.PATTERNS,
                ("/export", ExportHandler, {"store": hub.store}),
                ("/snapshots", SnapshotHandler, {"store": hub.store}),
            ],
        )
    except OSError as error:
        raise BadAddress(
            f"Port {port} cannot be used ({error.strerror}). Leave --port out for a free one."
        ) from None
    server._tornado.add_transform(assets.SafeHeaders)
    return server


def _let_go(starter: ZygoteStarter) -> None:
    """Its input is closed, so it leaves as soon as it has preloaded, or started what was asked."""
    try:
        starter.close()
    except subprocess.TimeoutExpired:
        LOG.info("The workers' parent is still loading; it ends by itself.")


def _run(server: Any, url: str, *, open_browser: bool) -> None:
    loop: IOLoop = server.io_loop
    signal.signal(signal.SIGTERM, lambda *_: loop.add_callback_from_signal(loop.stop))
    signal.signal(signal.SIGINT, lambda *_: loop.add_callback_from_signal(loop.stop))
    server.start()
    # What is imported stays: the collector need not walk through it 0.1 s long while a page waits.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_announce, args=(url, open_browser), daemon=True).start()
    loop.start()
    server.stop()


def _announce(url: str, open_browser: bool) -> None:
    """Say where the page is once it has answered a request."""
    with urllib.request.urlopen(f"{url}/{assets.url('icon.svg')}", timeout=30) as answer:  # noqa: S310
        answer.read()
    print(f"Workbench: {url}", flush=True)
    if open_browser:
        webbrowser.open(url)
