"""Patches of photographs: where they come from, what is passed over, what a seed decides."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_sample_image

from workbench.data import build_data, patches
from workbench.data.patches import LEAST_CONTRAST, PhotoPatches
from workbench.errors import BadData, BadFile

HERE = Path()


def grey(name: str) -> np.ndarray:
    """scikit-learn's own reading of a photograph, in grey."""
    return np.asarray(Image.fromarray(load_sample_image(f"{name}.jpg")).convert("L"))


@cache
def windows(name: str, side: int) -> dict[bytes, list[tuple[int, int]]]:
    """Every place of every patch of a photograph."""
    photograph = grey(name)
    found: dict[bytes, list[tuple[int, int]]] = {}
    for top in range(photograph.shape[0] - side + 1):
        for left in range(photograph.shape[1] - side + 1):
            patch = photograph[top : top + side, left : left + side].tobytes()
            found.setdefault(patch, []).append((top, left))
    return found


def test_patches_are_grey_bytes_half_from_each_photograph() -> None:
    examples = PhotoPatches(count=301).load(HERE)
    assert examples.inputs.shape == (301, 1, 8, 8) and examples.inputs.dtype == np.uint8
    assert examples.class_names == ("china", "flower")
    assert np.bincount(examples.labels).tolist() == [151, 150]


def test_patches_stand_in_their_photograph_and_do_not_overlap() -> None:
    offsets = set()
    for seed, name in ((3, "china"), (3, "flower"), (4, "china"), (5, "china")):
        examples = PhotoPatches(count=1000, seed=seed).load(HERE)
        number, places = examples.class_names.index(name), windows(name, 8)
        mine = examples.inputs[examples.labels == number, 0]
        corners = [places[patch.tobytes()] for patch in mine]
        sure = np.array([where[0] for where in corners if len(where) == 1])
        assert len(sure) > 480
        # one offset for all of a photograph: different patches of one grid share no pixel
        assert len(np.unique(sure % 8, axis=0)) == 1
        assert len(np.unique(sure, axis=0)) == len(sure)
        assert sure.tolist() == sorted(sure.tolist())
        offsets.add(tuple(sure[0] % 8))
    assert len({down for down, _ in offsets}) > 1 and len({across for _, across in offsets}) > 1


def test_patches_of_almost_no_contrast_are_passed_over() -> None:
    examples = PhotoPatches(count=2000).load(HERE)
    spread = examples.inputs.reshape(2000, -1).std(axis=1) / 255
    assert spread.min() >= LEAST_CONTRAST
    tiles = grey("flower")[:424].reshape(53, 8, 80, 8).std(axis=(1, 3)) / 255
    assert (tiles < LEAST_CONTRAST).mean() > 0.7


def test_a_seed_gives_the_same_patches_and_another_gives_others() -> None:
    first = PhotoPatches(count=200).load(HERE).content_hash
    assert PhotoPatches(count=200).load(HERE).content_hash == first
    assert PhotoPatches(count=200, seed=1).load(HERE).content_hash != first
    assert PhotoPatches(count=200, split_seed=1).load(HERE).content_hash == first


def test_more_than_there_are_is_refused_with_how_many_there_are() -> None:
    with pytest.raises(BadData, match=r"WB105.*`count` is 4000, but flower.jpg has \d+ patches of "
                       r"8 x 8.*Set `count` to \d+ or less.*`stride` below 8"):  # fmt: skip
        PhotoPatches(count=4000).load(HERE)
    most = len(PhotoPatches(count=4000, stride=4).load(HERE))
    assert most == 4000


def test_side_and_count_are_bounded() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 8"):
        PhotoPatches(side=4)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        PhotoPatches(count=1)


def test_the_parts_keep_both_photographs() -> None:
    data = build_data(PhotoPatches(side=16, count=200), base=HERE, seed=0)
    assert (data.channels, data.height, data.width, data.num_classes) == (1, 16, 16, 2)
    for part in ("train", "val", "test", "probe", "meta"):
        assert set(data.examples.labels[data.split_ids(part)].tolist()) == {0, 1}, part


def test_missing_scikit_learn_and_a_missing_photograph_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(patches, "PHOTOGRAPHS", ("china", "rose"))
        with pytest.raises(BadFile, match=r"WB104.*rose\.jpg cannot be read"):
            PhotoPatches(count=20).load(HERE)
    monkeypatch.setattr(patches.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadData, match=r"WB105.*Install scikit-learn"):
        PhotoPatches(count=20).load(HERE)


def test_loading_imports_neither_torch_nor_scikit_learn() -> None:
    program = (
        "import sys; from pathlib import Path; from workbench.registries import DATA\n"
        "DATA.get('photo-patches')(count=20).load(Path())\n"
        "print({'torch', 'sklearn', 'pandas', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
