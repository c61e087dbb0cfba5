"""The server: one line, this machine only, its own headers, gone at a word; without torch."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet
from panel.io.state import set_curdoc

from workbench import registry
from workbench.dashboard import assets, server
from workbench.dashboard.hub import Hub
from workbench.dashboard.server import serve
from workbench.dashboard.session import open_page
from workbench.errors import BadAddress
from workbench.runs.launch import FreshStarter

from ..waiting import PATIENCE


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_every_answer_keeps_the_page_to_itself(served):
    for path in ("/", f"/{assets.url('icon.svg')}", "/no-such-page"):
        _, headers, _ = get(served.url + path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        (sockets,) = (part for part in policy.split("; ") if part.startswith("connect-src"))
        port = served.url.rsplit(":", 1)[1]
        assert f"ws://127.0.0.1:{port} " in sockets and "ws: " not in sockets
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_it_says_where_the_page_is_also_where_a_proxy_is_set(served, monkeypatch, capsys):
    """A proxy of the user's does not reach the page: it would be asked for its own loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server._announce(served.url, "", False)
    assert capsys.readouterr().out == f"Workbench: {served.url}\n"


def test_the_page_names_no_other_host(served):
    # by its addresses, not by a word such as "cdn": the session's token is random letters
    status, _, body = get(served.url)
    assert status == 200
    named = re.findall(r'\b(?:src|href)="([^"]*)"', body.decode())
    assert any(address.endswith(".js") or ".js?" in address for address in named)
    assert [address for address in named if urlsplit(address).netloc] == []
    assert b"://" not in body


def test_plotly_comes_packed_and_may_be_kept_for_good(served):
    url = f"{served.url}/{assets.url('plotly.js')}"
    status, headers, body = get(url, **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in headers["Cache-Control"]
    assert len(body) < 2_000_000
    status, headers, plain = get(url)
    assert "Content-Encoding" not in headers
    assert plain == assets.content("plotly.js")


@pytest.mark.parametrize("path", ["/assets/0/secret.js", "/assets/0/..%2Fserver.py", "/assets/"])
def test_only_named_assets_are_served(served, path):
    assert get(served.url + path)[0] == 404


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("http://localhost:1", 403)]
)
def test_a_page_of_another_origin_gets_no_websocket(served, origin, status):
    host, port = served.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    connection.request(
        "GET",
        "/ws",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Origin": origin,
        },
    )
    assert connection.getresponse().status == status
    connection.close()


def test_only_loopback_is_bound(served):
    port = int(served.url.rsplit(":", 1)[1])
    with socket.socket() as plug, pytest.raises(OSError, match="refused"):
        plug.connect(("127.0.0.2", port))


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly_after_its_one_line(fresh_servers, finished, word):
    served = fresh_servers.start(finished.store.path)
    served.process.send_signal(word)
    assert served.process.wait(timeout=PATIENCE) == 0
    assert served.said == f"Workbench: {served.url}\n"
    assert served.process.stdout.read() == ""


def test_a_taken_port_is_refused_before_anything_starts(tmp_path, monkeypatch):
    # a server lets no experiment import modules from then on: here that ends with the test
    monkeypatch.setattr(registry, "_KNOWN_ONLY", threading.Event())
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        plug.listen()
        port = plug.getsockname()[1]
        with pytest.raises(BadAddress, match=f"Port {port} is in use"):
            serve(str(tmp_path / "w.db"), port=port, open_browser=False)
    assert list(tmp_path.iterdir()) == []


def test_the_server_process_does_not_load_torch():
    code = (
        "import sys, workbench.dashboard.server\n"
        "print(*sorted({'torch', 'timm', 'sklearn', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("asked", [{}, {"runs": [b""]}, {"new": [b"quickstart"]}])
def test_no_piece_of_a_page_is_made_with_a_style_from_elsewhere(store, asked):
    hub = Hub(store, FreshStarter())
    doc = Document()
    try:
        with set_curdoc(doc):
            request = SimpleNamespace(arguments=asked, cookies={}, headers={})
            doc._session_context = lambda: SimpleNamespace(request=request, id="x")
            open_page(hub)._init_doc(doc)
        styles = [model.url for model in doc.models if isinstance(model, ImportedStyleSheet)]
        assert styles
        assert not [url for url in styles if url.startswith("http")]
    finally:
        hub.close()
