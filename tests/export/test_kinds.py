from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from workbench.cli import export as command
from workbench.cli.run import run as run_command
from workbench.errors import (
    BadFile,
    NotSendable,
    RefusedCommand,
    UnknownName,
    UnknownRun,
    WorkbenchError,
)
from workbench.export import KINDS, export_run
from workbench.export.story import story_of
from workbench.runs.launch import accept
from workbench.runs.notes import note
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import read_yaml
from workbench.store.runs import RunRow
from workbench.store.store import Store

app = Typer(pretty_exceptions_enable=False)
command.register(app)
app.command("run")(run_command)  # an app of one command would take no name for it


def workbench(store: Store, *words: str) -> tuple[int, str]:
    """Exit code as the command gives it, and all that was said."""
    result = CliRunner().invoke(app, [*words, "--store", str(store.path)])
    if isinstance(result.exception, WorkbenchError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_experiment_file_trains_to_the_same_weights(
    store: Store, nasty: RunRow, train: Callable[..., RunRow], hostile: str, tmp_path: Path
):
    path = export_run(store, nasty.id, "yaml", tmp_path / "x.yaml")
    spec = ExperimentSpec.parse(read_yaml(path))
    assert spec.name == hostile
    assert [item.note for item in spec.interventions] == [hostile, hostile]
    assert spec.interventions[0].who == hostile[:100]
    again = train(spec.given())
    for field in ("weights", "metrics"):
        assert (again.result or {})[field] == (nasty.result or {})[field]


def test_notes_stand_in_the_files_as_words_and_change_nothing(
    store: Store, nasty: RunRow, tmp_path: Path
):
    before = read_yaml(export_run(store, nasty.id, "yaml", tmp_path / "before.yaml"))
    note(store, nasty.id, 'the jump: "warm-up" # {x', who="mi ra", step=1)
    path = export_run(store, nasty.id, "yaml", tmp_path / "after.yaml")
    assert path.read_text().splitlines()[0] == '# step 1, mi ra: the jump: "warm-up" # {x'
    assert read_yaml(path) == before
    script = export_run(store, nasty.id, "script", tmp_path / "again.py").read_text()
    (recorded,) = [
        line.value
        for line in ast.parse(script).body
        if isinstance(line, ast.AnnAssign) and getattr(line.target, "id", "") == "RECORDED"
    ]
    told = ast.literal_eval(recorded)["notes"]
    assert told == [{"step": 1, "text": 'the jump: "warm-up" # {x', "who": "mi ra"}]


def test_a_run_with_a_module_beside_its_experiment_is_exported_from_anywhere(
    store: Store, nasty: RunRow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The process that exports has not trained it, and stands in no particular folder."""
    (tmp_path / "beside_it.py").write_text("HERE = True\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    experiment = {**nasty.experiment, "modules": ["beside_it"]}
    row = replace(nasty, experiment=experiment, options={**nasty.options, "base": str(tmp_path)})
    try:
        assert story_of(store, row).modules == ["beside_it"]
    finally:
        sys.modules.pop("beside_it", None)


def test_experiment_file_in_another_folder_has_whole_paths(
    store: Store, nasty: RunRow, tmp_path: Path
):
    study = tmp_path / "study"
    study.mkdir()
    spec = ExperimentSpec.parse(nasty.experiment).replace(
        {"data": {"use": "folder", "path": "photos"}}
    )
    run = accept(store, spec, base=study)
    elsewhere = read_yaml(export_run(store, run, "yaml", tmp_path / "x.yaml"))
    assert elsewhere["data"]["path"] == str(study / "photos")
    beside = read_yaml(export_run(store, run, "yaml", study / "x.yaml"))
    assert beside["data"]["path"] == "photos"


def test_experiment_file_does_not_leave_its_modules_behind(
    store: Store, nasty: RunRow, tmp_path: Path
):
    study = tmp_path / "study"
    study.mkdir()
    (study / "ramps.py").write_text("def up(step, steps):\n    return step / steps\n")
    weight = {"stages.main.terms.kd.weight": {"import": "ramps:up"}}
    run = accept(store, ExperimentSpec.parse(nasty.experiment).replace(weight), base=study)
    with pytest.raises(RefusedCommand, match=r"imports 'ramps' from .*study.*--base"):
        export_run(store, run, "yaml", tmp_path / "x.yaml")
    assert export_run(store, run, "yaml", study / "x.yaml").is_file()


@pytest.mark.parametrize("kind", ["script", "notebook", "weights"])
def test_a_run_without_numbers_says_what_it_waits_for(
    kind: str, store: Store, nasty: RunRow, tmp_path: Path
):
    run = accept(store, ExperimentSpec.parse(nasty.experiment))
    words = "its weights are final when" if kind == "weights" else "no final numbers: it is queued"
    with pytest.raises(RefusedCommand, match=words):
        export_run(store, run, kind, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "stopped", "step": 5, "steps": 14}, "stopped at step 5 of 14.*--to yaml"),
        ({"status": "failed", "step": 5, "steps": 14}, "it failed.*workbench show"),
    ],
)
def test_a_run_that_will_have_none_says_why(
    fields: dict[str, Any], words: str, store: Store, nasty: RunRow, tmp_path: Path
):
    run = accept(store, ExperimentSpec.parse(nasty.experiment))
    store.runs.update(run, **fields)
    with pytest.raises(RefusedCommand, match=words):
        export_run(store, run, "script", tmp_path / "x.py")


@pytest.mark.parametrize("kind", ["script", "notebook", "yaml"])
def test_python_objects_are_refused_in_words(
    kind: str, store: Store, nasty: RunRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    held = replace(nasty, experiment={**nasty.experiment, "teacher": {"use": "object", "of": "N"}})
    monkeypatch.setattr(store.runs, "get", lambda run: held)
    with pytest.raises(NotSendable, match=r"WB113.*teacher: a N object cannot be exported"):
        export_run(store, nasty.id, kind, tmp_path / "x.py")


def test_a_part_of_a_run_is_no_run(store: Store, nasty: RunRow, tmp_path: Path):
    for kind, name in (("script", "x.py"), ("weights", "x.safetensors")):
        with pytest.raises(RefusedCommand, match=f"is a control; export the whole run, {nasty.id}"):
            export_run(store, f"{nasty.id}-control", kind, tmp_path / name)


def test_unknown_kind_and_run_are_named(store: Store, nasty: RunRow, tmp_path: Path):
    with pytest.raises(UnknownName, match=r"kind of export 'scrip'\. Did you mean 'script'"):
        export_run(store, nasty.id, "scrip", tmp_path / "x.py")
    with pytest.raises(UnknownRun, match="No run 'nobody'"):
        export_run(store, "nobody", "script", tmp_path / "x.py")


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("script", ".", "is a folder"),
        ("script", "absent/x.py", "there is no folder .*absent"),
        ("script", "there.py", "exists.*--force"),
        ("script", "a\0b", "cannot be used as a path"),
        ("script", "x" * 300, "cannot be used as a path"),
        ("script", "random.py", "stand in for the module 'random'"),
        ("script", "__main__.py", "stand in for the module '__main__'"),
        ("script", "torch.py", "stand in for the module 'torch'"),
        ("script", "workbench.py", "stand in for the module 'workbench'"),
        ("weights", "student.pt", "ends in .safetensors"),
        ("weights", "absent", "ends in .safetensors"),
    ],
)
def test_a_place_that_cannot_be_is_refused(
    kind: str, name: str, words: str, store: Store, nasty: RunRow, tmp_path: Path
):
    (tmp_path / "there.py").write_text("mine")
    with pytest.raises(BadFile, match=words) as refused:
        export_run(store, nasty.id, kind, tmp_path / name)
    assert refused.value.exit_code == 2
    assert [item.name for item in tmp_path.iterdir()] == ["there.py"]
    assert (tmp_path / "there.py").read_text() == "mine"


def test_what_is_no_regular_file_is_never_replaced(store: Store, nasty: RunRow):
    with pytest.raises(BadFile, match="no regular file"):
        export_run(store, nasty.id, "script", "/dev/null", force=True)
    assert Path("/dev/null").is_char_device()


def test_command_speaks_json_only(store: Store, nasty: RunRow, tmp_path: Path):
    words = ("export", nasty.id, "--to", "weights", "-o", str(tmp_path), "--json")
    code, said = workbench(store, *words)
    assert code == 0
    found = json.loads(said)
    assert found["path"] == str(tmp_path / "student.safetensors")
    assert len(found["load"]) == 3
    assert "1 x 8 x 8" in found["inputs"]


@pytest.mark.parametrize("kind", KINDS)
def test_command_exports_every_kind_once(kind: str, store: Store, nasty: RunRow, tmp_path: Path):
    path = tmp_path / ("x.safetensors" if kind == "weights" else "x.file")
    words = ("export", nasty.id, "--to", kind, "-o", str(path))
    code, said = workbench(store, *words)
    assert (code, path.is_file()) == (0, True)
    assert str(path) in said
    assert ("load_state_dict" in said) == (kind == "weights")
    size = path.stat().st_size
    code, said = workbench(store, *words)
    assert (code, "--force" in said) == (2, True)
    path.write_bytes(b"old")
    assert workbench(store, *words, "--force")[0] == 0
    assert path.stat().st_size == size
