"""``/tables`` and the tables of ``/export``: files of numbers, and refusals that say why."""

from __future__ import annotations

import asyncio
import csv
import io

import numpy as np
import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.httputil import url_concat
from tornado.netutil import bind_sockets
from tornado.web import Application

from workbench.dashboard.downloads import TABLES, ExportHandler, TableHandler
from workbench.export import export_comparison
from workbench.runs.comparison import compare


def ask(store, path: str, **query: str) -> HTTPResponse:
    """What the server says to one request."""

    async def answer() -> HTTPResponse:
        routes = [
            ("/export", ExportHandler, {"store": store}),
            ("/tables", TableHandler, {"store": store}),
        ]
        server = HTTPServer(Application(routes))
        server.add_sockets(sockets := bind_sockets(0, "127.0.0.1"))
        url = url_concat(f"http://127.0.0.1:{sockets[0].getsockname()[1]}{path}", query)
        told = await AsyncHTTPClient().fetch(url, raise_error=False)
        server.stop()
        return told

    return asyncio.run(answer())


def rows_of(told: HTTPResponse) -> list[list[str]]:
    lines = [line for line in told.body.decode().splitlines() if line and line[0] != "#"]
    return list(csv.reader(io.StringIO("\n".join(lines))))


def test_the_points_are_every_logged_step_as_a_file(finished):
    told = ask(finished.store, "/tables", run=finished.run, name="points", to="csv")
    assert told.code == 200
    assert told.headers["Content-Type"].startswith("text/csv")
    assert f'filename="{finished.run}-points.csv"' in told.headers["Content-Disposition"]
    head, *rows = rows_of(told)
    logged = finished.store.metrics.read(finished.run, "train")
    of_train = head.index(f"train {logged.columns[0]}")
    values = [float(row[of_train]) for row in rows if row[of_train]]
    assert values == logged.values[:, 0].tolist(), "the very floats"


def test_the_points_of_a_selection_hold_its_accuracy_at_each_snapshot(finished):
    snapshots = finished.store.snapshots(finished.run)
    ids = snapshots[-1].arrays["answers.ids"][2:9]
    text = ",".join(map(str, ids.tolist()))
    told = ask(finished.store, "/tables", run=finished.run, name="points", to="csv", select=text)
    head, *rows = rows_of(told)
    for who in ("student", "teacher"):
        column = next(k for k, name in enumerate(head) if f"of the {who}, 7 of" in name)
        found = {int(row[0]): float(row[column]) for row in rows if row[column]}
        expected = {}
        for one in snapshots:
            right = one.arrays[f"answers.{who}_class"] == one.arrays["answers.labels"]
            expected[one.step] = float(right[np.isin(one.arrays["answers.ids"], ids)].mean())
        assert found == expected
    bad = ask(finished.store, "/tables", run=finished.run, name="points", to="csv", select="<b>")
    assert bad.code == 404 and b"Allowed" in bad.body


@pytest.mark.parametrize("kind", TABLES)
def test_an_export_that_is_a_table_is_the_same_text_as_the_table(finished, kind):
    name, to = TABLES[kind]
    told = ask(finished.store, "/export", run=finished.run, to=kind)
    assert told.code == 200
    same = ask(finished.store, "/tables", run=finished.run, name=name, to=to)
    assert told.body == same.body
    assert finished.run.encode() in told.body, "the conditions come with it"


def test_a_comparison_is_a_row_a_setting(finished):
    runs = f"{finished.run},{finished.run}-control"
    told = ask(finished.store, "/tables", compare=runs, against=f"{finished.run}-control", to="tex")
    assert told.code == 200
    assert b"\\toprule" in told.body and b"baseline" in told.body


def test_a_comparison_is_taken_away_as_the_script_that_a_shell_writes(finished, tmp_path):
    control = f"{finished.run}-control"
    told = ask(
        finished.store, "/export", compare=finished.run, against=control, measure="test-nll",
        to="script",
    )  # fmt: skip
    assert told.code == 200, told.body
    assert told.headers["Content-Disposition"] == 'attachment; filename="comparison.py"'
    picked = {"against": control, "measure": "test-nll"}
    found = compare(finished.store, [finished.run], **picked)
    path = export_comparison(finished.store, found, tmp_path / "x.py")
    assert told.body == path.read_bytes()
    for name, value in (("against", "--force"), ("measure", "--force")):
        query = {"compare": finished.run, "against": control, "measure": "test-nll", name: value}
        assert ask(finished.store, "/export", to="script", **query).code == 404


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/tables", {"name": "points", "to": "xlsx"}, 404),
        ("/tables", {"name": "points/../x"}, 404),
        ("/tables", {"name": "cka", "step": "-1"}, 400),
        ("/tables", {"name": "cka", "step": "1e3"}, 400),
        ("/tables", {}, 400),
        ("/tables", {"name": "points", "run": "nothing"}, 404),
        ("/tables", {"compare": ","}, 400),
        ("/tables", {"compare": "nothing"}, 404),
        ("/export", {"to": "exe"}, 404),
        ("/export", {"to": "points-csv", "run": "../x"}, 404),
        ("/export", {}, 400),
        ("/export", {"to": "yaml", "compare": "nothing"}, 404),
        ("/export", {"to": "script", "compare": "--help,nothing"}, 404),
        ("/export", {"to": "script", "compare": ","}, 404),
        ("/export", {"to": "script", "compare": "", "against": "--force"}, 404),
    ],
)
def test_a_bad_query_is_refused(finished, path, query, code):
    told = ask(finished.store, path, **{"run": finished.run, **query})
    assert told.code == code
    assert "Content-Disposition" not in told.headers
    assert b"Traceback" not in told.body
