"""Data specs: options, their bounds, and the round trip to plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from workbench.data import DataSpec, Digits, Folder
from workbench.data.spec import find
from workbench.errors import BadFile
from workbench.registries import DATA
from workbench.specs.base import Pick

PICK: TypeAdapter[Any] = TypeAdapter(Annotated[DataSpec, Pick(DATA)])


@pytest.mark.parametrize(
    "data",
    [
        "digits",
        {"use": "digits"},
        {"use": "digits", "labels_per_class": 10, "split_seed": 3},
        {"use": "folder", "augment": "crop-flip", "limit": 500, "path": "photos", "size": 64},
        {"use": "idx", "path": "mnist"},
        {"use": "arrays", "path": "mine.npz"},
    ],
)
def test_what_was_given_comes_back(data: Any) -> None:
    assert PICK.validate_python(data).given() == data


def test_a_spec_made_in_python_says_its_kind() -> None:
    spec = Folder(path="photos", size=64)
    assert spec.given() == {"use": "folder", "path": "photos", "size": 64}
    assert PICK.validate_python(spec.given()) == spec
    assert Digits().given() == {"use": "digits"}


@pytest.mark.parametrize(
    "name", ["arrays", "breast-cancer", "digits", "folder", "idx", "nsl-kdd", "table", "wine"]
)
def test_every_option_of_every_kind_has_a_line_of_help(name: str) -> None:
    kind = DATA.get(name)
    assert issubclass(kind, DataSpec) and kind.__doc__
    for option, field in kind.model_fields.items():
        assert option == "use" or field.description, option


@pytest.mark.parametrize(
    ("option", "value"),
    [("labels_per_class", 0), ("split_seed", -1), ("augment", "rotate"), ("limit", 1),
     ("labels_per_class", 2.5), ("lables", 3)],
)  # fmt: skip
def test_options_outside_their_bounds_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        PICK.validate_python({"use": "digits", option: value})


def test_paths_start_from_the_experiments_folder_and_may_be_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "photos").mkdir(parents=True)
    expected = (tmp_path / "a" / "photos").resolve()
    for path in ("photos", "../a/photos", str(expected)):
        assert find(path, tmp_path / "a", what="it", folder=True) == expected
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    assert find("~/photos", tmp_path, what="it", folder=True) == expected


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(BadFile, match=r"WB104.*'one'"):
        find("one", tmp_path, what="it", folder=True)
