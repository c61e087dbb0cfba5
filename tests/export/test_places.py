from __future__ import annotations

from pathlib import Path

import pytest

from workbench.export.places import modules_in, names_runs, with_whole_paths

BASE = Path("/home/someone/study")


def test_relative_paths_are_written_from_the_root():
    experiment = {
        "name": "path:stays",
        "data": {"use": "images", "path": "photos"},
        "teacher": "path:../teacher.safetensors",
        "student": {"use": "cnn-tiny"},
        "interventions": [
            {
                "step": 3,
                "set": {"teacher": {"use": "path:other"}, "data.path": "more"},
                "note": "path:stays",
            }
        ],
    }
    assert with_whole_paths(experiment, BASE) == {
        "name": "path:stays",
        "data": {"use": "images", "path": f"{BASE}/photos"},
        "teacher": f"path:{BASE}/../teacher.safetensors",
        "student": {"use": "cnn-tiny"},
        "interventions": [
            {
                "step": 3,
                "set": {
                    "teacher": {"use": f"path:{BASE}/other"},
                    "data.path": f"{BASE}/more",
                },
                "note": "path:stays",
            }
        ],
    }


@pytest.mark.parametrize("path", ["/photos", "~/photos"])
def test_whole_paths_stay_as_they_are(path: str):
    experiment = {"data": {"use": "images", "path": path}, "teacher": f"path:{path}"}
    assert with_whole_paths(experiment, BASE) == experiment


def test_only_modules_of_the_folder_count(tmp_path: Path):
    (tmp_path / "ramps.py").write_text("")
    terms = {"kd": {"weight": {"import": "ramps:up"}}, "ce": {"weight": {"import": "math:sqrt"}}}
    assert modules_in({"terms": terms, "name": "import ramps"}, tmp_path) == ["ramps"]
    assert modules_in({"modules": ["ramps", "json"]}, tmp_path) == ["ramps"]


def test_a_run_is_found_also_in_an_intervention():
    assert names_runs({"teacher": "run:a@last"})
    assert names_runs({"interventions": [{"set": {"teacher": {"use": "run:a@best"}}}]})
    assert not names_runs({"name": "run:a@last", "teacher": "cnn-small"})
