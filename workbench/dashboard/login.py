"""Logins: a file of names and password hashes, or OAuth; the pages to come in and to go.

Unusual here: Panel's own basic auth compares passwords in clear text from a JSON file, and its page
asks another host for its style. Ours keeps scrypt hashes, sets the cookie that Panel reads, and
asks nobody else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from jinja2 import Environment
from panel.auth import AUTH_PROVIDERS, OAuthProvider
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler
from workbench_widgets.tokens import css_variables

from workbench.dashboard import assets
from workbench.dashboard.access import (
    PASSED,
    USER,
    VIEWS,
    Access,
    cookies_of,
    remember,
    remember_view,
)
from workbench.dashboard.people import clean_name
from workbench.errors import BadFile, BadInput, UnknownName

COST, BLOCK, LANES = 2**14, 8, 1
"""Of scrypt: 16 MiB and some 50 ms a guess."""
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1000
WRONG_SECONDS = 1.0
"""A wrong password is answered so late."""
MOST_GUESSES, MOST_GUESSES_OF_ALL = 5, 20
"""Passwords that are tried at a time, from one address and from all: each takes 16 MiB and a core,
and a wrong one waits."""
FOREIGN = ("bokeh-token", "bokeh-session-id")
"""Arguments by which an address brings along a session that it did not make."""
FOLDER = Path(__file__).parent / "page"
GUEST = "a guest by a view-only link"
"""What Bokeh is told of somebody without a login; never a name of the journal."""


class Users:
    """Names and hashes in a file, ``NAME:scrypt$16384$8$1$SALT$HASH`` a line; read when it changes.

    Args:
        path: The file; ``workbench serve --basic-auth FILE --add-user NAME`` writes it.

    Raises:
        BadFile: If it cannot be read, others could read it, or a line is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}
        self._refresh()
        if not self._hashes:
            raise BadFile(f"{path} names nobody. Add somebody with --add-user NAME.")

    def __contains__(self, name: object) -> bool:
        """Whether the file names them now."""
        self._refresh()
        return name in self._hashes

    def mark(self, name: str) -> str:
        """Another for another password: a login is good for the one that it was made with."""
        self._refresh()
        return hashlib.sha256(self._hashes.get(name, "").encode()).hexdigest()[:16]

    def lets_in(self, name: str, password: str) -> bool:
        """Whether name and password belong together; takes the same time for any name."""
        self._refresh()
        known = self._hashes.get(name)
        return matches(password, known or _nobody()) and known is not None

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
            # a new hash is as long as the old one, and some file systems count whole seconds
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._read_at:
                return
            text = self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadFile(
                f"--basic-auth {self.path} cannot be read ({error}). Make it with --add-user NAME."
            ) from None
        if status.st_mode & 0o077:
            mode = f"{status.st_mode & 0o777:o}"
            raise BadFile(
                f"--basic-auth {self.path} can be read by others (mode {mode}; allowed: 600). "
                f"`chmod 600 {self.path}`."
            )
        self._hashes = dict(_read_line(self.path, *line) for line in _lines(text))
        self._read_at = seen


def hashed(password: str) -> str:
    """A password as the file holds it: slow to guess, of its own salt."""
    salt = secrets.token_bytes(16)
    return "$".join(
        ("scrypt", str(COST), str(BLOCK), str(LANES), _text(salt), _text(_slow(password, salt)))
    )


def matches(password: str, kept: str) -> bool:
    """Whether this is the password of a line of the file."""
    salt, expected = (base64.b64decode(part) for part in kept.split("$")[4:])
    return hmac.compare_digest(_slow(password, salt), expected)


def add_user(path: Path, name: str, password: str) -> None:
    """Write a name and the hash of a password; a name that is there gets the new one.

    Raises:
        BadInput: If the name cannot stand in a journal, or the password is too short.
        BadFile: If the file holds something else, or cannot be written.
    """
    name = clean_name(name)
    if ":" in name:
        raise BadInput(f"name {name!r} holds a colon, which parts name and hash in the file.")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(
            f"The password has {len(password)} letters. Allowed: {SHORTEST_PASSWORD} to "
            f"{LONGEST_PASSWORD}."
        )
    known = Users(path)._hashes if path.exists() and path.stat().st_size else {}
    text = "".join(f"{who}:{kept}\n" for who, kept in {**known, name: hashed(password)}.items())
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text.encode())
        part.replace(path)
    except OSError as error:
        raise BadFile(f"--basic-auth {path} cannot be written ({error.strerror}).") from None


class LoginHandler(RequestHandler):
    """``/login``: the form, and the cookie for who fills it in rightly."""

    users: Users
    access: Access
    guesses: Counter[str]

    def get(self) -> None:
        """The form; where somebody wanted to go stays in its address."""
        self._show("")

    async def post(self) -> None:
        """Let in, or say no a second later."""
        name, password = (
            self.get_body_argument("name", ""),
            self.get_body_argument("password", "", strip=False),
        )
        asks = str(self.request.remote_ip)
        if self.guesses[asks] >= MOST_GUESSES or self.guesses.total() >= MOST_GUESSES_OF_ALL:
            self.set_status(429)
            self._show("Too many tries at a time. Wait a few seconds.", name)
            return
        self.guesses[asks] += 1
        try:
            known = len(password) <= LONGEST_PASSWORD and await asyncio.to_thread(
                self.users.lets_in, name, password
            )
            if not known:
                await asyncio.sleep(WRONG_SECONDS)
        finally:
            self.guesses -= Counter([asks])
        if not known:
            self.set_status(401)
            self._show("Name and password do not belong together.", name)
            return
        remember(self, self.access, USER, name)
        remember(self, self.access, PASSED, self.users.mark(name))
        self.redirect(inside(self.get_query_argument("next", ""), self.access.prefix))

    def _show(self, refused: str, name: str = "") -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(
            _page().render(
                refused=refused,
                name=name,
                xsrf=self.xsrf_token.decode(),
                light=css_variables("light"),
                dark=css_variables("dark"),
                icon=assets.url("icon.svg"),
            )
        )


class LogoutHandler(RequestHandler):
    """``/logout``: forgets the cookies and shows the form again."""

    access: Access

    def get(self) -> None:
        """Go."""
        theirs = ("id_token", "access_token", "refresh_token", "oauth_expiry")
        for name in (USER, PASSED, VIEWS, *theirs):
            self.clear_cookie(name, path=f"{self.access.prefix}/")
            self.clear_cookie(name, path="/")
        self.redirect(f"{self.access.prefix}/login")


def inside(address: str, prefix: str) -> str:
    """Where to go after the login: a path of this server, else its start page."""
    own = address.startswith(f"{prefix}/") and not address.startswith("//")
    plain = "\\" not in address and all(letter.isprintable() for letter in address)
    return address if own and plain else f"{prefix}/"


class PasswordDoor(AuthProvider):
    """Asks for name and password; a good view-only link needs none where those are shared.

    Args:
        access: The rule of the server.
        users: Who can log in.
    """

    def __init__(self, access: Access, users: Users) -> None:
        self._access = access
        mine: dict[str, Any] = {"access": access, "users": users, "guesses": Counter()}
        self._login = type("LoginHandler", (LoginHandler,), mine)
        self._logout = type("LogoutHandler", (LogoutHandler,), {"access": access})
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Who asks for a page or a websocket; None sends them to the form."""
        return lambda handler: who_asks(handler, self._access)

    @property
    def login_url(self) -> str:
        """Bokeh puts the prefix before it."""
        return "/login"

    @property
    def login_handler(self) -> type[RequestHandler]:
        """The form."""
        return self._login

    @property
    def logout_url(self) -> str:
        """Likewise."""
        return "/logout"

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """The way out."""
        return self._logout

    @property
    def get_login_url(self) -> None:
        """The address of the form is fixed."""
        return None

    @property
    def get_user_async(self) -> None:
        """Nothing is waited for."""
        return None


class OAuthDoor(OAuthProvider):
    """Panel's OAuth, and view-only links as :class:`PasswordDoor` has them.

    Args:
        access: The rule of the server; names of the provider must be among its people.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        super().__init__(logout_endpoint="/logout")  # type: ignore[no-untyped-call]

    @property
    def get_user_async(self) -> Callable[[Any], Any]:
        """Who asks, as the provider knows them; None sends them there."""
        ask = super().get_user_async

        async def get_user(handler: Any) -> str | None:
            refuse_foreign_session(handler)
            user: str | None = await ask(handler)
            if user is None:
                return who_asks(handler, self._access)
            if user not in (self._access.people or ()):  # sent back there they would come again
                raise HTTPError(403, "%s is not among those who may come in", user)
            return user

        return get_user


def who_asks(handler: RequestHandler, access: Access) -> str | None:
    """The name of the login, or that of a guest whose link is good; None for nobody."""
    refuse_foreign_session(handler)
    cookies = cookies_of(handler)
    user = access.user(cookies)
    if user is not None:
        return user
    if isinstance(handler, WebSocketHandler):  # its session is signed: a page of ours opened it
        return GUEST if access.views(cookies) else None
    at_home = handler.request.path.rstrip("/") == access.prefix
    run = access.comes_by_link(handler.request.arguments) if at_home else None
    if run is None:
        return None
    remember_view(handler, access, run)
    return GUEST


def refuse_foreign_session(handler: RequestHandler) -> None:
    """A link must not open somebody else's session: its page holds what they have made of it.

    Raises:
        HTTPError: 403 if the request names a session of its own.
    """
    if set(FOREIGN) & set(handler.request.arguments) or (
        "Bokeh-Session-Id" in handler.request.headers
    ):
        raise HTTPError(403, "an address brought a session along")


def check_oauth(provider: str, environment: Mapping[str, str]) -> str:
    """The name of an OAuth provider whose keys the environment holds.

    Raises:
        UnknownName: If Panel knows no such provider.
        BadInput: If a key is missing.
    """
    known = sorted(set(AUTH_PROVIDERS) - {"password", "pam"})
    if provider not in known:
        raise UnknownName("OAuth provider", provider, known)
    needed = ("PANEL_OAUTH_KEY", "PANEL_OAUTH_SECRET")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise BadInput(
            f"--oauth-provider {provider} needs {', '.join(missing)} in the environment, where "
            "`ps` shows nothing. See docs/serving.md."
        )
    return provider


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = enumerate(text.splitlines(), start=1)
    return [(place, line) for place, line in numbered if line.strip() and not line.startswith("#")]


def _read_line(path: Path, place: int, line: str) -> tuple[str, str]:
    name, _, kept = line.strip().partition(":")
    parts = kept.split("$")
    if len(parts) != 6 or parts[:4] != ["scrypt", str(COST), str(BLOCK), str(LANES)]:
        raise BadFile(
            f"--basic-auth {path}, line {place}: not `NAME:scrypt$...`. A password never stands "
            "there in clear; write the line with --add-user NAME."
        )
    return clean_name(name), kept


@cache
def _nobody() -> str:
    """What an unknown name is compared with."""
    return hashed(secrets.token_urlsafe())


def _slow(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=LANES, maxmem=2**26)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@cache
def _page() -> Any:
    text = (FOLDER / "login.html").read_text("utf-8")
    return Environment(autoescape=True).from_string(text)
