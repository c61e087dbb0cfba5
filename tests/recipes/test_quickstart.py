"""The quickstart keeps its claim: over five seeds the student beats its control on test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
import torch

from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.run import result_of
from workbench.runs.worker import work
from workbench.store.store import Store

SEEDS = range(5)
T_95 = 2.7764451051977934
"""Student's t with 4 degrees of freedom: 95 % of the mass lies within ± this."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The quickstart as written, seeds 0 to 4, in one store; its teacher is trained once."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    store = Store(str(tmp_path_factory.mktemp("quickstart") / "wb.db"))
    spec, recipe, _ = open_experiment("quickstart")
    found = []
    for seed in SEEDS:
        seeded = spec.replace({"seed": seed, "device": "cpu"})
        run = accept(store, seeded, recipe=recipe, threads=1)
        with (store.runs.folder(run) / "log.txt").open("w") as log, redirect_stdout(log):
            # the experiment is given, so that this process keeps its folder and path
            assert work(str(store.path), run, seeded) == 0
        found.append(result_of(store.runs.get(run)))
    yield found
    store.close()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.mark.claim
@pytest.mark.recipe
def test_paired_gain_over_the_control_is_five_points_with_an_interval_above_zero(results):
    accuracy = {
        part: np.array([result["metrics"][part]["accuracy"] for result in results])
        for part in ("teacher", "student", "control")
    }
    gain = accuracy["student"] - accuracy["control"]
    half = T_95 * gain.std(ddof=1) / np.sqrt(len(gain))
    print(json.dumps({part: values.round(4).tolist() for part, values in accuracy.items()}))
    print(f"gain {gain.mean():.4f} ± {half:.4f} (95 %), sd {gain.std(ddof=1):.4f}")
    assert gain.mean() >= 0.05
    assert gain.mean() - half > 0
    assert (accuracy["teacher"] > accuracy["student"]).all()


@pytest.mark.recipe
@pytest.mark.claim
def test_one_teacher_serves_all_seeds(results):
    assert len({result["protocol"]["teacher"]["hash"] for result in results}) == 1
    sources = [result["protocol"]["teacher"]["source"] for result in results]
    assert sources == ["trained for this run", *["from the cache"] * 4]
    assert len({result["protocol"]["splits"]["test"]["hash"] for result in results}) == 1
    assert len({result["weights"] for result in results}) == len(results)
