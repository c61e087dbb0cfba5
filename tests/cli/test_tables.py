"""A table runs through the command as images do: taught, controlled, probed, stored, exported."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from workbench.store.store import Store

EXPERIMENT: dict[str, Any] = {
    "name": "tumours",
    "data": "breast-cancer",
    "teacher": {"use": "mlp", "hidden": [64, 32], "train": {"steps": 60, "batch_size": 32}},
    "student": {"use": "mlp", "hidden": [8], "dropout": 0.1},
    "control": True,
    "probes": ["cka", "trilateral", "calibration", "loyalty"],
    "stages": {
        "main": {
            "terms": {"kd": {"use": "kd", "weight": 0.5}, "ce": {"use": "ce", "weight": 0.5}},
            "optimiser": {"use": "adamw", "lr": 0.01},
            "batch_size": 32,
            "steps": 40,
        }
    },
}


def written(folder: Path, **changes: Any) -> str:
    """The experiment as a file; its name."""
    (folder / "table.yaml").write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
    return "table.yaml"


def test_a_pair_of_mlps_trains_on_a_table_with_control_and_all_probes(fresh) -> None:
    done = fresh("run", written(fresh.folder), "--json").json
    assert done["status"] == "finished" and done["steps"] == 40
    assert min(score["accuracy"] for score in done["metrics"].values()) > 0.8
    assert set(done["metrics"]) >= {"teacher", "student", "control"}
    with closing(Store(str(fresh.store))) as store:
        last = store.last_snapshot(done["run"])
    assert set(last.facts) >= {"cka", "trilateral", "calibration", "loyalty"}
    assert last.arrays["cka.unbiased"].shape == (3, 2)  # stages and logits of each
    assert np.isfinite(last.arrays["cka.unbiased"]).all()


def test_your_own_file_trains_and_its_own_test_part_is_the_test_split(fresh) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("train", 200), ("test", 50)):
        lines = ["size,colour,kind"]
        for row in range(count):
            colour = ("red", "blue", "new")[rng.integers(2 if name == "train" else 3)]
            lines.append(f"{rng.normal(6 * (row % 2), 1) * 1e6:.3f},{colour},{row % 2}")
        (fresh.folder / f"{name}.csv").write_text("\n".join(lines))
    data = {"use": "table", "path": "train.csv", "test_path": "test.csv"}
    done = fresh("run", written(fresh.folder, data=data), "--json").json
    assert done["protocol"]["splits"]["test"]["rows"] == 50
    assert done["protocol"]["data"]["name"] == "train"
    assert done["metrics"]["teacher"]["accuracy"] > 0.95  # a spread of 1e6 is no obstacle


def test_what_does_not_fit_a_table_is_refused_before_anything_starts(fresh) -> None:
    said = fresh("run", written(fresh.folder, student="cnn-tiny"), code=2)
    assert "cnn-tiny: the network takes images, the data are table rows of 30" in said.err
    moved = {"use": "breast-cancer", "augment": "flip"}
    said = fresh("run", written(fresh.folder, data=moved), code=2)
    assert "data.augment: must be none" in said.err
    said = fresh("run", written(fresh.folder, data={"use": "table", "path": "none.csv"}), code=2)
    assert "'none.csv' does not exist" in said.err
    assert fresh.folders() == []
