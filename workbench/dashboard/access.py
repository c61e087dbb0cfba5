"""Who may look and who may touch: logins, view-only links, and the same rule for every route.

Unusual here: a right is decided from what the server itself has signed (cookie, link, session),
never from what a page says of itself. A link is the HMAC of a run and the right to look at it, so
nothing is stored for it, and a new secret ends all links and all logins at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tornado.web import HTTPError, RequestHandler, decode_signed_value

from workbench.dashboard.address import first_of
from workbench.errors import BadFile

SECRET_FILE = "cookie-secret"  # noqa: S105  a name, not a secret
"""Beside the store, readable by its owner only: a login survives a restart of the server."""
SECRET_LENGTH = 48
"""Random bytes that it is made of; a shorter file is refused."""

USER = "user"
"""Cookie with the name of who has logged in; Panel's own OAuth sets the same."""
PASSED = "workbench-passed"
"""Cookie with the mark of the password that they came in by; another password, another mark."""
VIEWS = "workbench-view"
"""Cookie with the runs that somebody without a login was given a link to."""
DAYS = 30
"""How long they are good."""
MOST_VIEWS = 20
"""Links that a browser is remembered to hold; the oldest goes first."""

READS: frozenset[str] = frozenset(
    {
        *("ask_edit", "unask_edit"),  # of somebody who can
        *("look", "name", "select", "layers", "explain", "unexplain"),  # on a run
        *("against", "measure", "focus", "along", "lines", "add"),  # on the page that compares
        *("find", "status", "recipe", "sort", "choose", "more", "clear", "address"),  # on lists
        *("role", "teacher", "student", "data", "split", "cancel", "again"),  # on models, a pair
    }
)
"""What a page that may only look may ask of its session: everything else is refused."""
READ_METHODS = frozenset({"GET", "HEAD"})
BEYOND_ONE = frozenset({"compare", "against", "runs", "models"})
"""Arguments that ask for more than the one run which a view-only link opens."""


class People(Protocol):
    """Who can log in now."""

    def __contains__(self, name: object) -> bool:
        """Whether somebody of this name may still come in."""

    def mark(self, name: str) -> str:
        """What is another as soon as their password is; empty where it is none of ours."""


class Everyone:
    """Whoever the OAuth provider lets in: for a provider that is the team's own."""

    def __contains__(self, name: object) -> bool:
        """Always."""
        return True

    def mark(self, name: str) -> str:
        """None: the provider asks."""
        return ""


class Listed(frozenset[str]):
    """Names that the OAuth provider knows."""

    def mark(self, name: str) -> str:
        """None: the provider asks."""
        return ""


@dataclass(frozen=True)
class Visit:
    """Who has opened a page, and what they may do on it.

    Attributes:
        name: Of the login; None where nobody logs in, or came by a link without one.
        run: The only run that the page may show; None for all.
        touch: Whether it may change anything.
        fork: Whether it may start a run of its own from the one that it shows.
        people: Who can log in; None asks nobody.
        mark: Of the password that was good when the page was opened.
    """

    name: str | None = None
    run: str | None = None
    touch: bool = True
    fork: bool = True
    people: People | None = field(default=None, compare=False, repr=False)
    mark: str = field(default="", compare=False, repr=False)

    @property
    def stays(self) -> bool:
        """Whether who opened the page may still come in: a page may stay open for days."""
        if self.name is None or self.people is None:
            return True
        return self.name in self.people and self.people.mark(self.name) == self.mark

    def of(self, people: People | None) -> Visit:
        """The same, for as long as they may come in by the password of now."""
        if people is None or self.name is None:
            return replace(self, people=people)
        return replace(self, people=people, mark=people.mark(self.name))


@dataclass(frozen=True)
class Access:
    """The rule of one server.

    Args:
        secret: Signs cookies, links and sessions.
        people: Who can log in; None asks nobody, for a page that only this machine reaches.
        read_only: Whether nobody may touch anything.
        share_links: Whether a view-only link opens its run without a login.
        prefix: Path under which a proxy shows the page, ``/team/kd``; empty for none.
    """

    secret: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_LENGTH), repr=False)
    people: People | None = None
    read_only: bool = False
    share_links: bool = False
    prefix: str = ""

    def token(self, run: str) -> str:
        """What makes an address a view-only link to a run: 22 letters that only we can make."""
        key = hmac.digest(self.secret.encode(), b"workbench view link", hashlib.sha256)
        signed = hmac.digest(key, f"view:{run}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed[:16]).decode().rstrip("=")

    def opens(self, run: str, token: str) -> bool:
        """Whether this is the token of that run."""
        return hmac.compare_digest(self.token(run).encode(), token.encode())

    def user(self, cookies: Mapping[str, str]) -> str | None:
        """Who has logged in, if they still may; None where nobody has or nobody needs to."""
        name = self._signed(cookies, USER)
        if not name or self.people is None or name not in self.people:
            return None
        by = self._signed(cookies, PASSED) or ""
        return name if hmac.compare_digest(by.encode(), self.people.mark(name).encode()) else None

    def views(self, cookies: Mapping[str, str]) -> list[str]:
        """Runs to which a browser has shown a link; newest last."""
        if not self.share_links:
            return []
        return [run for run in (self._signed(cookies, VIEWS) or "").split(",") if run]

    def visit(self, cookies: Mapping[str, str], arguments: Mapping[str, Sequence[bytes]]) -> Visit:
        """What a page may do that was asked for with these.

        A ``view`` in the address takes rights away and never gives any: whether somebody without a
        login may see the page at all was asked before (:meth:`comes_by_link`).
        """
        name = self.user(cookies)
        known = self.people is None or name is not None
        if known and "view" not in arguments:
            return Visit(name, touch=not self.read_only, fork=not self.read_only)
        return Visit(name, first_of(arguments, "run"), False, known and not self.read_only)

    def comes_by_link(self, arguments: Mapping[str, Sequence[bytes]]) -> str | None:
        """The run to which an address is a good view-only link, where those need no login."""
        run, token = first_of(arguments, "run"), first_of(arguments, "view")
        return run if self.share_links and run and self.opens(run, token) else None

    def refuses(
        self, method: str, cookies: Mapping[str, str], arguments: Mapping[str, Sequence[bytes]]
    ) -> bool:
        """Whether a request beside the page (a download, an upload) is not to be answered."""
        reads = method in READ_METHODS
        if self.people is None or self.user(cookies) is not None:
            return self.read_only and not reads
        asked = [run.decode("utf-8", "replace") for run in arguments.get("run", ())]
        seen = self.views(cookies)
        one_of_them = bool(asked) and all(run in seen for run in asked)
        return not (reads and one_of_them and not BEYOND_ONE & set(arguments))

    def _signed(self, cookies: Mapping[str, str], name: str) -> str | None:
        value = decode_signed_value(self.secret, name, cookies.get(name), max_age_days=DAYS)
        return None if value is None else value.decode("utf-8", "replace")


def cookies_of(handler: RequestHandler) -> dict[str, str]:
    """The cookies of a request as plain text."""
    return {name: morsel.value for name, morsel in handler.request.cookies.items()}


def remember(handler: RequestHandler, access: Access, name: str, value: str) -> None:
    """Set one of our cookies: signed, out of reach of scripts, on this page's path only."""
    handler.set_signed_cookie(
        name,
        value,
        expires_days=DAYS,
        path=f"{access.prefix}/",
        httponly=True,
        samesite="lax",
        secure=handler.request.protocol == "https",
    )


def remember_view(handler: RequestHandler, access: Access, run: str) -> None:
    """Keep that this browser has shown a link to a run: its pictures and numbers follow it."""
    seen = [one for one in access.views(cookies_of(handler)) if one != run]
    remember(handler, access, VIEWS, ",".join([*seen, run][-MOST_VIEWS:]))


def guarded(handler: type[RequestHandler], access: Access) -> type[RequestHandler]:
    """The handler, answering only who may see the page that asks: 403 for everybody else."""

    def prepare(self: RequestHandler) -> Any:
        request = self.request
        if access.refuses(request.method or "", cookies_of(self), request.arguments):
            raise HTTPError(403)
        return handler.prepare(self)

    return type(handler.__name__, (handler,), {"prepare": prepare, "__doc__": handler.__doc__})


def kept_secret(folder: Path) -> str:
    """The secret of the servers on a store, made on first use.

    Raises:
        BadFile: If the file cannot be read or written, others could read it, or it is too short.
    """
    path = folder / SECRET_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        mode = path.stat().st_mode
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be used as the secret of logins ({error}).") from None
    if mode & 0o077:
        raise BadFile(
            f"{path} signs logins and can be read by others (mode {mode & 0o777:o}; allowed: 600). "
            f"`chmod 600 {path}`, or remove it: a new one ends all logins and links."
        )
    if len(secret) < SECRET_LENGTH:
        raise BadFile(
            f"{path} holds {len(secret)} letters; at least {SECRET_LENGTH} are needed. Remove it: "
            "a new one is made."
        )
    return secret


def _make_secret(path: Path) -> None:
    """A new secret, whole or none; where another server has made one in this moment, that stays."""
    opened, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its owner's only
    try:
        with os.fdopen(opened, "w") as file:
            file.write(secrets.token_urlsafe(SECRET_LENGTH))
        try:
            os.link(name, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links: each says so in its own way
            Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
