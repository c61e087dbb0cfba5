"""`workbench serve`: the page, a watcher of the store, a process that forks workers.

Unusual here: torch is never imported in this process; the workers' parent preloads it in its own.
A worker belongs to nobody: when the server ends, runs go on.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import threading
import urllib.request
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import panel as pn
from tornado.platform.asyncio import BaseAsyncIOLoop

from workbench.dashboard import assets, closed_tabs, refused
from workbench.dashboard.access import Access, Everyone, Listed, People, guarded, kept_secret
from workbench.dashboard.address import check_host, check_origins, check_prefix, choose_port
from workbench.dashboard.downloads import ExportHandler, TableHandler
from workbench.dashboard.hub import Hub
from workbench.dashboard.inspector import AnswersHandler, PicturesHandler
from workbench.dashboard.login import OAuthDoor, PasswordDoor, Users, check_oauth
from workbench.dashboard.scrubber import SnapshotHandler
from workbench.dashboard.session import open_page
from workbench.dashboard.trail import TrailHandler
from workbench.errors import BadAddress, BadInput
from workbench.registry import only_known
from workbench.runs.launch import ZygoteStarter
from workbench.store import Store

UNUSED_SESSION_MS = 15_000
"""Life of a session whose browser has gone, or never came."""
CHECK_SESSIONS_MS = 3_000
LOG = logging.getLogger(__name__)

MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message that a browser may send."""
BODY_BYTES = 64 * 1024
"""Largest form: whoever fills in the login has not come in yet."""


@dataclass(frozen=True)
class Team:
    """How a server is opened to more people than one; as it stands, to this machine only.

    Attributes:
        basic_auth: File of names and password hashes; None asks for no password.
        oauth_provider: Who says who somebody is, as Panel names them; None for nobody.
        people: Names of that provider that may come in; ``*`` for all that it lets in.
        origins: ``HOST[:PORT]`` of pages that may open a websocket; none for what is bound.
        prefix: Path under which a proxy shows the page, ``/team/kd``.
        behind_proxy: Whether to believe X-Forwarded-For and X-Forwarded-Proto.
        read_only: Whether nobody may touch anything.
        share_links: Whether a view-only link opens its run without a login.
    """

    basic_auth: Path | None = None
    oauth_provider: str | None = None
    people: Sequence[str] = ()
    origins: Sequence[str] = ()
    prefix: str = ""
    behind_proxy: bool = False
    read_only: bool = False
    share_links: bool = False

    @property
    def login(self) -> bool:
        """Whether people say who they are."""
        return self.basic_auth is not None or self.oauth_provider is not None

    def who(self) -> People | None:
        """Who can log in; None asks nobody.

        Raises:
            WorkbenchError: If the file, the provider or the names cannot be used.
        """
        if self.basic_auth is not None and self.oauth_provider is not None:
            raise BadInput("--basic-auth and --oauth-provider exclude each other. Leave one out.")
        if self.share_links and not self.login:
            raise BadInput(
                "--share-links opens a run without a login, and this server has none. Leave it "
                "out: every link opens here."
            )
        if self.basic_auth is not None:
            return Users(self.basic_auth)
        if self.oauth_provider is None:
            return None
        check_oauth(self.oauth_provider, os.environ)
        if not self.people:
            raise BadInput(
                f"--oauth-provider {self.oauth_provider} lets in whoever has an account there. "
                "Name those who may come in (--allow-user NAME, as often as needed), or all of "
                "them with --allow-user '*' if the provider is your team's own."
            )
        return Everyone() if "*" in self.people else Listed(self.people)


@dataclass(frozen=True)
class Bound:
    """Where a server listens, and by what names browsers may reach it."""

    host: str
    port: int
    origins: list[str] = field(default_factory=list)
    behind_proxy: bool = False
    oauth_provider: str | None = None


def serve(
    store_url: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    team: Team = Team(),
) -> None:
    """Serve the page until Ctrl-C; prints one line when it answers, to a team a few more.

    Args:
        store_url: As ``--store``.
        host: 127.0.0.1 or localhost; any address of this machine where people log in.
        port: 1 to 65535; None takes a free one.
        open_browser: Whether to open the page in the user's browser.
        team: How it is opened to other people.

    Raises:
        BadAddress: If others could reach a page that asks nobody who they are, or the port cannot
            be had.
        BadStore: If the store cannot be opened.
        WorkbenchError: If the login cannot be made of what was given.
    """
    host = check_host(host, login=team.login)
    prefix = check_prefix(team.prefix)
    only_known()
    people = team.who()
    port = choose_port(host, port)
    origins = check_origins(team.origins, host, port)
    store = Store(store_url)
    starter = ZygoteStarter()
    try:
        secret = kept_secret(store.path.parent)
        access = Access(secret, people, team.read_only, team.share_links, prefix)
        hub = Hub(store, starter, access)
        try:
            bound = Bound(host, port, origins, team.behind_proxy, team.oauth_provider)
            server = make_server(hub, bound)
            said = advice(host, port, prefix) if team != Team() else ""
            # With its last slash: the way to the login is relative to it.
            url = f"http://{_reached(host)}:{port}{prefix and prefix + '/'}"
            _run(server, url, said, open_browser=open_browser)
        finally:
            hub.close()
    finally:
        _let_go(starter)
        store.close()


def advice(host: str, port: int, prefix: str) -> str:
    """What a server for a team says in its first lines: how to put it behind a proxy."""
    where = f"http://{_reached(host)}:{port}"
    told = [
        f"Behind a proxy: send {prefix or ''}/ with its path to {where}, with Upgrade, Host and "
        "Origin kept.",
        "nginx and Caddy, TLS and headers: docs/serving.md.",
    ]
    if host != "127.0.0.1":
        told.append("Passwords reach this port unencrypted: let only a proxy with TLS reach it.")
    return "\n".join(told)


def _reached(host: str) -> str:
    """An address to ask, for one that is bound."""
    if host in ("::", "0.0.0.0"):  # noqa: S104  compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def make_server(hub: Hub, bound: Bound) -> Any:
    """The Panel server, not started.

    Args:
        hub: What its pages share, with the rule of who may do what.
        bound: Where it listens.

    Raises:
        BadAddress: If somebody took the port meanwhile.
    """
    pn.extension()
    refused.install()
    access, data = hub.access, {"store": hub.store}
    pictures = {**data, "explainer": hub.explainer}
    routes = [
        ("/export", guarded(ExportHandler, access), data),
        ("/tables", guarded(TableHandler, access), {**data, "listing": hub.quickstart.listing}),
        ("/snapshots", guarded(SnapshotHandler, access), data),
        ("/trail", guarded(TrailHandler, access), data),
        ("/answers", guarded(AnswersHandler, access), data),
        ("/pictures", guarded(PicturesHandler, access), pictures),
    ]
    try:
        server = pn.io.server.get_server(
            {"/": lambda: open_page(hub)},
            address=bound.host,
            port=bound.port,
            websocket_origin=bound.origins,
            title="Workbench",
            location=False,
            show=False,
            start=False,
            admin=False,
            liveness=False,
            use_index=False,
            prefix=access.prefix,
            cookie_secret=access.secret,
            cookie_path=f"{access.prefix}/",
            # Without a signature anybody could say of their own session that it holds no link.
            sign_sessions=True,
            secret_key=access.secret.encode(),
            # A page holds the cookies of its session; a provider's tokens stay out of it.
            exclude_cookies=["id_token", "access_token", "refresh_token"],
            use_xheaders=bound.behind_proxy,
            xsrf_cookies=True,
            compress_response=True,
            http_server_kwargs={"max_body_size": BODY_BYTES},
            websocket_max_message_size=MESSAGE_BYTES,
            unused_session_lifetime_milliseconds=UNUSED_SESSION_MS,
            check_unused_sessions_milliseconds=CHECK_SESSIONS_MS,
            extra_patterns=[*assets.PATTERNS, *routes],
            **_door(hub, bound),
        )
    except OSError as error:
        raise BadAddress(
            f"Port {bound.port} cannot be used ({error.strerror}). Leave --port out for a free one."
        ) from None
    server._tornado.add_transform(assets.safe_headers(bound.origins))
    return server


def _door(hub: Hub, bound: Bound) -> dict[str, Any]:
    """What asks people who they are; nothing where nobody is asked."""
    people = hub.access.people
    if isinstance(people, Users):
        return {"auth_provider": PasswordDoor(hub.access, people)}
    if bound.oauth_provider is None:
        return {}
    pn.config.oauth_provider = bound.oauth_provider  # type: ignore[misc]
    return {"auth_provider": OAuthDoor(hub.access)}


def _let_go(starter: ZygoteStarter) -> None:
    """Its input is closed, so it leaves as soon as it has preloaded, or started what was asked."""
    try:
        starter.close()
    except subprocess.TimeoutExpired:
        LOG.info("The workers' parent is still loading; it ends by itself.")


def _run(server: Any, url: str, said: str, *, open_browser: bool) -> None:
    loop: BaseAsyncIOLoop = server.io_loop
    closed_tabs.quiet(loop.asyncio_loop)
    signal.signal(signal.SIGTERM, lambda *_: loop.add_callback_from_signal(loop.stop))
    signal.signal(signal.SIGINT, lambda *_: loop.add_callback_from_signal(loop.stop))
    server.start()
    # What is imported stays: the collector need not walk through it 0.1 s long while a page waits.
    gc.collect()
    gc.freeze()
    threading.Thread(target=_announce, args=(url, said, open_browser), daemon=True).start()
    loop.start()
    server.stop()


def _announce(url: str, said: str, open_browser: bool) -> None:
    """Say where the page is once it has answered a request."""
    # Not through a proxy of the user's, which would look for the page on its own machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{url.rstrip('/')}/{assets.url('icon.svg')}", timeout=30) as answer:
        answer.read()
    print(f"Workbench: {url}", *([said] if said else []), sep="\n", flush=True)
    if open_browser:
        webbrowser.open(url)
