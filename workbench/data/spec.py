"""What every kind of data set can be asked for, as plain data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from workbench.data.examples import Examples
from workbench.errors import BadFile
from workbench.specs.base import Kind

Augment = Literal["none", "shift", "flip", "crop-flip"]
"""How training images are varied; see :mod:`workbench.data.augment`."""


class DataSpec(Kind, ABC):
    """A data set by name, with the options that all kinds share.

    A kind derives from this, adds its own options as fields, implements :meth:`load` and is
    registered with ``DATA.register("name")``.
    """

    labels_per_class: Annotated[
        int | None,
        Field(
            ge=1,
            description="Labels of each class that the student sees; the other training rows stay, "
            "without label. Empty: all. The teacher always sees all.",
        ),
    ] = None
    label_noise: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the labels that the student sees which name another class, drawn "
            "for each row by the run's seed. The teacher and all other splits keep the true ones.",
        ),
    ] = 0.0
    split_seed: Annotated[
        int, Field(ge=0, description="Seed of the parts train, val, test, probe and meta.")
    ] = 0
    augment: Annotated[
        Augment,
        Field(
            description="Variation of training images: shift by up to 1 pixel (small scans), flip "
            "left and right, or crop after padding by an eighth and flip (photographs).",
        ),
    ] = "none"
    limit: Annotated[
        int | None,
        Field(
            ge=2, description="Use only so many rows, in the same class proportions. Empty: all."
        ),
    ] = None

    @abstractmethod
    def load(self, base: Path) -> Examples:
        """Read the data set.

        Args:
            base: Folder that relative paths in options start from: that of the experiment file.

        Raises:
            BadFile: If a file is missing, empty, of another kind or damaged.
            BadData: If the content cannot be used as asked.
        """

    def given(self) -> Any:
        """As given; ``use`` is always there, also when the spec was made in Python."""
        data = super().given()
        return data if isinstance(data, str) else {"use": self.use, **data}


def find(path: str, base: Path, *, what: str, folder: bool, option: str = "path") -> Path:
    """The existing file or folder that an option names.

    Args:
        path: As given; ``~`` is the home folder, a relative path starts from ``base``.
        base: Folder of the experiment file.
        what: What is looked for, for messages: ``"the image folder"``.
        folder: True for a folder, False for a file.
        option: Its name, for messages.

    Raises:
        BadFile: If nothing is there, or the other of the two; names the resolved path.
    """
    try:
        found = (base / Path(path).expanduser()).resolve()
        exists, is_folder = found.exists(), found.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no home, a NUL, a link loop
        raise BadFile(f"`{option}`: {path!r} cannot be used as a path ({error}).") from None
    if not exists:
        raise BadFile(
            f"`{option}`: {what} {path!r} does not exist (looked at {found}). A relative path "
            "starts from the folder of the experiment file."
        )
    if is_folder != folder:
        got, wanted = ("a folder", "a file") if is_folder else ("a file", "a folder")
        raise BadFile(f"`{option}`: {found} is {got}; {what} must be {wanted}.")
    return found
