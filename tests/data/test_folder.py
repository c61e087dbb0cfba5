"""Folders of images: layouts, pixels, and every way a folder can be wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from workbench.data import folder as module
from workbench.data.folder import Folder
from workbench.errors import BadData, BadFile

RNG = np.random.default_rng(0)


def pixels(height: int = 8, width: int = 8) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(file: Path, array: np.ndarray, **options: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file, **options)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(3):
            save(tmp_path / "photos" / name / f"{number}.png", pixels())
    return tmp_path / "photos"


def load(root: Path, **options: object):
    return Folder.model_validate({"path": root.name, "size": 8, **options}).load(root.parent)


def test_lossless_images_of_the_asked_size_keep_every_pixel(photos: Path) -> None:
    examples = load(photos)
    assert examples.inputs.dtype == np.uint8 and examples.inputs.shape == (6, 3, 8, 8)
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (examples.class_names, examples.name) == (("cat", "dog"), "photos")
    with Image.open(photos / "dog" / "1.png") as image:
        np.testing.assert_array_equal(examples.inputs[4], np.asarray(image).transpose(2, 0, 1))


def test_grey_follows_the_luma_of_itu_r_601(photos: Path) -> None:
    with Image.open(photos / "cat" / "0.png") as image:
        luma = np.asarray(image, dtype=np.float64) @ [0.299, 0.587, 0.114]
    actual = load(photos, channels=1).inputs[0, 0]
    assert np.abs(actual - luma).max() <= 0.51


def test_a_wide_image_is_cropped_at_its_centre(photos: Path) -> None:
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, 16:32] = 200
    save(photos / "cat" / "0.png", wide)
    inner = load(photos).inputs[0, :, :, 1:-1]  # the filter reaches over the crop's own edge
    assert np.abs(inner.astype(int) - 200).max() <= 2


def test_exif_orientation_is_applied(photos: Path) -> None:
    array = pixels()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    save(photos / "cat" / "0.png", array, exif=exif)
    expected = np.rot90(array, k=-1).transpose(2, 0, 1)
    np.testing.assert_array_equal(load(photos).inputs[0], expected)


def test_sixteen_bits_are_scaled_and_not_clipped(photos: Path) -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    save(photos / "cat" / "0.png", levels)
    np.testing.assert_array_equal(load(photos, channels=1).inputs[0, 0], levels >> 8)


def test_a_float_image_is_refused_as_it_has_no_range(photos: Path) -> None:
    save(photos / "cat" / "0.tif", np.ones((8, 8), dtype=np.float32))
    with pytest.raises(BadFile, match=r"cat/0\.tif \(mode 'F' has no fixed range"):
        load(photos)


def test_train_and_test_folders_are_recognised(photos: Path) -> None:
    photos.rename(photos.parent / "train")
    photos.mkdir()
    (photos.parent / "train").rename(photos / "train")
    save(photos / "test" / "dog" / "9.png", pixels())
    examples = load(photos)
    assert len(examples) == 7 and examples.test_rows is not None
    assert examples.test_rows.tolist() == [6]
    assert examples.labels[6] == 1
    save(photos / "test" / "cat" / "8.png", pixels())
    save(photos / "test" / "owl" / "8.png", pixels())
    with pytest.raises(BadData, match=r"test has the class 'owl', which .*train lacks.*cat, dog"):
        load(photos)
    (photos / "test" / "owl").rename(photos / "val")
    with pytest.raises(BadData, match=r"folder 'val' beside 'train'.*Rename it to 'test'"):
        load(photos)


def test_a_class_may_be_called_train(photos: Path) -> None:
    save(photos / "train" / "0.png", pixels())
    assert load(photos).class_names == ("cat", "dog", "train")


def test_hidden_files_and_other_files_are_passed_over(photos: Path) -> None:
    expected = load(photos).content_hash
    (photos / "cat" / ".hidden.png").write_bytes(b"no image")
    (photos / "cat" / "notes.txt").write_text("no image")
    (photos / "README.md").write_text("about")
    (photos / ".cache").mkdir()
    (photos / "dog" / ".thumbs").mkdir()
    save(photos / "dog" / ".thumbs" / "0.png", pixels())
    assert load(photos).content_hash == expected


def test_images_in_deeper_folders_belong_to_the_class(photos: Path) -> None:
    save(photos / "cat" / "2024" / "a.PNG", pixels())
    assert np.bincount(load(photos).labels).tolist() == [4, 3]


def test_links_that_leave_the_folder_are_not_followed(photos: Path) -> None:
    expected = load(photos).content_hash
    secret = save(photos.parent / "secret" / "0.png", pixels())
    (photos / "cat" / "9.png").symlink_to(secret)
    (photos / "zebra").symlink_to(secret.parent)
    (photos / "cat" / "deeper").symlink_to(secret.parent)
    (photos / "dog" / "loop").symlink_to(photos)
    assert load(photos).content_hash == expected
    (photos / "cat" / "9.png").unlink()
    (photos / "cat" / "9.png").symlink_to(photos / "dog" / "0.png")
    assert len(load(photos)) == 7


def test_damaged_files_are_all_named_or_counted(photos: Path) -> None:
    whole = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "0.png").write_bytes(whole[: len(whole) // 2])
    (photos / "cat" / "1.png").write_bytes(b"")
    (photos / "dog" / "0.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(BadFile) as caught:
        load(photos)
    text = str(caught.value)
    assert "WB104" in text and "3 of 6 images cannot be read" in text
    assert all(name in text for name in ("cat/0.png", "cat/1.png", "dog/0.png"))
    for number in range(4):
        (photos / "dog" / f"bad{number}.png").write_bytes(b"")
    with pytest.raises(BadFile, match=r"7 of 10 images.* and 2 more. Replace or remove"):
        load(photos)


def test_a_picture_of_absurd_size_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    save(photos / "cat" / "0.png", pixels(11, 11))
    with pytest.raises(BadFile, match=r"1 of 6 .*cat/0\.png .*exceeds limit"):
        load(photos)


@pytest.mark.parametrize(
    ("keep", "words"),
    [((), "no class folder"), (("cat",), r"one class folder only \('cat'\)")],
)
def test_fewer_than_two_classes_are_refused(photos: Path, keep: tuple[str], words: str) -> None:
    for name in {"cat", "dog"} - set(keep):
        (photos / name).rename(photos / f".{name}")
    with pytest.raises(BadData, match=f"WB105.*{words}.*one sub-folder of images for each class"):
        load(photos)


def test_a_class_without_images_is_named(photos: Path) -> None:
    (photos / "emu").mkdir()
    with pytest.raises(BadData, match=r"class folder .*/emu holds no image \(\.bmp"):
        load(photos)


def test_a_missing_folder_and_a_file_are_told_apart(photos: Path) -> None:
    with pytest.raises(BadFile, match=r"'nowhere' does not exist \(looked at .*/nowhere\)"):
        load(photos.parent / "nowhere")
    file = photos / "cat" / "0.png"
    with pytest.raises(BadFile, match=r"0\.png is a file; the image folder must be a folder"):
        load(file)
    with pytest.raises(BadFile, match="cannot be used as a path"):
        Folder(path="a\0b").load(photos)
    with pytest.raises(BadFile, match="WB104"):
        Folder(path="x" * 5000).load(photos)


def test_a_folder_that_may_not_be_read_is_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def locked(place: Any) -> Any:
        if os.fspath(place).endswith("cat"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(BadFile, match=r"cat cannot be read \(Permission denied\)"):
        load(photos)


def test_a_limit_is_applied_before_decoding(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = module._decode_one
    monkeypatch.setattr(
        module, "_decode_one", lambda file, **size: decoded.append(file) or real(file, **size)
    )
    examples = load(photos, limit=4)
    assert len(examples) == len(decoded) == 4
    assert np.bincount(examples.labels).tolist() == [2, 2]
    full = {image.tobytes() for image in load(photos).inputs}
    assert all(image.tobytes() in full for image in examples.inputs)


def test_a_limit_keeps_both_parts(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("test", 4)):
        for name in ("cat", "dog"):
            for number in range(count):
                save(tmp_path / "p" / part / name / f"{number}.png", pixels())
    examples = load(tmp_path / "p", limit=12)
    assert examples.test_rows is not None
    assert len(examples) == 12 and examples.test_rows.tolist() == [8, 9, 10, 11]
    assert examples.labels.tolist() == [0] * 4 + [1] * 4 + [0] * 2 + [1] * 2


@pytest.mark.parametrize("options", [{"size": 7}, {"channels": 2}, {"colour": True}, {"path": ""}])
def test_options_outside_their_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Folder.model_validate({"path": "x", **options})
