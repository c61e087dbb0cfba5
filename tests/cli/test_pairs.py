"""Unlike networks teach each other, other data sets train, and so does every registered term."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from workbench.cli.main import main
from workbench.runs.worker import work
from workbench.store.store import Store

FEW_STEPS = 6
Trained = Callable[..., tuple[dict[str, Any], Store, Path]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of its own."""
    with closing(Store(str(tmp_path / "store" / "wb.db"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def digits_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all terms: their teacher is trained once."""
    with closing(Store(str(tmp_path_factory.mktemp("terms") / "wb.db"))) as opened:
        yield opened


@pytest.fixture
def run_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs a file through the command; the worker trains in this process."""

    class Here:
        def start(self, store: Store, run: str) -> None:
            log = store.runs.folder(run) / "log.txt"
            with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
                work(str(store.path), run)

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(store: Store, experiment: dict[str, Any], *options: str) -> dict[str, Any]:
        file = tmp_path / "experiment.yaml"
        file.write_text(yaml.safe_dump(experiment))
        with pytest.raises(SystemExit) as ended:
            main(["run", str(file), "--json", "--store", str(store.path), *options])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


def experiment(data: Any, teacher: str, student: str, terms: dict[str, Any]) -> dict[str, Any]:
    """An experiment of a few steps."""
    return {
        "name": "pair",
        "data": data,
        "teacher": {"use": teacher, "train": {"steps": FEW_STEPS, "batch_size": 16}},
        "student": student,
        "stages": {"main": {"terms": terms, "steps": FEW_STEPS, "batch_size": 16}},
        "probes": ["cka", "trilateral", "calibration", "loyalty"],
    }


def pictures(folder: Path, classes: int = 3, rows: int = 24) -> Path:
    """Small colour images: a colour a class, under noise."""
    rng = np.random.default_rng(0)
    for kind in range(classes):
        (folder / f"kind{kind}").mkdir(parents=True)
        for row in range(rows):
            pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8)
            pixels[..., kind] += 100
            Image.fromarray(pixels).save(folder / f"kind{kind}" / f"{row}.png")
    return folder


def idx_files(folder: Path) -> Path:
    """The four files of a data set in IDX format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, rows in (("train", 120), ("t10k", 40)):
        images = rng.integers(0, 256, (rows, 12, 12), dtype=np.uint8)
        labels = (np.arange(rows) % 4).astype(np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())
    return folder


def moved(store: Store, run: str) -> bool:
    """Whether the student's probed numbers changed from the first to the last snapshot."""
    probe = store.metrics.read(run, "probe")
    return bool(np.any(np.asarray(probe.values[0]) != np.asarray(probe.values[-1])))


def losses(store: Store, run: str) -> dict[str, np.ndarray[Any, Any]]:
    """The train series by column."""
    found = store.metrics.read(run, "train")
    return {name: np.asarray(found.values)[:, i] for i, name in enumerate(found.columns)}


def test_a_vit_teaches_a_cnn_by_logits_and_by_a_hint_between_stages(run_file, store):
    terms = {
        "kd": {"use": "kd", "weight": 0.5},
        "ce": {"use": "ce", "weight": 0.5},
        "hint": {"use": "hint", "student_tap": "stage1", "teacher_tap": "stage3"},
    }
    data = {"use": "digits", "limit": 200, "labels_per_class": 3}
    done = run_file(store, experiment(data, "timm/test_vit", "cnn-tiny", terms), "--control")
    assert done["steps"] == FEW_STEPS
    assert moved(store, done["run"])
    series = losses(store, done["run"])
    assert (series["hint"] > 0).all()
    np.testing.assert_allclose(series["loss"], series["kd"] + series["ce"] + series["hint"], 1e-5)
    maps = store.last_snapshot(done["run"])
    facts = maps.facts["cka"]
    assert maps.arrays["cka.unbiased"].shape == (
        len(facts["teacher_layers"]), len(facts["student_layers"])
    )  # fmt: skip


def test_a_resnet_teaches_a_mobilenet_on_a_folder_of_photographs(run_file, store, tmp_path):
    pictures(tmp_path / "photos")
    data = {"use": "folder", "path": "photos", "augment": "crop-flip"}
    terms = {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}}
    pair = experiment(data, "timm/resnet10t", "timm/mobilenetv3_small_050", terms)
    done = run_file(store, pair)
    assert moved(store, done["run"])
    assert done["protocol"]["data"]["name"] == "photos"
    again = run_file(store, pair)
    assert again["weights"] == done["weights"]
    assert again["protocol"]["teacher"]["source"] == "from the cache"


def test_idx_files_train_and_their_own_test_part_is_the_test_split(run_file, store, tmp_path):
    idx_files(tmp_path / "idx")
    terms = {"kd": "kd", "ce": "ce"}
    done = run_file(store, experiment({"use": "idx", "path": "idx"}, "cnn-small", "mlp", terms))
    assert done["protocol"]["splits"]["test"]["rows"] == 40
    assert moved(store, done["run"])


def test_a_stored_student_teaches_by_name_of_its_run_whatever_the_short_form(run_file, store):
    """`student: cnn-tiny` without options once had no saved description."""
    data = {"use": "digits", "limit": 200}
    first = run_file(store, experiment(data, "cnn-small", "cnn-tiny", {"ce": "ce"}))
    pair = experiment(data, "cnn-small", "mlp", {"kd": "kd"})
    for which in ("last", "best", str(FEW_STEPS)):
        pair["teacher"] = f"run:{first['run']}@{which}"
        done = run_file(store, pair)
        if which != "best":
            assert done["protocol"]["teacher"]["hash"] == first["weights"]
            assert done["metrics"]["teacher"] == first["metrics"]["student"]


@pytest.mark.parametrize("name", ["dkd", "crd", "reviewkd", "vid"])
def test_terms_of_each_sort_train_on_digits(run_file, digits_store, name):
    """All of them train in tests/training/test_every_term_trains.py."""
    data = {"use": "digits", "limit": 200, "labels_per_class": 3}
    terms = {"term": {"use": name}, "ce": {"use": "ce", "weight": 0.1}}
    done = run_file(digits_store, experiment(data, "cnn-small", "cnn-tiny", terms))
    series = losses(digits_store, done["run"])
    assert np.isfinite(series["term"]).all()
    assert np.ptp(series["term"]) > 0  # it sees the batch, or the student as it moves
    assert moved(digits_store, done["run"])
