"""A data set on its device: order, batches, variations, and who may see which label.

Unusual here: there is no loader and no worker process. The data lies in memory on the device, a
batch is one gather, and everything drawn (order, variation, which labels are visible) is a pure
function of seed, epoch and sample id, so resuming needs an (epoch, offset) pair and nothing else.
Shapes: N = rows, B = sample, C = channel, H, W = pixels, F = feature of a table row, K = classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from workbench.data.augment import augment
from workbench.data.examples import CHUNK_ROWS, Examples, refuse_large
from workbench.data.provenance import split_with_pool
from workbench.data.splits import IntArray, Splits, split
from workbench.errors import BadData
from workbench.lazy import LazyModule
from workbench.models.batch import UNLABELLED, Batch
from workbench.randomness import permutation, uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.data.spec import Augment, DataSpec
else:
    torch = LazyModule("torch")

Ids = IntArray | Sequence[int]
"""Sample ids; a tensor of ids is taken as well."""


class ImageData:
    """Checked examples, images or the rows of a table, cut into parts, on one device.

    Args:
        examples: What was loaded.
        splits: Its parts; see :func:`workbench.data.splits.split`.
        augment: How training images are varied; ``none`` for table rows.
        device: Where inputs and labels lie.

    Attributes:
        visible_ids: Rows whose label :meth:`fetch` shows: all training rows until
            :meth:`with_labels` says otherwise.
        shown_labels: What :meth:`fetch` shows of each row, int64, shape (N,), -1 where withheld;
            the true classes but for the rows that :meth:`with_labels` gave another.

    Raises:
        BadData: If the data are too large, or are table rows and ``augment`` is not ``none``.
    """

    def __init__(
        self,
        examples: Examples,
        splits: Splits,
        *,
        augment: Augment = "none",
        device: torch.device | str = "cpu",
    ) -> None:
        refuse_large(
            examples.name,
            examples.inputs.shape,
            itemsize=examples.inputs.itemsize,
            fix="Set `limit`, or choose smaller images.",
        )
        if examples.kind == "row" and augment != "none":
            raise BadData(
                f"{examples.name}: `augment` is {augment!r}, which moves pixels; the data are "
                "table rows. Set it to `none`."
            )
        self.examples = examples
        self.splits = splits
        self.augment: Augment = augment
        self.device = torch.device(device)
        self._inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs)).to(self.device)
        self._labels = torch.from_numpy(examples.labels).to(self.device)
        self._show(self._classed(splits.train))

    @property
    def name(self) -> str:
        """What the data set is called on screen."""
        return self.examples.name

    @property
    def kind(self) -> Literal["image", "row"]:
        """What one sample is: an image, or a row of a table."""
        return self.examples.kind

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour; of a table the features, each a channel without a place."""
        return int(self.examples.inputs.shape[1])

    @property
    def height(self) -> int | None:
        """Pixels; None for table rows."""
        return None if self.kind == "row" else int(self.examples.inputs.shape[2])

    @property
    def width(self) -> int | None:
        """Pixels; None for table rows."""
        return None if self.kind == "row" else int(self.examples.inputs.shape[3])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, length K."""
        return self.examples.class_names

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.examples.class_names)

    @property
    def num_train(self) -> int:
        """Rows of the training part, with and without visible label: the length of an epoch."""
        return len(self.splits.train)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the data set, 64 hex digits."""
        return self.examples.content_hash

    @cached_property
    def split_hashes(self) -> dict[str, str]:
        """What each part is, by name, 16 hex digits: its rows and their content."""
        return self.splits.hashes(self.content_hash)

    def split_ids(self, name: str) -> IntArray:
        """Rows of ``train``, ``val``, ``test``, ``probe``, ``meta`` or ``teach``, sorted int64."""
        return self.splits.ids(name).copy()

    def visible(self, seed: int, labels_per_class: int | None) -> IntArray:
        """Training rows that keep their label in a run with this seed.

        Args:
            seed: Seed of the run (not of the splits).
            labels_per_class: How many of each class; None for all. A larger number keeps the
                rows of a smaller one.

        Returns:
            Sorted row numbers, int64, shape (K * labels_per_class,).

        Raises:
            BadData: If a class has fewer training rows than that.
        """
        train = self._classed(self.splits.train)
        if labels_per_class is None:
            return train.copy()
        labels = self.examples.labels[train]
        counts = np.bincount(labels, minlength=self.num_classes)
        if counts.min() < labels_per_class:
            scarce = int(counts.argmin())
            raise BadData(
                f"`labels_per_class` is {labels_per_class}, but class "
                f"{self.class_names[scarce]!r} of {self.name} has {counts[scarce]} training rows. "
                f"At most {counts.min()} are possible."
            )
        shuffle = permutation(seed, "labels", 0, len(train))
        grouped = shuffle[np.argsort(labels[shuffle], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        first = (starts[:, None] + np.arange(labels_per_class)).ravel()
        return np.sort(train[grouped[first]])

    def with_labels(
        self, seed: int, labels_per_class: int | None, *, noise: float = 0.0
    ) -> ImageData:
        """The same data, memory shared, for a run that sees the labels of :meth:`visible` only.

        Args:
            seed: Seed of the run.
            labels_per_class: As in :meth:`visible`, which goes by the true classes.
            noise: Chance of each of these labels, in [0, 1], to name another class instead, each
                other class alike. A larger one keeps the swaps of a smaller one.
        """
        other = copy(self)
        visible = self.visible(seed, labels_per_class)
        shown = self.examples.labels[visible]
        if noise > 0 and self.num_classes > 1:
            steps = uniform(visible, seed, "label noise", "class") * (self.num_classes - 1)
            swapped = (shown + 1 + steps.astype(np.int64)) % self.num_classes
            shown = np.where(uniform(visible, seed, "label noise") < noise, swapped, shown)
        other._show(visible, shown)
        return other

    def for_teacher(self) -> ImageData:
        """What a teacher learns from, memory shared: ``self`` but for a pool.

        Of a pool: the original data set, the same rows in the same parts, with the hashes, mean and
        spread that it has without a pool, so that one teacher serves all pools of it.
        """
        if self.splits.teach is None:
            return self
        other = copy(self)
        for stale in ("_moments", "split_hashes"):
            other.__dict__.pop(stale, None)
        other.examples = self.examples.originals()
        rows = len(other.examples)
        other._inputs, other._labels = self._inputs[:rows], self._labels[:rows]
        other.splits = replace(self.splits, train=self.splits.teach, teach=None)
        other._show(other.splits.train)
        return other

    def plan(self, seed: int, epoch: int) -> IntArray:
        """Training rows in the order of one epoch, int64, shape (num_train,); pure."""
        return self.splits.train[permutation(seed, "order", epoch, self.num_train)]

    def fetch(self, ids: Ids | Tensor) -> Batch:
        """Examples as the student may see them: no label outside the visible training rows."""
        return self._batch(ids, self._shown, all_labelled=False)

    def fetch_train(self, ids: Ids) -> Batch:
        """The same for training rows only: where all their labels are visible, the batch knows."""
        return self._batch(ids, self._shown, all_labelled=self._all_shown)

    def fetch_full(self, ids: Ids | Tensor) -> Batch:
        """Examples with all labels: for the teacher and for measuring, never for the student.

        A foreign row of a pool has no label to show; a batch of a pool says which have one.
        """
        return self._batch(ids, self._labels, all_labelled=self._all_classed(ids))

    def transform(self, batch: Batch, seed: int, epoch: int) -> Batch:
        """The batch with its images varied as ``augment`` says; ids and labels stay."""
        if self.augment == "none":
            return batch
        images = augment(batch.inputs, batch.ids, how=self.augment, seed=seed, epoch=epoch)
        return replace(batch, inputs=images)

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training rows, of values in [0, 1]; or of each feature."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel or feature over the training rows; 1.0 if constant."""
        return self._moments[1]

    def row_keys(self, ids: Ids) -> npt.NDArray[np.uint64]:
        """A hash of each row's input and label, uint64, shape (B,).

        Tells whether two runs share a row, whatever its number: a teacher trained with another
        ``limit`` or ``split_seed`` may have seen this run's test rows.
        """
        digests = [
            blake2b(
                self.examples.inputs[row].tobytes() + self.examples.labels[row].tobytes(),
                digest_size=8,
            ).digest()
            for row in ids
        ]
        return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)

    def to(self, device: torch.device | str) -> ImageData:
        """The same data on another device; ``self`` if it lies there already."""
        if torch.device(device) == self.device:
            return self
        other = ImageData(self.examples, self.splits, augment=self.augment, device=device)
        other._show(self.visible_ids, self.shown_labels[self.visible_ids])
        return other

    def _classed(self, rows: IntArray) -> IntArray:
        """Those of the rows that have a class."""
        if self.examples.provenance is None:
            return rows
        classed: IntArray = rows[self.examples.labels[rows] != UNLABELLED]
        return classed

    def _all_classed(self, ids: Ids | Tensor) -> bool:
        """Whether the host knows that each row has a class; ids on a device are not fetched."""
        if self.examples.provenance is None:
            return True
        if isinstance(ids, torch.Tensor):
            return False
        return bool((self.examples.labels[np.asarray(ids, dtype=np.int64)] != UNLABELLED).all())

    def _show(self, visible: IntArray, labels: IntArray | None = None) -> None:
        """Show these rows' labels, or others in their place, aligned with the rows."""
        shown = np.full(len(self.examples), UNLABELLED, dtype=np.int64)
        shown[visible] = self.examples.labels[visible] if labels is None else labels
        self.visible_ids, self.shown_labels = visible, shown
        self._all_shown = len(visible) == len(self.splits.train)
        self._shown = torch.from_numpy(shown).to(self.device)

    def _batch(self, ids: Ids | Tensor, labels: Tensor, *, all_labelled: bool) -> Batch:
        if isinstance(ids, torch.Tensor):
            rows = ids.to(self.device, torch.int64)
        else:
            rows = torch.tensor(ids, dtype=torch.int64, device=self.device)
        inputs = self._inputs.index_select(0, rows)
        if inputs.dtype == torch.uint8:
            inputs = inputs.to(torch.float32).div_(255)
        return Batch(rows, inputs, labels.index_select(0, rows), all_labelled)

    @cached_property
    def _moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel or feature over the training rows.

        In numpy and float64, and with whole numbers where images are bytes: the result goes into
        every model's input, so it must not depend on device or number of threads.
        """
        images, train = self.examples.inputs, self.splits.train
        if images.ndim == 2:
            return _row_moments(images, train)
        scale = 255 if images.dtype == np.uint8 else 1
        total = np.zeros((2, self.channels))
        for start in range(0, len(train), CHUNK_ROWS):
            chunk = images[train[start : start + CHUNK_ROWS]]
            wide = chunk.astype(np.uint32 if scale == 255 else np.float64)
            total[0] += wide.sum(axis=(0, 2, 3), dtype=np.float64)
            total[1] += np.square(wide, out=wide).sum(axis=(0, 2, 3), dtype=np.float64)
        mean, square = total / (len(train) * images[0, 0].size)
        variance = np.maximum(square - mean**2, 0.0)
        std = np.where(variance > 1e-12 * scale**2, np.sqrt(variance) / scale, 1.0)
        return tuple((mean / scale).tolist()), tuple(std.tolist())


def _row_moments(
    rows: npt.NDArray[np.uint8] | npt.NDArray[np.float32], train: IntArray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The same for table rows, whose columns may lie far from zero: squares of the deviations.

    A constant column has a spread of exactly 0: sums of one float32 are exact in float64.
    """
    starts = range(0, len(train), CHUNK_ROWS)
    total = np.zeros((2, rows.shape[1]))
    for start in starts:
        total[0] += rows[train[start : start + CHUNK_ROWS]].sum(axis=0, dtype=np.float64)
    mean = total[0] / len(train)
    for start in starts:
        gap = rows[train[start : start + CHUNK_ROWS]].astype(np.float64) - mean
        total[1] += np.square(gap, out=gap).sum(axis=0)
    std = np.sqrt(total[1] / len(train))
    varies = std > np.finfo(np.float32).tiny  # a divisor in float32
    return tuple(mean.tolist()), tuple(np.where(varies, std, 1.0).tolist())


def build_data(
    spec: DataSpec, *, base: Path, seed: int, device: torch.device | str = "cpu"
) -> ImageData:
    """Load a data set and put it on a device, ready to train.

    Args:
        spec: Which data set, with which options.
        base: Folder that relative paths in the spec start from.
        seed: Seed of the run: decides which rows keep their labels.
        device: A device that exists, for example ``cpu`` or ``cuda:0``.

    Raises:
        BadFile: If a file is missing, of another kind or damaged.
        BadData: If the data cannot be used as the spec asks.
    """
    examples, parts = load_parts(spec, base=base)
    data = ImageData(examples, parts, augment=spec.augment, device=device)
    return data.with_labels(seed, spec.labels_per_class, noise=spec.label_noise)


def load_parts(spec: DataSpec, *, base: Path) -> tuple[Examples, Splits]:
    """A data set and its parts without a device, and without torch: to look at.

    Args:
        spec: Which data set, with which options.
        base: Folder that relative paths in the spec start from.

    Raises:
        BadFile: If a file is missing, of another kind or damaged.
        BadData: If the data cannot be used as the spec asks.
    """
    examples = spec.load(base).limited(spec.limit, seed=spec.split_seed)
    return examples, _parts(examples, spec.split_seed)


def _parts(examples: Examples, split_seed: int) -> Splits:
    labels, test_rows = examples.labels, examples.test_rows
    if examples.provenance is None:
        return split(labels, split_seed=split_seed, test_rows=test_rows)
    return split_with_pool(labels, examples.provenance, split_seed=split_seed, test_rows=test_rows)
