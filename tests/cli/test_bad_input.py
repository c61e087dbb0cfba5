"""Wrong input: a short message with field, value, what is allowed, a way out; nothing is left.

What only a worker can see (data, models) is looked at by a worker that runs inside this process.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from workbench.cli.main import main
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.models.weights import save_weights
from workbench.registries import MODELS
from workbench.runs.worker import work
from workbench.store.store import Store

LONGEST = 700
"""Characters of a message that somebody still reads."""


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    out: str
    err: str


Refuse = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the user."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def refuse(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Runs a command that must be refused; returns the message, after a look at what is left."""

    def run(*words: str) -> str:
        file = tmp_path / "store" / "wb.db"
        with pytest.raises(SystemExit) as ended:
            main([*words, "--store", str(file)])
        said = Said(*capsys.readouterr())
        assert ended.value.code == 2, said
        assert said.out == ""
        (message,) = said.err.split("workbench: ")[1:]
        assert 20 < len(message) < LONGEST, message
        if file.is_file():
            with closing(Store(str(file))) as store:
                assert store.runs.list(roles=("student", "teacher", "control")) == []
        runs = file.parent / "runs"
        assert not runs.is_dir() or list(runs.iterdir()) == []
        return message

    return run


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers run in this process, which gets its own settings back afterwards."""

    class Here:
        def start(self, store: Store, run: str) -> None:
            log = store.runs.folder(run) / "log.txt"
            with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
                work(str(store.path), run)

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a worker adds the experiment's folder
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    torch.backends.cudnn.benchmark = benchmark


# -- the command's own words ------------------------------------------------------------------


def words(*parts: str) -> tuple[str, ...]:
    """Parts that a message must have."""
    return parts


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("data.use=digit", words("data.use", "'digit'", "Did you mean 'digits'?", "folder, idx")),
        ("student=cnn-tini", words("student.use", "'cnn-tini'", "Did you mean 'cnn-tiny'?")),
        ("student=timm/resnet999", words("student.use", "'resnet999'", "Did you mean")),
        ("student=timm/crossvit_9_240", words("student.use", "crossvit is not supported", "Take")),
        (
            "stages.main.terms.kd.use=kdd",
            words("stages.main.terms.kd.use", "'kd'?", "dkd, generalized-jsd"),
        ),
        ("stages.main.terms.kd.temprature=2", words("kd.temprature", "Did you mean 'temperature'")),
        ("stages.main.terms.kd.temperature=-1", words("temperature", "-1", "> 0 and ≤ 100")),
        ("stages.main.terms.kd.weight=.nan", words("kd.weight", "nan", "≥ 0 and ≤ 1e+06")),
        ("probes=[ckka]", words("probes.0.use", "'ckka'", "Did you mean 'cka'?")),
        ("seed=abc", words("seed", "'abc'", "whole number")),
        ("seed=-1", words("seed", "-1", "≥ 0")),
        ("stages.main.epochs=two", words("stages.main.epochs", "'two'", "whole number")),
        ("stages.main.epochs=0", words("stages.main.epochs", "0", "≥ 1")),
        ("stages=3", words("stages", "3", "mapping")),
        ("stages.main.steps=10", words("stages.main", "exactly one of `epochs` and `steps`")),
        ("epochs=3", words("epochs", "no such field", "Known: allow, control, data")),
        ("device=gpu", words("device", "'gpu'", "cuda:N")),
        ("device=cuda:99", words("device", "'cuda:99'", "Present: cpu", "auto")),
        ("data.labels_per_class=0", words("data.labels_per_class", "0", "≥ 1")),
        ("data.augment=rotate", words("data.augment", "'rotate'", "'crop-flip'")),
        ("student.train={epochs: 1}", words("student", "`train` belongs to the teacher")),
        ("teacher=run:one", words("teacher.use", "'run:one'", "run:RUN@last")),
        ("teacher=hub:resnet18", words("teacher.use", "hub:ORG/NAME")),
        ("control={a.b: 1}", words("a", "no such field")),
        ("stages.main.terms={kd: kd}", words("control", "needs the teacher", "Add a term")),
        ("stages.main.terms={kd: {use: kd, weight: 0}}", words("kd", "weight 0", "weight > 0")),
    ],
)
def test_a_wrong_field_is_named_with_value_and_way_out(
    refuse: Refuse, change: str, expected: tuple[str, ...]
) -> None:
    message = refuse("run", "quickstart", "--set", change)
    assert all(part in message for part in expected), message


def test_all_wrong_fields_are_named_at_once(refuse: Refuse) -> None:
    message = refuse("run", "quickstart", "--set", "seed=x", "--set", "data.use=nope")
    assert "2 problems" in message
    assert "\n  - seed:" in message
    assert "\n  - data.use:" in message


@pytest.mark.parametrize("text", ["seed", "=1", "a..b=1", ".seed=1", ""])
def test_set_without_path_or_value_shows_how_to_write_it(refuse: Refuse, text: str) -> None:
    assert "path=value, for example --set seed=1" in refuse("run", "quickstart", "--set", text)


def test_an_unknown_recipe_has_a_nearest_name(refuse: Refuse) -> None:
    message = refuse("run", "quickstrat")
    assert "No recipe 'quickstrat'. Did you mean 'quickstart'?" in message


def test_an_unknown_scale_lists_the_known(refuse: Refuse) -> None:
    assert "'huge' is not known. Allowed: demo, smoke, paper" in refuse(
        "run", "quickstart", "--scale", "huge"
    )


@pytest.mark.parametrize("step", ["-1", "1.5", "soon"])
def test_a_pause_at_no_step_is_refused_with_its_option(
    place: Path, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "quickstart", "--pause-at", step, "--store", "store/wb.db"])
    assert ended.value.code == 2
    assert "Invalid value for '--pause-at'" in capsys.readouterr().err
    assert not (place / "store").exists()


# -- experiment files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty; an experiment needs name, data, teacher, student, stages"),
        (b"# only a comment\n", "is empty"),
        (bytes(range(256)), "is binary, not a YAML text file"),
        (b"name: a\x00b", "is binary"),
        (b"name: [1, 2", "not valid YAML, line"),
        (b"- name", "not a mapping"),
        (b"just words", "not a mapping"),
        (b"name: a\nname: b\n", "'name' is given twice"),
        (b"a: &a [*a]\n", "not valid YAML"),
        (b"name: x\n", "data: is missing"),
        (b"a" * 1_000_001, "at most 1000000"),
    ],
    ids=["empty", "comment", "binary", "nul", "cut", "list", "words", "twice", "loop", "short",
         "large"],
)  # fmt: skip
def test_a_file_that_is_no_experiment_says_why(
    refuse: Refuse, place: Path, content: bytes, expected: str
) -> None:
    (place / "exp.yaml").write_bytes(content)
    message = refuse("run", "exp.yaml")
    assert "exp.yaml" in message
    assert expected in message


def test_a_missing_file_a_folder_and_a_device_are_no_experiments(
    refuse: Refuse, place: Path
) -> None:
    assert "No file nowhere.yaml" in refuse("run", "nowhere.yaml")
    (place / "folder.yaml").mkdir()
    assert "folder.yaml is a folder" in refuse("run", "folder.yaml")
    assert "/dev/null" in refuse("run", "/dev/null")


def test_an_unreadable_file_is_named(
    refuse: Refuse, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place / "mine.yaml"
    file.write_text("name: x")
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything: deny it as the system would
        monkeypatch.setattr(Path, "read_bytes", _denied)
    assert "mine.yaml cannot be read: Permission denied" in refuse("run", "mine.yaml")


# -- stores --------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_opened_says_why_and_what_to_give(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "text.db").write_text("hello, I am no database\n" * 10)
    with closing(sqlite3.connect(place / "other.db")) as other:
        other.execute("create table runs (x)")
        other.commit()
    expected = {
        "postgresql://me@host/db": "'postgresql' is not supported; give a path or sqlite:///PATH",
        "text.db": "text.db cannot be opened (file is not a database)",
        "other.db": "database of another program",
        "text.db/wb.db": "cannot be made",
        "/dev/null/wb.db": "cannot be made",
        "sqlite://": "names no file",
        "": "--store is empty",
    }
    before = sorted(place.rglob("*"))
    for url, words_of in expected.items():
        for command in (["runs"], ["run", "quickstart", "--json"], ["doctor"], ["stop", "x"]):
            with pytest.raises(SystemExit) as ended:
                main([*command, "--store", url])
            said = Said(*capsys.readouterr())
            assert ended.value.code == 2, (url, said)
            assert said.out == ""
            assert "WB109" in said.err
            assert words_of in said.err
    assert sorted(place.rglob("*")) == before
    assert (place / "text.db").read_text().startswith("hello")


def test_a_store_where_nobody_may_write_is_refused(fresh: Any, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # root: not even root makes files there
        folder = Path("/proc")
    fresh.store = folder / "wb.db"
    assert "wb.db cannot be opened" in fresh("runs", code=2).err
    fresh.store = folder / "deeper" / "wb.db"
    assert "deeper cannot be made" in fresh("run", "quickstart", "--json", code=2).err


# -- what only a worker sees ---------------------------------------------------------------------


def pictures(folder: Path, classes: int, *, rows: int = 12) -> Path:
    """A folder of noise, `rows` images a class."""
    rng = np.random.default_rng(0)
    for kind in range(classes):
        (folder / f"kind{kind}").mkdir(parents=True)
        for row in range(rows):
            pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"kind{kind}" / f"{row}.png")
    return folder


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("classes", "spoil", "expected"),
    [
        (0, False, words("photos", "no class folder", "at least 2")),
        (1, False, words("photos", "one class folder only", "'kind0'", "at least 2")),
        (2, True, words("1 of 24 images", "kind1/3.png", "Replace or remove")),
    ],
    ids=["empty", "one class", "corrupt"],
)
def test_a_folder_that_is_no_data_set_leaves_no_run(
    refuse: Refuse, place: Path, classes: int, spoil: bool, expected: tuple[str, ...]
) -> None:
    pictures(place / "photos", classes)
    (place / "photos").mkdir(exist_ok=True)
    if spoil:
        (place / "photos" / "kind1" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    message = refuse("run", "quickstart", "--set", "data={use: folder, path: photos}")
    assert all(part in message for part in expected), message


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("data={use: folder, path: nowhere}", words("`path`", "'nowhere'", "does not exist")),
        ("data.labels_per_class=5000", words("`labels_per_class` is 5000", "At most 91")),
        ("data.limit=12", words("12 rows in 10 classes", "20 are enough")),
        ("teacher=cnn-small", words("teacher: cnn-small", "random weights", "train: {epochs: 20}")),
        ("teacher=path:gone.safetensors", words("gone.safetensors", "no such file")),
        ("teacher=run:nope@last", words("No run 'nope'", "workbench runs --all")),
        ("stages.main.terms.h={use: hint, student_tap: stage9}", words("'stage9'", "stage2")),
        ("stages.main.terms.kd.weight={import: 'no_such_module:ramp'}", words("no_such_module")),
    ],
)
def test_what_only_the_worker_sees_leaves_no_run(
    refuse: Refuse, change: str, expected: tuple[str, ...]
) -> None:
    message = refuse(
        "run", "quickstart", "--set", change, *(() if "teacher" in change else QUICK_TEACHER)
    )
    assert all(part in message for part in expected), message


QUICK_TEACHER = ("--set", "teacher.train.epochs=1")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "ENDPOINT"])
def test_a_hub_out_of_reach_is_said_before_any_retry(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    from huggingface_hub import constants

    value: Any = True if variable == "HF_HUB_OFFLINE" else "http://127.0.0.1:9"
    monkeypatch.setattr(constants, variable, value)
    began = time.perf_counter()
    message = refuse("run", "quickstart", "--set", "teacher=hub:timm/resnet18.a1_in1k")
    assert time.perf_counter() - began < 23  # the hub's own client would try for 46 s
    assert "hub:timm/resnet18.a1_in1k is not in the cache" in message
    assert "path:FOLDER" in message
    assert "HF_ENDPOINT" in message


@pytest.mark.usefixtures("here")
def test_a_teacher_of_other_classes_is_refused(refuse: Refuse, place: Path) -> None:
    saved = _network(num_classes=3)
    save_weights(place / "three.safetensors", saved, {"use": "cnn-tiny"})
    message = refuse("run", "quickstart", "--set", "teacher=path:three.safetensors")
    assert "3 classes, the data has 10" in message


def test_a_real_worker_that_is_refused_leaves_no_row_of_any_part_and_exit_code_2(
    fresh: Any,
) -> None:
    """The teacher has been trained by then; the control's row never comes."""
    hint = "stages.main.terms.h={use: hint, teacher_tap: stage9}"
    said = fresh(
        "run", "quickstart", "--set", hint, "--set", "teacher.train.epochs=1",
        "--set", "data.limit=300", "--set", "data.labels_per_class=3", "--json", code=2,
    )  # fmt: skip
    assert "'stage9'" in said.err
    assert said.out == ""
    assert fresh.rows("--all") == []
    assert fresh.folders() == []


def test_detached_bad_input_stays_as_a_failed_row_with_its_reason(fresh: Any) -> None:
    run = fresh.detach("--set", "data={use: folder, path: nowhere}")
    said = fresh("resume", run, code=(1, 2))  # refused: it is preparing, or has failed by now
    assert "Traceback" not in said.err
    fresh.until_ended(run)
    shown = fresh("show", run, "--json").json
    assert shown["status"] == "failed"
    assert shown["error"]["code"] == "WB104"
    assert "'nowhere' does not exist" in shown["error"]["message"]
    assert "is failed" in fresh("resume", run, code=2).err


def _denied(self: Path) -> bytes:
    raise PermissionError(13, "Permission denied", str(self))


def _network(*, num_classes: int) -> ModelAdapter:
    context = ModelContext(
        channels=1, height=8, width=8, num_classes=num_classes, seed=7, mean=(0.3,), std=(0.4,)
    )
    spec = MODELS.get("cnn-tiny").model_validate({"use": "cnn-tiny"})
    adapter: ModelAdapter = spec.build(context)
    return adapter
