"""Two existing models looked at without a training: numbers, their conditions, files, refusals."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import workbench
from workbench.data.digits import Digits
from workbench.data.images import ImageData, build_data
from workbench.errors import BadFile, BadInput, BadModel, InvalidExperiment, UnknownName, UnknownRun
from workbench.functional.scoring import fit_temperature
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.models.weights import save_weights, weights_hash
from workbench.registries import MODELS
from workbench.runs.keeper import StoreKeeper, open_run
from workbench.runs.pair import InspectedPair, inspect_pair
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store

from ..small import SMALL
from .conftest import until_ended

DATA: dict[str, Any] = {"use": "digits", "limit": 600}
PAIR = {"use": "cnn-small", "width": 8}, {"use": "cnn-tiny", "width": 4}
VIEWS = ["cka", "trilateral", "calibration", "loyalty"]


@dataclass(frozen=True)
class Shelf:
    """A store with a trained teacher in a file and a trained student in a run."""

    store: Store
    data: ImageData
    teacher: ModelAdapter
    student: ModelAdapter
    folder: Path

    @property
    def file(self) -> str:
        return f"path:{self.folder / 'teacher.safetensors'}"

    def run(self, data: Mapping[str, Any] = DATA) -> str:
        """A run whose student is the one on the shelf, said to have learned from these data."""
        spec = ExperimentSpec.parse({**SMALL, "data": dict(data), "student": PAIR[1]})
        run = self.store.runs.create(
            name="shelf", experiment=spec.given(), options={"base": str(self.folder)}
        )
        self.store.runs.update(run, status="finished")
        save_weights(self.store.runs.folder(run) / "student.safetensors", self.student, PAIR[1])
        return run

    def inspect(self, **changes: Any) -> InspectedPair:
        """The pair, or another."""
        given = {"teacher": self.file, "student": f"run:{self.run()}@last", "data": DATA, **changes}
        return inspect_pair(**given, store=self.store, device="cpu")


def trained(spec: Mapping[str, Any], data: ImageData, steps: int) -> ModelAdapter:
    """A network that has learned something of the digits."""
    context = ModelContext(
        data.channels, data.height, data.width, data.num_classes, data.mean, data.std, seed=5
    )
    model: ModelAdapter = MODELS.get(spec["use"]).model_validate(dict(spec)).build(context)
    batch = data.fetch_full(data.split_ids("train"))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model(batch.inputs), batch.labels).backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shelf")
    data = build_data(Digits.model_validate(DATA), base=folder, seed=0)
    teacher, student = (
        trained(spec, data, steps) for spec, steps in zip(PAIR, (30, 20), strict=True)
    )
    save_weights(folder / "teacher.safetensors", teacher, PAIR[0])
    with_store = Store(str(folder / "store" / "workbench.db"))
    yield Shelf(with_store, data, teacher, student, folder)
    with_store.close()


@pytest.fixture(scope="module")
def pair(shelf: Shelf) -> InspectedPair:
    return shelf.inspect()


def scores(shelf: Shelf, split: str = "probe") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of both models and labels, float64."""
    batch = shelf.data.fetch_full(shelf.data.split_ids(split))
    with torch.no_grad():
        found = [m(batch.inputs).double().numpy() for m in (shelf.teacher, shelf.student)]
    return found[0], found[1], batch.labels.numpy()


def test_numbers_are_those_of_a_hand_count(shelf, pair):
    teacher, student, labels = scores(shelf)
    assert pair.numbers["n"] == len(labels) == 84
    for who, logits in (("teacher", teacher), ("student", student)):
        right = logits.argmax(1) == labels
        logp = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1))[:, None]
        logp -= logits.max(1, keepdims=True)
        assert pair.numbers[who]["accuracy"] == right.mean()
        assert pair.numbers[who]["nll"] == pytest.approx(-logp[range(84), labels].mean())
        surest = np.argsort(-np.exp(logp).max(1), kind="stable")
        risks = np.cumsum(~right[surest]) / np.arange(1, 85)
        assert pair.numbers[who]["aurc"] == pytest.approx(risks.mean(), abs=1e-6)
    mine, theirs = student.argmax(1), teacher.argmax(1)
    assert pair.numbers["loyalty"]["label"] == (mine == theirs).mean()
    assert pair.numbers["teacher_wrong"] == (theirs != labels).sum()
    assert pair.numbers["copied_errors"] == ((theirs != labels) & (mine == theirs)).sum()


def test_a_model_beside_itself_is_as_loyal_and_as_alike_as_can_be(shelf):
    found = shelf.inspect(student=shelf.file).numbers
    assert found["loyalty"] == {"label": 1.0, "probability": pytest.approx(1.0)}
    assert found["fidelity_kl"] == pytest.approx(0, abs=1e-12)
    assert found["copied_errors"] == found["teacher_wrong"]
    assert found["teacher"] == found["student"]
    alike = np.asarray(found["cka"]["unbiased"])
    np.testing.assert_allclose(np.diag(alike), 1, atol=1e-5)
    assert found["cka"]["teacher_layers"] == found["cka"]["student_layers"]
    assert (np.asarray(found["cka"]["null_p95"]) < 0.2).all()


def test_the_views_are_those_that_the_run_itself_recorded(store, accepted, workers):
    run = accepted({"probes": VIEWS})
    workers.start(store, run)
    row = until_ended(store, run)
    assert row.status == "finished", row.error
    snapshot = store.last_snapshot(run)
    found = inspect_pair(
        teacher=f"path:{store.teacher_path(row.teacher)}",
        student=f"run:{run}@last",
        data=row.experiment["data"],
        store=store,
    )
    assert found.protocol["teacher"]["hash"] == row.protocol["teacher"]["hash"]
    assert found.protocol["student"]["hash"] == row.result["weights"]
    assert found.protocol["splits"]["probe"] == row.protocol["splits"]["probe"]
    assert found.numbers["teacher"]["nll"] == pytest.approx(row.protocol["teacher"]["probe"]["nll"])
    assert found.protocol["student"]["seen"] == 0
    for view in VIEWS:
        assert {f"{view}.{name}" for name in found.measured[view].arrays} <= set(snapshot.arrays)
        for name, values in found.measured[view].arrays.items():
            recorded = snapshot.arrays[f"{view}.{name}"]
            np.testing.assert_allclose(values, recorded, rtol=1e-3, atol=1e-4)


def test_the_protocol_names_rows_models_and_data_under_each_figure(shelf, pair):
    hashes = [weights_hash(shelf.teacher), weights_hash(shelf.student), shelf.data.content_hash]
    assert [pair.protocol[who]["hash"] for who in ("teacher", "student", "data")] == hashes
    teacher, student, data = (digest[:12] for digest in hashes)
    start = f"probe, n = 84; teacher {teacher}; student {student}; digits {data}; torch "
    assert pair.caption.startswith(start)
    assert list(pair.figures) == VIEWS
    for figure in pair.figures.values():
        drawn = " ".join(note.text for note in figure.layout.annotations)  # in lines
        assert drawn.count(pair.caption) == 1
    assert pair.protocol["splits"]["probe"]["hash"] == shelf.data.split_hashes["probe"]
    assert f"student run:{shelf.run()}"[:17] in pair.lines[3]
    assert "rows looked at that it was trained on: not known" in pair.lines[2]
    assert pair.lines[3].endswith("rows looked at that it was trained on: 0")


def test_a_temperature_is_never_fitted_on_the_rows_that_are_shown(shelf):
    for split, other, rows in (("probe", "val", 48), ("val", "probe", 84)):
        found = shelf.inspect(split=split)
        logits, _, labels = scores(shelf, other)
        fitted = fit_temperature(torch.from_numpy(logits), torch.from_numpy(labels))
        told = found.measured["calibration"].facts
        assert told["teacher"]["temperature"] == pytest.approx(fitted, rel=1e-3)
        assert told["fitted_on"] == found.protocol["fitted_on"] == f"{other}, n = {rows}"
        assert found.numbers["n"] == len(shelf.data.split_ids(split))


def test_rows_that_a_student_was_trained_on_are_counted_and_said(shelf):
    other = build_data(Digits.model_validate({**DATA, "split_seed": 3}), base=shelf.folder, seed=0)
    known = {content(other, row) for row in other.split_ids("train")}
    meet = sum(content(shelf.data, row) in known for row in shelf.data.split_ids("probe"))
    assert meet > 5
    run = shelf.run({**DATA, "split_seed": 3})
    found = shelf.inspect(teacher=f"run:{run}@last")
    assert found.protocol["teacher"]["seen"] == meet
    assert found.protocol["student"]["seen"] == 0
    (said,) = found.warnings
    assert said.startswith(f"teacher: run:{run}@last was trained on {meet} of the 84 probe rows")


def content(data: ImageData, row: int) -> tuple[bytes, int]:
    return data.examples.inputs[row].tobytes(), int(data.examples.labels[row])


def test_a_run_whose_data_are_gone_says_that_nobody_knows(shelf):
    run = shelf.run({"use": "idx", "path": "moved-away"})
    found = shelf.inspect(student=f"run:{run}@last")
    assert found.protocol["student"]["seen"] is None
    (said,) = found.warnings
    assert f"the data of run {run} cannot be read any more" in said


def test_a_step_chosen_on_these_rows_is_called_optimistic(shelf):
    run = shelf.run()
    model = shelf.student.network.state_dict()
    recorder = shelf.store.recorder(run)
    recorder.checkpoint(7, {"network": model}, reason="clock", accuracy=0.5)
    found = shelf.inspect(student=f"run:{run}@best")
    assert [words for words in found.warnings if "are optimistic" in words] == list(found.warnings)
    assert len(found.warnings) == 1
    assert shelf.inspect(student=f"run:{run}@best", split="val").warnings == ()
    assert shelf.inspect(student=f"run:{run}@7").warnings == ()


def test_permuted_outputs_and_untrained_weights_are_said(shelf, tmp_path):
    model = trained(PAIR[0], shelf.data, steps=30)
    order = torch.tensor([1, 0, *range(2, 10)])
    with torch.no_grad():
        model.network.classifier.weight.copy_(model.network.classifier.weight[order])
        model.network.classifier.bias.copy_(model.network.classifier.bias[order])
    save_weights(tmp_path / "permuted.safetensors", model, PAIR[0])
    save_weights(tmp_path / "fresh.safetensors", trained(PAIR[1], shelf.data, 0), PAIR[1])
    found = shelf.inspect(
        teacher=f"path:{tmp_path / 'permuted.safetensors'}",
        student=f"path:{tmp_path / 'fresh.safetensors'}",
    )
    first, second = found.warnings
    assert first.startswith(
        "teacher: it tells the classes apart but in another order (0 as 1, 1 as"
    )
    assert second.startswith("student: it is right on")
    assert "no better than chance" in second


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"teacher": "cnn-small"}, BadModel, "teacher: cnn-small starts from random weights"),
        ({"student": "timm/resnet10t"}, BadModel, "student: timm/resnet10t starts from random"),
        ({"student": {"use": "cnn-tiny", "train": {"steps": 3}}}, BadModel, "nothing is trained"),
        ({"teacher": "{use: hub:a/b, new_head: true}"}, BadModel, "classifier of random weights"),
        ({"teacher": "run:nobody@last"}, UnknownRun, "nobody"),
        ({"teacher": "run:nobody"}, InvalidExperiment, "run:RUN@last"),
        ({"student": "path:nowhere.safetensors"}, BadFile, "there is no such file"),
        ({"data": "wine"}, BadModel, "classifies into 10 classes, the data has 3"),
        ({"data": "digts"}, UnknownName, "Did you mean 'digits'"),
        ({"data": "nowhere.yaml"}, BadFile, "No file nowhere.yaml"),
        ({"data": "{use: digits, limit: 1}"}, InvalidExperiment, "data.limit: must be ≥ 2"),
        ({"data": "{use: ["}, BadInput, "is no mapping"),
        ({"data": 7}, BadInput, "int is no data set"),
        ({"split": "test"}, UnknownName, "Test is read by a training only"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_with_a_way_out(shelf, changes, error, words):
    with pytest.raises(error, match=re.escape(words)) as raised:
        shelf.inspect(**changes)
    assert raised.value.exit_code == 2


def test_images_are_no_table_rows(shelf, tmp_path):
    lines = ["a,b,kind", *(f"{row},{row % 7},k{row % 10}" for row in range(200))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(BadModel, match=r"images of shape.*table rows of 2 features"):
        shelf.inspect(data={"use": "table", "path": str(tmp_path / "rows.csv")})


def test_a_teacher_part_of_a_run_is_not_taken_for_its_student(shelf):
    run = shelf.run()
    spec = shelf.store.runs.get(run).experiment
    shelf.store.runs.create(name="t", experiment=spec, options={}, role="teacher", group=run)
    with pytest.raises(BadModel, match=f"is the teacher of run {run}. Name its student"):
        shelf.inspect(teacher=f"run:{run}-teacher@last")
    with pytest.raises(BadModel, match=rf"run:{run}-teacher@last: .*is the teacher of run"):
        open_run(shelf.store, f"{run}-teacher@last")  # as an experiment's own teacher, too


def test_what_a_stored_student_learned_from_is_read_where_its_run_began(
    shelf, tmp_path, monkeypatch
):
    for place, rows in (("there", 300), ("here", 600)):
        (tmp_path / place).mkdir()
        images = np.random.default_rng(0).random((rows, 1, 8, 8), dtype=np.float32)
        np.savez(tmp_path / place / "own.npz", images=images, labels=np.arange(rows) % 10)
    spec = shelf.store.runs.get(shelf.run()).experiment
    spec = {**spec, "data": {"use": "arrays", "path": "own.npz"}}
    options = {"base": str(tmp_path / "there")}
    run = shelf.store.runs.create(name="s", experiment=spec, options=options)
    monkeypatch.chdir(tmp_path / "here")
    (theirs,) = StoreKeeper(shelf.store, "asks").learned_from(run)
    ids = np.concatenate([theirs.split_ids(split) for split in ("train", "val", "test")])
    assert 200 < ids.max() < 300


def test_data_of_a_recipe_and_of_a_file_are_found_from_its_own_folder(shelf, tmp_path, monkeypatch):
    named = shelf.inspect(data="{use: digits, limit: 600}")
    assert named.caption == shelf.inspect().caption
    assert shelf.inspect(data="quickstart").numbers["n"] == 252
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "own.npz",
        images=rng.random((300, 1, 8, 8), dtype=np.float32),
        labels=np.arange(300) % 10,
    )
    (tmp_path / "own.yaml").write_text(
        "name: own\ndata: {use: arrays, path: own.npz}\nteacher: cnn-small\nstudent: cnn-tiny\n"
        "stages: {main: {terms: {ce: ce}, optimiser: {use: adamw, lr: 0.1}, steps: 1}}\n"
    )
    monkeypatch.chdir(shelf.folder)
    assert shelf.inspect(data=str(tmp_path / "own.yaml")).protocol["data"]["name"] == "own"


def test_own_modules_and_an_own_data_set_are_taken_in_python(shelf):
    rng = np.random.default_rng(0)
    rows = [(rng.random((1, 8, 8), dtype=np.float32), row % 3) for row in range(120)]
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    found = workbench.inspect_pair(teacher=module, student=module, data=rows, store=shelf.store)
    assert found.numbers["loyalty"]["label"] == 1.0
    assert found.protocol["teacher"]["hash"] == weights_hash(module)
    assert found.protocol["teacher"]["model"] == "object"


class Fetched(HTMLParser):
    """Whatever an HTML page would fetch, and how many scripts it brings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone_and_shows_a_hostile_name_as_text(shelf, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.safetensors"
    save_weights(hostile, shelf.teacher, PAIR[0])
    found = shelf.inspect(teacher=f"path:{hostile}")
    (page,) = found.save(tmp_path / "pair.html")
    text = page.read_text("utf-8")
    read = Fetched(text)
    assert read.addresses == []
    assert read.tags.count("figure") == 4
    assert "img" not in read.tags
    assert text.count("plotly.js v") == 1
    assert text.count(found.caption) > 4  # in each figure and below them
    assert all(f'id="view-{view}"' in text for view in VIEWS)
    assert "default-src 'none'" in text
    assert f"<td>{100 * found.numbers['teacher']['accuracy']:.2f}</td>" in text


def test_tables_hold_the_numbers_of_the_views_under_their_protocol(pair, tmp_path):
    files = pair.save(tmp_path / "tables")
    assert [file.name for file in files] == [f"{view}.csv" for view in VIEWS]
    read = {}
    for file in files:
        first, *lines = file.read_text("utf-8").splitlines()
        assert first == f"# {pair.caption}"
        read[file.stem] = list(csv.DictReader(lines))
    cka = pair.numbers["cka"]
    cells = np.asarray([float(row["unbiased"]) for row in read["cka"]])
    np.testing.assert_array_equal(cells, np.asarray(cka["unbiased"]).ravel())
    assert [row["student_layer"] for row in read["cka"]][: len(cka["student_layers"])] == list(
        cka["student_layers"]
    )
    right = [int(row["teacher_right"]) for row in read["trilateral"]]
    assert np.mean(right) == pair.numbers["teacher"]["accuracy"]
    for who in ("teacher", "student"):
        for scaling in ("raw", "temperature"):
            bins = [
                int(row["count"])
                for row in read["calibration"]
                if (row["model"], row["scaling"]) == (who, scaling)
            ]
            assert (len(bins), sum(bins)) == (15, 84)
    counts = {(row["quantity"], row["class"]): float(row["value"]) for row in read["loyalty"]}
    quadrants = ("both right", "own discoveries", "still to learn", "both wrong")
    assert sum(counts[name, ""] for name in quadrants) == 84
    copied = [value for (name, _), value in counts.items() if name == "copied errors"]
    assert (len(copied), sum(copied)) == (10, pair.numbers["copied_errors"])


def test_a_file_that_is_there_is_left_alone_unless_asked(pair, tmp_path):
    page = tmp_path / "pair.html"
    page.write_text("mine")
    with pytest.raises(BadFile, match="exists"):
        pair.save(page)
    assert page.read_text() == "mine"
    pair.save(page, force=True)
    assert page.read_text("utf-8").startswith("<!doctype html>")
    for place, words in (
        (tmp_path / "pair.png", "a page ends in .html"),
        (tmp_path / "none" / "pair.html", "there is no folder"),
        (tmp_path / ("x" * 300), "cannot be used as a path"),
        (page / "inside", "is no folder|cannot be"),
    ):
        with pytest.raises(BadFile, match=words):
            pair.save(place)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "cka.csv").write_text("mine")
    with pytest.raises(BadFile, match="exists"):
        pair.save(tmp_path / "tables")
    assert [file.name for file in (tmp_path / "tables").iterdir()] == ["cka.csv"]


def test_a_notebook_keeps_a_picture_of_a_pair_for_readers_without_a_kernel(pair, monkeypatch):
    told = []
    monkeypatch.setattr("IPython.display.display", lambda content, **how: told.append(content))
    shown = pair.show("loyalty")
    shown._ipython_display_()
    (alive, kept) = told
    assert (
        "application/vnd.jupyter.widget-view+json" in alive and pair.caption in alive["text/plain"]
    )
    assert kept["image/png"] and "Both right" in kept["text/plain"]
    assert shown.views["loyalty"].kept, "a reader of the live view does not see it twice"


def test_a_notebook_shows_the_views_with_their_protocol(pair):
    grid, words = pair.show().widget.children
    assert [view.frame["view"] for view in grid.children] == VIEWS
    assert pair.caption in words.value
    (one, _) = pair.show("cka").widget.children
    assert one.frame["view"] == "cka"
    assert all(frame.waiting is None for frame in pair.frames.values())
    assert pair.caption in repr(pair.show())
    for ask in (pair.show, pair.figure):
        with pytest.raises(UnknownName, match="view of a pair"):
            ask("curves")
