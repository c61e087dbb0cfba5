from __future__ import annotations

import ast
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.export import export_run
from workbench.store.runs import RunRow
from workbench.store.store import Store

Fresh = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path("/")


@pytest.fixture(scope="module")
def exported(store: Store, nasty: RunRow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile run as a script."""
    return export_run(store, nasty.id, "script", tmp_path_factory.mktemp("script") / "x.py")


def constants(path: Path) -> dict[str, Any]:
    """What the file assigns, read as data, without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.value is not None
    }


def test_check_is_fine_in_a_fresh_process_at_the_root(exported: Path, fresh: Fresh, nasty: RunRow):
    done = fresh(str(exported), "--check", folder=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    result = nasty.result or {}
    for part in ("teacher", "student", "control"):
        assert f"{part} accuracy" in done.stdout
        shown = str(result["metrics"][part]["nll"])
        assert done.stdout.count(shown) == 2  # recorded, and found again
    assert "bit for bit" in done.stdout


def test_a_changed_bit_is_named_and_ends_with_1(
    exported: Path, python: Fresh, nasty: RunRow, tmp_path: Path
):
    recorded = (nasty.result or {})["metrics"]["student"]["nll"]
    other = math.nextafter(recorded, math.inf)  # a changed digit may be read as the same number
    source = exported.read_text(encoding="utf-8")
    assert source.count(repr(recorded)) == 1
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace(repr(recorded), repr(other)), encoding="utf-8")
    done = python(changed, "--check", "--json", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["equal"] is False
    (difference,) = report["different"]
    assert difference.startswith(f"student nll: recorded {other}, here {recorded}")
    assert report["metrics"]["student"]["nll"] == recorded
    assert report["elsewhere"] == []


def test_another_version_is_told_beside_the_difference(
    exported: Path, nasty: RunRow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """The program itself, with a training that has other numbers on another build."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(exported.read_text(encoding="utf-8"), str(exported), "exec"), names)  # noqa: S102
    protocol = json.loads(json.dumps(nasty.protocol))
    protocol["versions"]["torch"] = "9.9"
    found = {**(nasty.result or {}), "weights": "0" * 64, "protocol": protocol}
    names["train"] = lambda store, base: found
    monkeypatch.setattr(sys, "argv", ["x.py", "--check"])
    assert names["main"]() == 1
    shown = capsys.readouterr().out
    assert "NOT equal: 1 of" in shown
    assert "First weights: recorded" in shown
    assert re.search(r"torch: recorded with .*, here 9\.9: equal bits are not promised", shown)


def test_hostile_words_come_back_as_data(exported: Path, nasty: RunRow, hostile: str):
    held = constants(exported)
    experiment = held["EXPERIMENT"]
    assert experiment["name"] == hostile
    by_hand, planned = experiment["interventions"]
    assert (by_hand["step"], planned["step"]) == (0, 5)
    assert by_hand["note"] == planned["note"] == hostile
    assert by_hand["who"] == hostile[:100]
    assert by_hand["set"] == {"stages.main.optimiser.lr": 0.02}
    assert held["EXPECTED"]["metrics"] == (nasty.result or {})["metrics"]
    assert held["EXPECTED"]["weights"] == (nasty.result or {})["weights"]
    assert held["RECORDED"]["threads"] == 1


def test_hostile_words_change_nothing_but_the_data(
    exported: Path, store: Store, untouched: RunRow, tmp_path: Path
):
    plain = export_run(store, untouched.id, "script", tmp_path / "plain.py")

    def program(path: Path) -> list[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return [ast.dump(node) for node in tree.body if not isinstance(node, ast.AnnAssign)]

    assert program(exported) == program(plain)
    source = exported.read_text(encoding="utf-8")
    assert all(line.isprintable() for line in source.split("\n"))
    assert not [line for line in source.split("\n") if line.startswith("#")]


def test_nothing_of_the_exporter_is_in_it(exported: Path, store: Store):
    held = constants(exported)
    assert held["BASE"] is None
    assert held["STORE"] is None
    assert str(store.folder) not in exported.read_text(encoding="utf-8")
    assert str(Path.cwd()) not in exported.read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_file(
    exported: Path, store: Store, nasty: RunRow, tmp_path: Path
):
    again = export_run(store, nasty.id, "script", tmp_path / "x.py")
    assert again.read_bytes() == exported.read_bytes()


def assert_ours(path: Path) -> None:
    """The project's own rules have nothing to say about a file that was written."""
    shutil.copy(Path(__file__).parents[2] / "pyproject.toml", path.parent / "pyproject.toml")
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_reads_as_our_own_code_does(store: Store, untouched: RunRow, tmp_path: Path):
    path = export_run(store, untouched.id, "script", tmp_path / "plain.py")
    assert_ours(path)


def test_a_module_of_the_experiments_folder_is_found_from_elsewhere(
    store: Store, train: Callable[..., RunRow], python: Fresh, tmp_path: Path
):
    study = tmp_path / "a study; $HOME"
    study.mkdir()
    (study / "halving_ramp.py").write_text(
        "def half(step, steps):\n    return 0.5 if step < steps / 2 else 0.25\n"
    )
    weight = {"stages.main.terms.kd.weight": {"import": "halving_ramp:half"}}
    row = train(weight, base=study)
    path = export_run(store, row.id, "script", tmp_path / "x.py")
    assert constants(path)["BASE"] == str(study)
    done = python(path, "--check", folder=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    elsewhere = python(path, "--check", "--base", str(tmp_path), folder=ROOT)
    assert elsewhere.returncode == 2
    assert "halving_ramp:half" in elsewhere.stderr
    assert "Traceback" not in elsewhere.stderr


def test_a_model_of_another_run_is_looked_up_in_its_store(
    store: Store, train: Callable[..., RunRow], untouched: RunRow, tmp_path: Path
):
    row = train({"teacher": f"run:{untouched.id}@last", "stages.main.steps": 4})
    path = export_run(store, row.id, "script", tmp_path / "x.py")
    assert constants(path)["STORE"] == str(store.path)
