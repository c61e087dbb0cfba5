"""The handwritten digits that come with scikit-learn: real scans, no download."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.data.examples import Examples
from workbench.data.spec import DataSpec
from workbench.errors import BadData
from workbench.registries import DATA

INK_LEVELS = 16
"""A pixel counts the black dots in a 4 x 4 block of the original bitmap, 0 to 16."""


@DATA.register("digits")
class Digits(DataSpec):
    """1797 handwritten digits, 8 x 8 grey, from scikit-learn; no download.

    Reference:
        Alpaydin, Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI repository.
    """

    use: Literal["digits"] = "digits"

    def load(self, base: Path) -> Examples:
        """Read the packaged table; pixels are divided by 16, exact in float32."""
        table = _table()
        images = (table[:, :64].astype(np.float32) / np.float32(INK_LEVELS)).reshape(-1, 1, 8, 8)
        names = tuple(str(digit) for digit in range(10))
        return Examples(images, table[:, 64].astype(np.int64), names, "digits")


def _table() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Pixels and label of each digit, uint8, shape (1797, 65)."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise BadData(
            "The digits come with scikit-learn, which is not installed. Install scikit-learn."
        )
    packaged = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if packaged.is_file():
        # The file alone takes 0.07 s, importing scikit-learn for it takes 1 s.
        with gzip.open(packaged, "rt", encoding="ascii") as lines:
            return np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target]).astype(np.uint8)
