"""Rights come from what the server signed: secret, cookie, link; a file holds names and hashes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from unittest.mock import Mock

import pytest
from tornado.web import create_signed_value

from workbench.dashboard.access import (
    PASSED,
    SECRET_FILE,
    USER,
    VIEWS,
    Access,
    Listed,
    Visit,
    kept_secret,
)
from workbench.dashboard.login import Users, add_user, check_oauth, hashed, inside, matches
from workbench.dashboard.people import may
from workbench.dashboard.server import Team
from workbench.errors import BadFile, BadInput, UnknownName

PEOPLE = Listed({"mira", "jon"})


def signed(access: Access, name: str, value: str) -> dict[str, str]:
    return {name: create_signed_value(access.secret, name, value).decode()}


def asks(**arguments: str) -> dict[str, list[bytes]]:
    return {name: [value.encode()] for name, value in arguments.items()}


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path):
    secret = kept_secret(tmp_path)
    assert kept_secret(tmp_path) == secret
    assert len(secret) >= 48
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600


def test_a_server_that_dies_while_it_makes_the_secret_leaves_none(tmp_path, monkeypatch):
    """Else no server would start there any more, before somebody had removed an empty file."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
        with pytest.raises(BadFile, match="No space left"):
            kept_secret(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(kept_secret(tmp_path)) >= 48


@pytest.mark.parametrize(
    "error", [None, OSError(errno.EPERM, "no links here"), OSError(errno.EOPNOTSUPP, "")]
)
def test_of_two_servers_that_start_at_once_the_first_secret_holds(tmp_path, monkeypatch, error):
    """And where a file system has no links, one of them."""
    first = kept_secret(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # the other looked a moment before
    if error is not None:
        monkeypatch.setattr(os, "link", Mock(side_effect=error))
    assert (kept_secret(tmp_path) == first) is (error is None)
    assert [path.name for path in tmp_path.iterdir()] == [SECRET_FILE]


def test_a_secret_that_others_can_read_or_guess_is_refused_with_the_way_out(tmp_path):
    kept_secret(tmp_path)
    (tmp_path / SECRET_FILE).chmod(0o644)
    with pytest.raises(
        BadFile, match=r"can be read by others \(mode 644; allowed: 600\).*chmod 600"
    ):
        kept_secret(tmp_path)
    (tmp_path / SECRET_FILE).chmod(0o600)
    (tmp_path / SECRET_FILE).write_text("short")
    with pytest.raises(BadFile, match=r"holds 5 letters; at least 48"):
        kept_secret(tmp_path)


def test_a_link_opens_its_own_run_on_its_own_server_only():
    access = Access(share_links=True, people=PEOPLE)
    link = access.token("a-1")
    assert access.comes_by_link(asks(run="a-1", view=link)) == "a-1"
    assert access.comes_by_link(asks(run="a-2", view=link)) is None
    assert access.comes_by_link(asks(run="a-1", view=link[:-1])) is None
    assert access.comes_by_link(asks(run="a-1", view="é")) is None
    assert access.comes_by_link(asks(run="a-1")) is None
    assert Access(share_links=True).comes_by_link(asks(run="a-1", view=link)) is None
    assert Access(access.secret).comes_by_link(asks(run="a-1", view=link)) is None, "not shared"


def test_a_view_in_the_address_takes_rights_away_and_gives_none():
    access = Access(people=PEOPLE, share_links=True)
    mira = signed(access, USER, "mira")
    assert access.visit(mira, asks(run="a")) == Visit("mira", None, touch=True, fork=True)
    assert access.visit(mira, asks(run="a", view="x")) == Visit("mira", "a", touch=False, fork=True)
    guest = access.visit({}, asks(run="a", view=access.token("a")))
    assert guest == Visit(None, "a", touch=False, fork=False)
    assert not access.visit({}, asks(run="a")).touch, "nobody has logged in"


def test_who_has_left_the_file_or_signed_elsewhere_is_nobody():
    access = Access(people=PEOPLE)
    assert access.user(signed(access, USER, "mira")) == "mira"
    assert access.user(signed(access, USER, "eve")) is None
    assert access.user(signed(Access(), USER, "mira")) is None
    assert access.user({USER: "mira"}) is None


def test_on_a_read_only_server_nobody_may_touch_or_fork():
    access = Access(read_only=True)
    assert access.visit({}, asks(run="a")) == Visit(None, None, touch=False, fork=False)
    assert access.refuses("POST", {}, asks(run="a"))
    assert not access.refuses("GET", {}, asks(run="a"))


@pytest.mark.parametrize(
    ("method", "arguments", "refused"),
    [
        ("GET", asks(run="a"), False),
        ("HEAD", asks(run="a", step="3"), False),
        ("GET", asks(run="b"), True),
        ("GET", {"run": [b"a", b"b"]}, True),
        ("GET", asks(), True),
        ("GET", asks(run="a", compare="b"), True),
        ("GET", asks(run="a", runs=""), True),
        ("GET", asks(run="a", models=""), True),
        ("POST", asks(run="a"), True),
    ],
)
def test_a_guest_may_take_away_what_belongs_to_the_run_of_the_link(method, arguments, refused):
    access = Access(people=PEOPLE, share_links=True)
    assert access.refuses(method, signed(access, VIEWS, "c,a"), arguments) is refused
    assert access.refuses(method, {}, arguments), "without the cookie"
    assert not access.refuses(method, signed(access, USER, "mira"), arguments)


@pytest.mark.parametrize(
    "do", ["set", "pause", "resume", "stop", "pace", "note", "start", "pair", "unheard-of", ""]
)
def test_who_may_only_look_is_refused_all_that_changes_and_all_that_is_new(do):
    assert not may(Visit(touch=False), do)
    assert may(Visit(), do)


def test_who_may_only_look_may_look_and_perhaps_fork():
    for do in ("look", "select", "layers", "explain"):
        assert may(Visit(touch=False, fork=False), do)
    assert may(Visit(touch=False, fork=True), "fork")
    assert not may(Visit(touch=False, fork=False), "fork")


def test_the_file_holds_no_password_and_lets_in_who_knows_theirs(tmp_path):
    path = tmp_path / "users"
    add_user(path, "mira", "correct horse")
    add_user(path, "jon", "battery staple")
    add_user(path, "mira", "changed horse")
    text = path.read_text()
    assert "changed horse" not in text and "correct horse" not in text
    assert text.count("mira:") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    users = Users(path)
    assert users.lets_in("mira", "changed horse") and users.lets_in("jon", "battery staple")
    assert not users.lets_in("mira", "correct horse")
    assert not users.lets_in("eve", "changed horse")


def test_who_is_taken_out_of_the_file_is_out_at_once(tmp_path):
    path = tmp_path / "users"
    add_user(path, "mira", "correct horse")
    add_user(path, "jon", "battery staple")
    users = Users(path)
    assert "mira" in users
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("mira:")))
    assert "mira" not in users and "jon" in users


def test_a_new_password_ends_the_logins_and_the_open_pages_of_the_old_one_and_no_other(tmp_path):
    path = tmp_path / "users"
    for name in ("mira", "jon"):
        add_user(path, name, "correct horse")
    users = Users(path)
    access = Access(people=users)
    cookies = {
        name: {**signed(access, USER, name), **signed(access, PASSED, users.mark(name))}
        for name in ("mira", "jon")
    }
    visits = {name: access.visit(cookies[name], asks()).of(users) for name in cookies}
    assert all(access.user(cookies[name]) == name and visits[name].stays for name in cookies)
    add_user(path, "mira", "battery staple")
    assert access.user(cookies["mira"]) is None and not visits["mira"].stays
    assert access.user(cookies["jon"]) == "jon" and visits["jon"].stays
    assert access.user(signed(access, USER, "jon")) is None, "a name without a mark"
    theirs = signed(access, PASSED, users.mark("mira"))
    assert access.user({**signed(access, USER, "jon"), **theirs}) is None


def test_a_new_password_counts_within_the_second_that_a_file_system_counts(tmp_path):
    path = tmp_path / "users"
    add_user(path, "mira", "correct horse")
    os.utime(path, (10, 10))
    users = Users(path)
    assert users.lets_in("mira", "correct horse")
    add_user(path, "mira", "battery staple")
    os.utime(path, (10, 10))
    assert not users.lets_in("mira", "correct horse") and users.lets_in("mira", "battery staple")


def test_two_hashes_of_one_password_differ():
    first, second = hashed("correct horse"), hashed("correct horse")
    assert first != second
    assert matches("correct horse", first) and matches("correct horse", second)


@pytest.mark.parametrize(
    ("content", "words"),
    [("mira:secret\n", r"line 1: not `NAME:scrypt"), ("", "names nobody"), ("{}", "line 1")],
)
def test_a_file_of_clear_passwords_is_refused(tmp_path, content, words):
    path = tmp_path / "users"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(BadFile, match=words):
        Users(path)


def test_a_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "users"
    add_user(path, "mira", "correct horse")
    path.chmod(0o640)
    with pytest.raises(BadFile, match=r"read by others \(mode 640; allowed: 600\)"):
        Users(path)


@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("mi:ra", "correct horse", "colon"),
        ("mira", "short", "5 letters"),
        ("", "long enough", "empty"),
    ],
)
def test_a_login_that_cannot_be_kept_is_refused(tmp_path, name, password, words):
    with pytest.raises(BadInput, match=words):
        add_user(tmp_path / "users", name, password)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example", "/\\evil", "", "/other/", "/team/kd\n/"]
)
def test_the_way_back_after_the_login_stays_on_this_server(address):
    assert inside(address, "/team/kd") == "/team/kd/"
    assert inside("/team/kd/?run=a", "/team/kd") == "/team/kd/?run=a"


def test_oauth_needs_its_keys_in_the_environment_and_names_to_let_in(monkeypatch):
    with pytest.raises(UnknownName, match=r"Did you mean 'github'"):
        check_oauth("git-hub", {})
    with pytest.raises(BadInput, match=r"PANEL_OAUTH_KEY, PANEL_OAUTH_SECRET.*in the environment"):
        check_oauth("github", {})
    for name in ("KEY", "SECRET"):
        monkeypatch.setenv(f"PANEL_OAUTH_{name}", "x")
    with pytest.raises(BadInput, match=r"whoever has an account.*--allow-user"):
        Team(oauth_provider="github").who()
    people = Team(oauth_provider="github", people=("mira",)).who()
    assert people is not None and "mira" in people and "eve" not in people
    assert "eve" in (Team(oauth_provider="gitlab", people=("*",)).who() or ())


def test_links_without_a_login_make_no_sense_without_a_login():
    with pytest.raises(BadInput, match=r"--share-links opens a run without a login"):
        Team(share_links=True).who()
