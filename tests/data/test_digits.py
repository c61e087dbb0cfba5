"""Digits: the same as scikit-learn's own loader, without importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from workbench.data import digits
from workbench.data.digits import Digits


def test_equals_scikit_learns_loader(tmp_path: Path) -> None:
    examples = Digits().load(tmp_path)
    bunch = load_digits()
    assert examples.inputs.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(examples.inputs[:, 0].astype(np.float64) * 16, bunch.images)
    np.testing.assert_array_equal(examples.labels, bunch.target)
    assert examples.class_names == tuple("0123456789")


def test_without_the_packaged_file_scikit_learn_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Digits().load(tmp_path).content_hash
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert Digits().load(tmp_path).content_hash == expected


def test_missing_scikit_learn_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(digits.BadData, match=r"WB105.*Install scikit-learn"):
        Digits().load(tmp_path)


def test_content_never_changes(tmp_path: Path) -> None:
    """Stored teachers are found by this hash."""
    assert Digits().load(tmp_path).content_hash == (
        "df4b3e6416001d9983532771a295dc89b8cd75e4de31fbcacf2601d7c7a24597"
    )


def test_loading_imports_neither_torch_nor_scikit_learn_nor_pillow() -> None:
    program = (
        "import sys; from pathlib import Path; from workbench.registries import DATA\n"
        "DATA.get('digits')().load(Path()); DATA.get('folder'); DATA.get('idx')\n"
        "print({'torch', 'sklearn', 'PIL', 'pandas', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
