"""TGeo-KD on images and on a table: mechanism, bits and refusals at smoke scale; its claim."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest

from workbench.cli.main import main
from workbench.export import export_run
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml
from workbench.store.store import Store

from ..runs.touched import Hand, assert_same, killed, untouched_torch

RECIPES = ("tgeo-kd", "tgeo-kd-table")
FUSE = "stages.main.terms.fuse"
MIDDLE = 7
"""A step between two looks of the smoke scale."""
SEEDS = range(5)


def smoke(name: str) -> ExperimentSpec:
    return open_experiment(name)[0].at_scale("smoke").replace({"device": "cpu"})


@pytest.fixture(scope="module")
def ended(store: Store) -> dict[str, str]:
    """Each recipe at smoke scale, trained to its end with its control."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        hand = Hand(store, patch)
        return {name: hand.train(accept(store, smoke(name), threads=1)) for name in RECIPES}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_is_itself_through_yaml(name):
    spec = open_experiment(name)[0]
    again = ExperimentSpec.parse(parse_yaml(dump_yaml(spec.given()), source=name))
    assert again.given() == spec.given()
    assert spec.stage.players["controller"].lookahead is True


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_killed_in_the_middle_ends_with_the_bits_of_one_that_was_not(hand, ended, name):
    run = accept(hand.store, smoke(name), threads=1)
    hand.train(run, at={MIDDLE: [lambda: hand.send(run, "checkpoint")], MIDDLE + 1: killed})
    assert hand.store.checkpoints(run)[0].step == MIDDLE
    hand.train(run)
    assert any(event.kind == "resumed" for event in hand.store.journal.events(run))
    assert_same(hand, ended[name], run, parts=("", "-control"))


@pytest.mark.parametrize("name", RECIPES)
def test_its_replay_is_equal(hand, ended, name):
    found = hand.replay(ended[name])
    assert found.equal, found.first_difference
    assert found.weights == hand.weights(ended[name])


def test_the_exported_script_trains_it_again_to_the_same_bits(store, ended, python, tmp_path):
    path = export_run(store, ended["tgeo-kd-table"], "script", tmp_path / "tgeo.py")
    done = python(path, "--check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bit for bit" in done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_a_snapshot_holds_the_ratio_of_each_probe_row_and_its_means_by_who_is_right(
    store, ended, name
):
    snapshot = store.snapshots(ended[name])[-1]
    ratio, facts = snapshot.arrays["ratio.fuse"], snapshot.facts["ratio"]
    right = snapshot.arrays["trilateral.teacher_right"].astype(bool)
    assert len(ratio) == len(right) == facts["n"] and facts["split"] == "probe"
    assert 0 < ratio.min() < ratio.max() < 1
    told = facts["terms"]["fuse"]
    assert told["right"] == [pytest.approx(float(ratio[right].mean())), int(right.sum())]
    assert told["wrong"] == [pytest.approx(float(ratio[~right].mean())), int((~right).sum())]


@pytest.mark.parametrize("name", RECIPES)
def test_the_controller_learns_and_the_control_has_none(hand, ended, name):
    series = hand.store.metrics.read(ended[name], "train")
    assert series.column("controller.gradient").min() > 0
    assert series.column("fuse.ratio").std() > 0
    control = hand.store.metrics.read(f"{ended[name]}-control", "train")
    assert "controller.loss" not in control.columns
    constant = float(open_experiment(name)[0].control[f"{FUSE}.ratio"])
    assert set(control.column("fuse.ratio")) == {constant}


def test_the_student_sees_flipped_labels_and_the_protocol_counts_them(store, ended):
    data = store.runs.get(ended["tgeo-kd"]).protocol["data"]
    share = data["wrong_labels"] / data["visible_labels"]
    assert 0.14 < share < 0.22
    teacher = store.runs.get(ended["tgeo-kd"]).result["metrics"]["teacher"]
    assert teacher["accuracy"] < 0.75, "it knows seven of ten classes"


REFUSED = {
    "no such part": (
        ["stages.main.players.controller.trains=terms.fuse.ratio"],
        "'terms.fuse.ratio' is no such part. Did you mean 'terms.fuse.net'?",
    ),
    "no player": (["stages.main.players={}"], "terms.fuse.net: no player trains it"),
    "no class of that name": (["teacher.train.without=['77']"], "the data has no class '77'"),
    "blind to all": (
        ["data.use=breast-cancer", "teacher=mlp", "student=mlp", "teacher.train.epochs=1",
         "teacher.train.without=[benign, malignant]"],
        "nothing to learn",
    ),
    "more flips than labels": (["data.label_noise=1.5"], "data.label_noise"),
    "nothing to probe": (
        ["stages.main.terms={ce: {use: ce}}", "stages.main.players={}", "control=false"],
        "ratio shows the ratio that a term gives each sample",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_step_0_with_exit_code_2(
    case, tmp_path, capsys, monkeypatch
):
    changes, said = REFUSED[case]

    class Here:
        def start(self, store: Store, run: str) -> None:
            log = store.runs.folder(run) / "log.txt"
            with log.open("a") as file, redirect_stdout(file):
                work(str(store.path), run)

    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = [word for change in changes for word in ("--set", change)]
    with untouched_torch(), pytest.raises(SystemExit) as caught:
        main(["run", "tgeo-kd", *words, "--store", str(tmp_path / "wb.db")])
    told = capsys.readouterr()
    assert caught.value.code == 2, told
    (message,) = told.err.split("workbench: ")[1:]
    assert said in message
    runs = tmp_path / "runs"
    assert not runs.is_dir() or list(runs.iterdir()) == []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The image recipe as written over five seeds, in one store."""
    store = Store(str(tmp_path_factory.mktemp("claim") / "wb.db"))
    spec, recipe, _ = open_experiment("tgeo-kd")
    found = []
    with untouched_torch():
        for seed in SEEDS:
            seeded = spec.replace({"seed": seed, "device": "cpu"})
            run = accept(store, seeded, recipe=recipe, threads=1)
            log = store.runs.folder(run) / "log.txt"
            with log.open("w") as file, redirect_stdout(file):
                assert work(str(store.path), run, seeded) == 0
            row = store.runs.get(run)
            last = store.snapshots(run)[-1].facts["ratio"]["terms"]["fuse"]
            found.append({**row.result["metrics"], "ratio": last})
    yield found
    store.close()


@pytest.mark.claim
def test_the_ratio_tells_where_the_teacher_is_right_and_the_student_leaves_it_behind(results):
    gap = np.array([found["ratio"]["right"][0] - found["ratio"]["wrong"][0] for found in results])
    accuracy = {
        part: np.array([found[part]["accuracy"] for found in results])
        for part in ("teacher", "student", "control")
    }
    print({part: values.round(4).tolist() for part, values in accuracy.items()}, gap.round(3))
    assert gap.mean() > 0.3
    assert (accuracy["student"] > accuracy["teacher"] + 0.1).all()
    assert abs((accuracy["student"] - accuracy["control"]).mean()) < 0.05
