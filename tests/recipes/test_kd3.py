"""KD³ as a recipe: the borrowed head, the unread labels, a kill, a replay, a script, its claim."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from workbench.cli.main import main
from workbench.dashboard.summary import rail
from workbench.export import export_run
from workbench.recipes import open_experiment
from workbench.runs.fork import fork
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.launch import accept
from workbench.runs.run import Run
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml
from workbench.store.store import Store

from ..runs.touched import Hand, assert_same, killed, untouched_torch

MAIN = "stages.main"
POLICY = f"{MAIN}.policy"
NUM_TRAIN, NUM_CLASSED = 368, 208
PER_EPOCH, EPOCHS = 3, 3
MIDDLE = PER_EPOCH + 1
SEEDS = range(5)
T_95 = 2.7764451051977934
"""Student's t with 4 degrees of freedom: 95 % of the mass lies within ± this."""


def smoke(**changes: Any) -> ExperimentSpec:
    spec = open_experiment("kd3")[0].at_scale("smoke")
    return spec.replace({"probes": ["loyalty"], "device": "cpu", **changes})


@pytest.fixture(scope="module")
def ended(store: Store) -> str:
    """The recipe at smoke scale, trained to its end with its control."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        return Hand(store, patch).train(accept(store, smoke(), threads=1))


class Here:
    """Starts workers in this process."""

    def start(self, store: Store, run: str) -> None:
        path = store.runs.folder(run) / "log.txt"
        with path.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            work(str(store.path), run)


def test_the_recipe_is_itself_through_yaml():
    spec = open_experiment("kd3")[0]
    again = ExperimentSpec.parse(parse_yaml(dump_yaml(spec.given()), source="kd3"))
    assert again.given() == spec.given()
    assert spec.stage.policy.use == "confident"


def test_student_and_control_begin_alike_and_part_where_the_rows_do(store, ended):
    mine, theirs = (store.metrics.read(f"{ended}{part}", "train") for part in ("", "-control"))
    assert mine.columns == theirs.columns == ("loss", "feature", "contrast", "lr")
    np.testing.assert_array_equal(mine.steps, theirs.steps)
    assert not np.array_equal(mine.column("loss"), theirs.column("loss"))
    assert not len(store.metrics.read(f"{ended}-control", "selection").steps)
    alone = smoke(**{POLICY: None, "control": False})
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        unfiltered = Hand(store, patch).train(accept(store, alone, threads=1))
    metrics = store.runs.get(ended).result["metrics"]
    assert store.runs.get(unfiltered).result["metrics"]["student"] == metrics["control"]


def test_rows_are_chosen_where_an_epoch_begins_and_each_has_its_origin(store, ended):
    series, kept = store.metrics.read(ended, "selection"), Run(ended, store).selection
    assert series.steps.tolist() == [PER_EPOCH * epoch for epoch in range(EPOCHS)]
    assert kept["kept"].shape == (EPOCHS, NUM_TRAIN)
    origins = [name for name in series.columns if name.startswith("origin.")]
    assert origins[0] == "origin.digits" and origins[-1] == "origin.photo-patches"
    assert len(origins) == 6
    told = sum(series.column(name) for name in origins)
    np.testing.assert_array_equal(told, kept["kept"].sum(1))
    assert (kept["kept"].sum(1) < NUM_TRAIN).all()


def test_the_student_answers_with_its_teacher_s_classifier_which_stays(store, ended):
    row = store.runs.get(ended)
    student = load_file(store.runs.folder(ended) / "student.safetensors")
    teacher = load_file(store.teacher(row.teacher).path)
    for name in ("classifier.weight", "classifier.bias"):
        np.testing.assert_array_equal(student[name], teacher[name])


def test_wrong_labels_on_the_whole_pool_change_no_bit(hand, ended):
    run = hand.train(accept(hand.store, smoke(**{"data.label_noise": 1.0}), threads=1))
    assert hand.row(run).protocol["data"]["wrong_labels"] == NUM_CLASSED
    assert_same(hand, ended, run, parts=("", "-control"))


def test_killed_in_mid_epoch_and_resumed_it_ends_with_the_same_bits(hand, ended):
    run = accept(hand.store, smoke(), threads=1)
    hand.train(run, at={MIDDLE: [lambda: hand.send(run, "checkpoint")], MIDDLE + 1: killed})
    assert hand.store.checkpoints(run)[0].step == MIDDLE
    hand.train(run)
    assert_same(hand, ended, run, parts=("", "-control"))
    mine, theirs = (Run(name, hand.store).selection for name in (run, ended))
    np.testing.assert_array_equal(mine["kept"], theirs["kept"])


def test_its_replay_is_equal(hand, ended):
    found = hand.replay(ended)
    assert found.equal, found.first_difference


def test_a_fork_goes_on_with_the_rows_of_its_epoch(hand, ended):
    child = fork(hand.store, ended, MIDDLE, {f"{MAIN}.terms.contrast.weight": 0.1}, who="ada")
    hand.train(child)
    mine, theirs = (Run(name, hand.store).selection for name in (child, ended))
    np.testing.assert_array_equal(mine["kept"][:2], theirs["kept"][:2])
    assert hand.weights(child) != hand.weights(ended)


def test_the_exported_script_trains_it_again_to_the_same_bits(store, ended, python, tmp_path):
    script = export_run(store, ended, "script", tmp_path / "kd3.py")
    done = python(script, "--check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_people_see_how_many_rows_are_shown(store, ended, capsys):
    kept = int(Run(ended, store).selection["kept"][-1].sum())
    history = History.load(store, ended)
    facts = dict(rail(history, Frames(history))["facts"])
    assert facts["rows"] == f"{kept} of {NUM_TRAIN} (epoch 3)"
    with pytest.raises(SystemExit) as left:
        main(["show", ended, "--store", str(store.path)])
    assert left.value.code == 0
    assert f'"kept": {kept}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([f"{POLICY}.threshold=1.5"], ("policy.threshold", "1.5", "< 1")),
        ([f"{POLICY}.use=confidant"], ("policy.use", "'confidant'", "Did you mean 'confident'?")),
        ([f"{POLICY}.bar=0.5"], ("policy.bar",)),
        ([f"{POLICY}={{use: random-rows, share: 0}}"], ("policy.share", "0")),
        ([f"{POLICY}.threshold=0.999999", f"{POLICY}.per_class=false"],
         ("policy confident", f"none of the {NUM_TRAIN} training rows", "a lower `threshold`")),
        (["student=cnn-tiny"], ("kd3: `projector` is none", "borrowed-head")),
        (["student.of=vit-micro"], ("student.of", "no body")),
        (["teacher=timm/test_resnet", "teacher.train.epochs=1"], ("borrowed-head", "no network")),
        (["data={use: breast-cancer}", "student.of=mlp", "teacher.use=mlp"], ("needs images",)),
        (["data.corrupted=2"], ("data.corrupted", "2")),
        (["data.of.label_noise=0.1"], ("data.of", "`label_noise`", "beside `of`")),
    ],
    ids=["threshold", "name", "field", "share", "no row", "own head", "body", "teacher", "table",
         "corrupted", "place"],
)  # fmt: skip
def test_what_it_cannot_do_ends_with_2_and_one_message(
    changes, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "wb.db"
    sets = [word for change in changes for word in ("--set", change)]
    words = ["run", "kd3", "--scale", "smoke", "--device", "cpu", *sets, "--store", str(file)]
    with untouched_torch(), pytest.raises(SystemExit) as left:
        main(words)
    printed = capsys.readouterr()
    assert left.value.code == 2, printed
    assert printed.err.count("workbench: ") == 1, printed.err
    assert all(part in printed.err for part in said), printed.err
    if file.is_file():
        with closing(Store(str(file))) as opened:
            assert opened.runs.list(roles=("student", "control")) == []
            assert not list((tmp_path / "runs").glob("*/selection.safetensors"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The recipe as written over five seeds, in one store."""
    opened = Store(str(tmp_path_factory.mktemp("claim") / "wb.db"))
    spec, recipe, _ = open_experiment("kd3")
    found = []
    with untouched_torch():
        for seed in SEEDS:
            seeded = spec.replace({"seed": seed, "device": "cpu"})
            run = accept(opened, seeded, recipe=recipe, threads=1)
            log = opened.runs.folder(run) / "log.txt"
            with log.open("w") as file, redirect_stdout(file):
                assert work(str(opened.path), run, seeded) == 0
            series = opened.metrics.read(run, "selection")
            origins = {
                name: float((series.column(f"origin.{name}") / series.column("kept")).mean())
                for name in ("digits", "photo-patches")
            }
            found.append({**opened.runs.get(run).result["metrics"], "share": origins})
    yield found
    opened.close()


@pytest.mark.claim
def test_the_student_leaves_its_unfiltered_control_behind(results):
    accuracy = {
        part: np.array([found[part]["accuracy"] for found in results])
        for part in ("teacher", "student", "control")
    }
    gain = accuracy["student"] - accuracy["control"]
    half = T_95 * gain.std(ddof=1) / np.sqrt(len(gain))
    print({part: values.round(4).tolist() for part, values in accuracy.items()})
    print(f"gain {gain.mean():.4f} ± {half:.4f} (95 %)")
    assert gain.mean() - half > 0
    assert (accuracy["teacher"] > accuracy["student"]).all()


@pytest.mark.claim
def test_what_is_kept_is_purer_than_the_pool_but_not_by_much(results):
    """Random rows have the pool's own shares: 467 clean digits, 934 in all, of 1734."""
    clean = np.array([found["share"]["digits"] for found in results])
    digits = np.array([1 - found["share"]["photo-patches"] for found in results])
    print(clean.round(4), digits.round(4))
    assert (clean > 467 / 1734 + 0.02).all()
    assert (digits > 934 / 1734).all() and (digits < 934 / 1734 + 0.03).all()
