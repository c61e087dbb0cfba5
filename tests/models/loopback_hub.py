"""A hub on loopback: serves folders ORG/NAME of a root as model repositories."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._describe("/".join(parts[2:4]), body)
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), "/".join(parts[4:]), body)
        else:
            self._missing("RepoNotFound")

    def _describe(self, repo: str, body: bool) -> None:
        folder = self.server.root / repo
        if not folder.is_dir():
            self._missing("RepoNotFound")
            return
        names = [{"rfilename": entry.name} for entry in sorted(folder.iterdir())]
        data = json.dumps({"id": repo, "sha": COMMIT, "siblings": names}).encode()
        self._send(200, data, {"Content-Type": "application/json"}, body)

    def _file(self, repo: str, name: str, body: bool) -> None:
        folder = self.server.root / repo
        if not folder.is_dir():
            self._missing("RepoNotFound")
        elif not (folder / name).is_file():
            self._missing("EntryNotFound")
        else:
            data = (folder / name).read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            self._send(200, data, {"ETag": tag}, body)

    def _missing(self, code: str) -> None:
        self._send(404, b"", {"X-Error-Code": code, "X-Error-Message": "not here"}, False)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing; the requests are kept."""


@contextmanager
def running(root: Path) -> Iterator[Hub]:
    """A hub that serves ``root`` until the block ends."""
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
