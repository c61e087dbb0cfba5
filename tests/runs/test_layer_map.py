"""Layers over selected samples: what the training's own probe finds, on just these rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.errors import BadInput, RefusedCommand
from workbench.functional.cka import linear_cka, pooled
from workbench.runs import layer_map
from workbench.runs.attribution import OpenPair
from workbench.runs.launch import accept
from workbench.runs.layer_map import compare_layers, most_samples
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store

from ..small import SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("layers") / "workbench.db"))
    spec = ExperimentSpec.parse({**SMALL, "probes": ["cka"]})
    run = accept(store, spec, base=Path.cwd(), threads=1)
    assert work(str(store.path), run) == 0
    yield store.snapshots(run)[-1], OpenPair.of(store, run)
    store.close()


def test_the_rows_of_the_snapshots_map_have_that_map_null_level_and_all(trained):
    snapshot, pair = trained
    ids = snapshot.arrays["answers.ids"][: snapshot.facts["cka"]["n"]]
    found = compare_layers(pair, ids.tolist())
    for name, values in found.arrays.items():
        np.testing.assert_allclose(values, snapshot.arrays[f"cka.{name}"], atol=1e-5, err_msg=name)
    for name in ("n", "teacher_layers", "student_layers", "feature"):
        assert found.facts[name] == snapshot.facts["cka"][name]


@pytest.mark.parametrize("n", [4, 11])
def test_each_cell_is_unbiased_cka_of_the_selected_rows_in_either_order(trained, n):
    snapshot, pair = trained
    ids = snapshot.arrays["answers.ids"][3 : 3 + n].tolist()
    found = compare_layers(pair, ids[::-1])
    inputs = pair.data.fetch_full(np.asarray(ids)).inputs
    features = {}
    for who, model in pair.models.items():
        with torch.no_grad():
            taps = model.taps(inputs, model.facts.layers)
        features[who] = [pooled(taps[name]).double() for name in model.facts.layers]
    for i, teacher in enumerate(features["teacher"]):
        for j, student in enumerate(features["student"]):
            expected = float(linear_cka(teacher, student))
            assert found.arrays["unbiased"][i, j] == pytest.approx(expected, abs=2e-4), (i, j)
    assert found.facts["n"] == n


def test_what_cannot_be_compared_is_refused_with_what_can(trained, monkeypatch):
    snapshot, pair = trained
    ids = snapshot.arrays["answers.ids"].tolist()
    with pytest.raises(BadInput, match=r"sample 1000000 is not one of the \d+ probe samples"):
        compare_layers(pair, [*ids[:5], 10**6])
    with pytest.raises(ValueError, match="at least 4"):
        compare_layers(pair, ids[:3])
    monkeypatch.setattr(layer_map, "GRAM_BYTES", 8 * 8 * 100)
    layers = sum(len(model.facts.layers) for model in pair.models.values())
    assert most_samples(layers) ** 2 * 8 * layers <= 8 * 8 * 100
    with pytest.raises(RefusedCommand, match=rf"at most {most_samples(layers)} are compared"):
        compare_layers(pair, ids[:30])


def test_progress_counts_both_models_and_what_it_raises_ends_the_work(trained):
    snapshot, pair = trained
    ids = snapshot.arrays["answers.ids"].tolist()
    told = []
    compare_layers(pair, ids, lambda done, of, words: told.append((done, of, words)))
    counted = [done for done, _, _ in told]
    assert counted == sorted(counted) and counted[-1] == told[0][1] == 2 * len(ids)
    assert [words for _, _, words in told][-1] == "Compares layers"

    class Enough(Exception):
        pass

    def stop(done, of, words):
        raise Enough

    with pytest.raises(Enough):
        compare_layers(pair, ids, stop)
