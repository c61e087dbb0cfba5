"""Which rows train, tune, test, probe and meta-learn: five disjoint parts, stratified by class.

Unusual here: the parts follow ``split_seed`` and not the run's seed, so one teacher serves all
seeds, and each part has a hash over its rows and their content, which makes "the same test set"
checkable. ``test`` is read once, at the end; live numbers come from ``probe``; temperature scaling
is fitted on ``val``; players that learn how to teach use ``meta``.
Shapes: N = rows of the data set, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from workbench.errors import BadData, UnknownName
from workbench.randomness import key, mix, permutation

IntArray = npt.NDArray[np.int64]
TEACH = "teach"
"""Name of the rows that a teacher is fitted on."""

PERCENT: Mapping[str, int] = {"test": 22, "probe": 14, "val": 8, "meta": 4}
"""Share of each held-out part; of the rows that are not test where a test part is given."""
CAP: Mapping[str, int] = {"probe": 2000, "val": 5000, "meta": 1000}
"""Most rows of a part: what the estimators need, so that large data sets keep theirs to train."""


@dataclass(frozen=True)
class Splits:
    """Row numbers of each part: sorted int64, disjoint, together all rows.

    Of a pool, ``train`` and ``teach`` together with the held-out parts are all rows.

    Attributes:
        train: Rows that weights are fitted on.
        val: Rows for choosing: temperature scaling, early stopping.
        test: Rows read once, at the end.
        probe: Rows of the live views.
        meta: Rows of the outer objective of players that learn how to teach.
        teach: Rows that a teacher is fitted on where they are not those of ``train`` (of a pool);
            disjoint from the held-out parts only.
    """

    train: IntArray
    val: IntArray
    test: IntArray
    probe: IntArray
    meta: IntArray
    teach: IntArray | None = None

    def ids(self, name: str) -> IntArray:
        """Rows of the part called ``name``, or ``teach``; UnknownName otherwise."""
        if name == TEACH:
            return self.train if self.teach is None else self.teach
        if name not in self.names():
            raise UnknownName("split", name, self.names())
        rows: IntArray = getattr(self, name)
        return rows

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the parts, in the order they are listed everywhere."""
        return tuple(name for name in cls.__dataclass_fields__ if name != TEACH)

    def hashes(self, content_hash: str) -> dict[str, str]:
        """What each part is, by name: 16 hex digits over its rows and the data's content.

        Equal for two runs exactly when they have the same rows of the same data in that part.
        ``teach`` is among them where a teacher learns from other rows than the student.
        """
        listed = self.names() if self.teach is None else (*self.names(), TEACH)
        return {
            name: sha256(
                content_hash.encode() + self.ids(name).astype("<i8").tobytes()
            ).hexdigest()[:16]
            for name in listed
        }


def split(
    labels: npt.ArrayLike, *, split_seed: int, test_rows: npt.ArrayLike | None = None
) -> Splits:
    """Cut a data set into its five parts.

    Args:
        labels: Class numbers, integers, shape (N,).
        split_seed: Same seed, same parts.
        test_rows: Rows of a test part that the data set itself defines; None draws 22 %.

    Returns:
        Disjoint parts that cover all rows. Each class has its share of each part to within one
        row, as far as that leaves it at least one row in ``train``.

    Raises:
        BadData: If the rows do not suffice for that (says how many do), or if a class occurs in
            the given test part only.
    """
    classes, kind = np.unique(np.asarray(labels), return_inverse=True)
    given = None if test_rows is None else np.unique(np.asarray(test_rows, dtype=np.int64))
    pool = np.arange(len(kind), dtype=np.int64)
    if given is not None:
        pool = np.setdiff1d(pool, given, assume_unique=True)
    counts = np.bincount(kind[pool], minlength=len(classes))
    if given is not None and not given.size:
        raise BadData("The given test part is empty. Leave it out to have one drawn.")
    if given is not None and not counts.all():
        missing = ", ".join(str(name) for name in classes[counts == 0][:5])
        raise BadData(
            f"Class {missing} has test rows but no training row. Add some, or drop the class."
        )
    sizes = _sizes(len(pool), given is None)
    if sum(sizes.values()) > len(pool) - len(classes):
        enough = _enough(len(pool), len(classes), given is None)
        what = "rows" if given is None else "rows that are not test"
        raise BadData(
            f"{len(pool)} {what} in {len(classes)} classes are too few for the parts train, "
            f"{', '.join(sizes)} with every class in train; {enough} are enough. Add rows, "
            "raise `limit` if it is set, or use fewer classes."
        )
    parts = _deal(pool, kind[pool], counts, sizes, split_seed)
    if given is not None:
        parts["test"] = given
    return Splits(**parts)


def choose_rows(strata: npt.ArrayLike, limit: int, *, seed: int) -> IntArray:
    """Rows of a smaller data set with the same proportions.

    Args:
        strata: Number of the group that each row belongs to, shape (N,).
        limit: How many rows to keep.
        seed: Same seed, same rows.

    Returns:
        Sorted row numbers, shape (min(limit, N),). Each group has its share to within one row and
        at least one row; the largest groups give up what small ones need for that.

    Raises:
        BadData: If ``limit`` is smaller than the number of groups.
    """
    groups, kind = np.unique(np.asarray(strata), return_inverse=True)
    if limit >= len(kind):
        return np.arange(len(kind), dtype=np.int64)
    if limit < len(groups):
        raise BadData(
            f"`limit` is {limit}, but there are {len(groups)} classes (counted apart in a given "
            f"test part); at least one row of each is needed. Set `limit` to {len(groups)} or more."
        )
    counts = np.bincount(kind)
    take = _allocate(counts, limit, counts, key(seed, "limit"))
    for group in np.flatnonzero(take == 0):  # every class stays a class
        take[take.argmax()] -= 1
        take[group] = 1
    order, rank = _shuffled_ranks(kind, permutation(seed, "limit", 0, len(kind)))
    return np.sort(order[rank < take[kind[order]]])


def _sizes(rows: int, draw_test: bool) -> dict[str, int]:
    """Rows of each held-out part, by name: its percentage, at least 1, at most its cap."""
    return {
        name: min(max(1, (percent * rows + 50) // 100), CAP.get(name, rows))
        for name, percent in PERCENT.items()
        if draw_test or name != "test"
    }


def _enough(rows: int, num_classes: int, draw_test: bool) -> int:
    """The smallest number of rows, from ``rows`` on, that :func:`split` can cut."""
    while sum(_sizes(rows, draw_test).values()) > rows - num_classes:
        rows += 1
    return rows


def _deal(
    pool: IntArray,
    kind: npt.NDArray[np.intp],
    counts: npt.NDArray[np.intp],
    sizes: Mapping[str, int],
    split_seed: int,
) -> dict[str, IntArray]:
    """Deal the rows of ``pool`` to the parts, class by class; what is left trains."""
    order, rank = _shuffled_ranks(kind, permutation(split_seed, "split", 0, len(pool)))
    start = np.zeros_like(counts)
    parts = {}
    for name, size in sizes.items():
        room = counts - start - 1  # one row of each class stays for training
        stop = start + _allocate(counts, size, room, key(split_seed, "split", name))
        mine = (rank >= start[kind[order]]) & (rank < stop[kind[order]])
        parts[name] = np.sort(pool[order[mine]])
        start = stop
    parts["train"] = np.sort(pool[order[rank >= start[kind[order]]]])
    return parts


def _shuffled_ranks(kind: npt.NDArray[np.intp], shuffle: IntArray) -> tuple[IntArray, IntArray]:
    """Positions grouped by class, shuffled within each, and the place of each in its class."""
    order = shuffle[np.argsort(kind[shuffle], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(kind))[:-1]])
    return order, np.arange(len(kind), dtype=np.int64) - starts[kind[order]]


def _allocate(
    counts: npt.NDArray[np.intp], total: int, room: npt.NDArray[np.intp], salt: int
) -> npt.NDArray[np.intp]:
    """Share ``total`` in proportion to ``counts`` by largest remainders, never above ``room``.

    Ties are broken by a hash, not by class number: else the first classes alone would fill the
    small parts of a data set with many small classes.
    """
    weight = counts.astype(np.int64)
    take: npt.NDArray[np.intp] = np.minimum(total * weight // weight.sum(), room)
    tie = mix(np.arange(len(weight), dtype=np.uint64) ^ np.uint64(salt))
    queue = np.lexsort((tie, -(total * weight % weight.sum())))
    while (missing := total - int(take.sum())) > 0:
        can_take = queue[take[queue] < room[queue]]
        take[can_take[:missing]] += 1
    return take
