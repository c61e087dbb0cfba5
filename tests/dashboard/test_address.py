"""The page listens on this machine only, on a port that is free, or says which one is."""

from __future__ import annotations

import re
import socket

import pytest

from workbench.dashboard.address import (
    check_host,
    check_origins,
    check_prefix,
    choose_port,
    next_free,
)
from workbench.errors import BadAddress

OPEN = ".".join("0000")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_the_address_that_is_bound(host):
    assert check_host(host) == "127.0.0.1"


@pytest.mark.parametrize("host", [OPEN, "192.0.2.7", "::", "::1", "127.0.0.2"])
def test_an_address_that_others_may_reach_is_refused_without_a_login(host):
    with pytest.raises(BadAddress, match=r"WB110.*127\.0\.0\.1 only.*--basic-auth.*ssh -L"):
        check_host(host)
    assert check_host(host, login=True) == host


def test_a_host_that_is_no_address_names_those_allowed():
    with pytest.raises(BadAddress, match=r"'my host' is not an address.*127\.0\.0\.1, localhost"):
        check_host("my host", login=True)


def test_origins_are_those_of_the_bind_or_exactly_those_that_were_named():
    assert check_origins([], "127.0.0.1", 8760) == ["127.0.0.1:8760", "localhost:8760"]
    assert check_origins([], "192.0.2.7", 80) == ["192.0.2.7:80"]
    assert check_origins(["KD.example.org:443", "a:81"], OPEN, 1) == ["kd.example.org", "a:81"]


@pytest.mark.parametrize("origin", ["*", "*.example.org", "https://a", "a/b", "", "a b", "a:http"])
def test_an_origin_that_is_a_pattern_or_an_address_is_refused(origin):
    with pytest.raises(BadAddress, match=r"--allow-origin .* is not HOST or HOST:PORT"):
        check_origins([origin], "127.0.0.1", 8760)


def test_a_bind_of_every_address_asks_for_the_name_that_browsers_use():
    with pytest.raises(BadAddress, match=r"every address.*--allow-origin HOST:8760"):
        check_origins([], OPEN, 8760)


@pytest.mark.parametrize("prefix", ["team", "/a b", "/..", "/a//b", "/<x>", "//evil"])
def test_a_prefix_that_is_no_plain_path_is_refused(prefix):
    with pytest.raises(BadAddress, match=r"--prefix .* is no path"):
        check_prefix(prefix)
    assert check_prefix("/team/kd/") == "/team/kd"


def listener() -> socket.socket:
    """As a server's: what was said there a minute ago does not keep it from the port."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**9])
def test_a_port_out_of_range_names_the_range(port):
    with pytest.raises(BadAddress, match=rf"--port {port} is no port\. Allowed: 1 to 65535"):
        choose_port("127.0.0.1", port)


def test_a_port_in_use_offers_one_that_can_be_bound():
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        plug.listen()
        taken = plug.getsockname()[1]
        with pytest.raises(BadAddress, match=rf"Port {taken} is in use") as refused:
            choose_port("127.0.0.1", taken)
    offered = int(re.search(r"--port (\d+)", str(refused.value))[1])
    assert offered != taken
    with listener() as other:
        other.bind(("127.0.0.1", offered))
    assert refused.value.exit_code == 2


def test_without_a_port_a_free_one_is_taken():
    with listener() as plug:
        plug.bind(("127.0.0.1", choose_port("127.0.0.1", None)))


def test_the_search_passes_over_ports_in_use():
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        plug.listen()
        taken = plug.getsockname()[1]
        assert next_free("127.0.0.1", taken) != taken
