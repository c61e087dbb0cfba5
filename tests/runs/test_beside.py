"""Answers sample by sample, curves on one axis, and the tree of forks."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.runs.answers import answers, pair_of
from workbench.runs.family import family
from workbench.runs.overlay import curves
from workbench.runs.settings import member, settings_of

from .written import LABELS, SPLITS, Written

TEMPERATURE = "stages.main.terms.kd.temperature"
HOT = {TEMPERATURE: 8.0}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def both(written, first, second):
    return answers(written.store, member(written.store, first), member(written.store, second))


def test_cells_and_classes_count_the_samples(written):
    mine = [1, 1, 0, 0, 1, 1, 0, 1]
    its = [1, 0, 0, 1, 0, 1, 0, 0]
    told = both(written, written.run(right=mine), written.run(right=its, changes=HOT))
    pairs = list(zip(mine, its, strict=True))
    assert told["cells"] == {
        "both": pairs.count((1, 1)),
        "first": pairs.count((1, 0)),
        "second": pairs.count((0, 1)),
        "neither": pairs.count((0, 0)),
    }
    assert told["n"] == sum(told["cells"].values()) == 8
    for k, row in enumerate(told["classes"]):
        of_class = [pair for pair, label in zip(pairs, LABELS, strict=True) if label == k]
        assert (row["n"], row["first"], row["second"]) == (
            len(of_class),
            of_class.count((1, 0)),
            of_class.count((0, 1)),
        )
    assert [row["name"] for row in told["classes"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"told": {"splits": {**SPLITS, "probe": {"rows": 8, "hash": "else"}}}}, "split hashes"),
        ({"ids": range(1, 9)}, "ids or labels differ"),
    ],
)
def test_other_probe_samples_are_refused_with_the_reason(written, other, words):
    told = both(written, written.run(), written.run(changes=HOT, **other))
    assert words in told["refused"]


def test_a_control_and_a_run_without_snapshot_have_no_answers(written):
    run = written.run(control=0.4)
    assert "A control keeps its numbers" in both(written, run, f"{run}-control")["refused"]
    spec = written.spec(HOT)
    bare = written.store.runs.create(name="a", experiment=spec.given(), options={})
    assert f"{bare} has no snapshot yet" in both(written, run, bare)["refused"]


def test_the_pair_is_of_one_seed_where_there_is_one(written):
    runs = [written.run(seed=seed) for seed in (0, 1)]
    other = written.run(seed=1, changes=HOT)
    first, second = settings_of(member(written.store, run) for run in (*runs, other))
    assert [one.id for one in pair_of(first, second)] == [runs[1], other]


def test_the_mean_is_at_the_looks_that_all_seeds_have(written):
    runs = [
        written.run(0.6, seed=0, steps=[0, 10, 20, 60]),
        written.run(0.3, seed=1, steps=[0, 20, 40, 60]),
    ]
    (setting,) = settings_of(member(written.store, run) for run in runs)
    (told,) = curves(written.store, [setting])["settings"]
    assert told["mean"]["steps"] == [0, 20, 60]
    np.testing.assert_allclose(told["mean"]["accuracy"], [0.0, 0.15, 0.45])
    np.testing.assert_allclose(told["mean"]["high"], [0.0, 0.2, 0.6])
    assert [run["steps"] for run in told["runs"]] == [[0, 10, 20, 60], [0, 20, 40, 60]]


def test_curves_know_epochs_phases_and_the_one_teacher(written):
    warm = {"stages.main.schedule": {"use": "cosine", "warmup": 0.25}}
    run = member(written.store, written.run(changes=warm))
    told = curves(written.store, settings_of([run]))
    (setting,) = told["settings"]
    assert setting["phases"] == [["warm-up", 0.0, 0.25], ["cosine decay", 0.25, 1.0]]
    assert setting["runs"][0]["epoch"] == 1.0  # eight rows are one batch
    assert told["teacher"] == 0.875
    stranger = written.run(changes=HOT, told={"teacher": {"hash": "other", "probe": {}}})
    found = settings_of([run, member(written.store, stranger)])
    assert curves(written.store, found)["teacher"] is None


def test_a_tree_puts_parents_first_with_their_own_marks(written):
    store = written.store
    root = written.run()
    written.changed(root, 10, TEMPERATURE, 4.0, 3.0)
    child = written.run(changes=HOT, parent=root, forked_at=20)
    written.changed(child, 10, TEMPERATURE, 4.0, 3.0)
    written.changed(child, 20, TEMPERATURE, 3.0, 8.0)
    grandchild = written.run(parent=child, forked_at=40)
    alone = written.run(seed=1)
    rows = [store.runs.get(run) for run in (grandchild, alone)]
    told = family(store, rows)
    assert [line["run"] for line in told] == [alone, root, child, grandchild]
    lines = {line["run"]: line for line in told}
    assert [lines[run]["chosen"] for run in (root, child, grandchild)] == [False, False, True]
    assert [lines[run]["depth"] for run in (root, child, grandchild)] == [0, 1, 2]
    assert (lines[child]["parent"], lines[child]["forked_at"]) == (root, 20)
    assert [(mark["step"], mark["number"]) for mark in lines[child]["marks"]] == [(20, 2)]
    assert lines[root]["marks"][0]["text"] == "kd.temperature: 4 → 3, ada"


def test_a_parent_that_was_removed_is_named(written):
    child = written.run(parent="gone-abc234", forked_at=20)
    (line,) = family(written.store, [written.store.runs.get(child)])
    assert (line["parent"], line["gone"], line["forked_at"]) == (None, "gone-abc234", 20)
