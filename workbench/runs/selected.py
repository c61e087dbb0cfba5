"""What a snapshot says of some of its samples: the views' arrays and facts, restricted to them.

Unusual here: nothing is forwarded again. A snapshot keeps of each probe row what the numbers are
means of; where it does not (features of single layers, or an older run), the view says so in words
and shows no number of other samples under this selection's name.
Shapes: n = probe rows, S = snapshots, K = classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from workbench_widgets.words import count

from workbench.runs.agreement import Agreement, answers_of
from workbench.runs.chance import Table, bin_of
from workbench.runs.equal_mass import with_equal_mass

if TYPE_CHECKING:
    from workbench.runs.history import Answered

Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]

FEWEST: Final = 10
"""Samples that a reliability diagram needs: fewer make no filled bin."""
OLDER: Final = (
    "This run was recorded before snapshots kept what these numbers are means of, so there are "
    "none of a selection."
)
WHOLE_MAP: Final = (
    "a snapshot keeps no features of single samples, so layers are compared on all of them."
)


def layer_words(weights: int, shown: int) -> str:
    """What a map of selected samples is of, and what it lacks beside the map of all.

    Args:
        weights: Step of the checkpoint that the student is of.
        shown: Step that the other views show.
    """
    whose = (
        "" if weights == shown else f"Student of step {count(weights)}, the nearest checkpoint. "
    )
    return f"{whose}Change and history are of all samples only."


class Untold(Exception):
    """A view that has no numbers of this selection; says why, for the view itself."""


@dataclass(frozen=True)
class Chosen:
    """Samples of a snapshot.

    Attributes:
        ids: Of the selected samples, rising.
        rows: Which probe rows they are, bool, shape (n,).
    """

    ids: tuple[int, ...]
    rows: NDArray[np.bool_]

    @classmethod
    def among(cls, ids: Sequence[int], arrays: Mapping[str, np.ndarray]) -> Chosen | None:
        """Those of ``ids`` that a snapshot has, or None if it names no samples or holds none."""
        known = ids_of(arrays)
        if known is None or not ids:
            return None
        rows = np.isin(known, np.asarray(ids, dtype=np.int64))
        if not rows.any():
            return None
        return cls(tuple(sorted(int(one) for one in known[rows])), rows)

    @property
    def n(self) -> int:
        """How many."""
        return len(self.ids)

    @property
    def of(self) -> int:
        """Out of how many."""
        return len(self.rows)

    def facts(self) -> Facts:
        """What frames and pages are told: ``n`` selected ``of`` all."""
        return {"n": self.n, "of": self.of}


def ids_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Sample ids of a snapshot's probe rows, shape (n,); None if it has none."""
    for name in ("answers.ids", "trilateral.ids"):
        if name in arrays:
            return arrays[name]
    return None


def each_sample(view: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Per-sample arrays of other probes, by which a view is coloured or clicked; maybe none.

    Args:
        view: ``trilateral`` (``ratio NAME``, what the mix NAME gives each), ``calibration`` or
            ``loyalty`` (by which a click finds its samples).
        arrays: Of the snapshot.
    """
    ids = ids_of(arrays)
    if ids is None:
        return {}
    if view == "trilateral":
        return {
            name.replace(".", " ", 1): values
            for name, values in arrays.items()
            if name.startswith("ratio.") and values.shape == ids.shape
        }
    if view == "calibration" and "calibration.student_each_top" in arrays:
        return {
            "ids": ids,
            **{
                f"bin_{who}{suffix}": bin_of(arrays[f"calibration.{who}_each_top{suffix}"])
                for who in ("student", "teacher")
                for suffix in ("", "_scaled")
            },
        }
    if view == "loyalty" and (found := answers_of(arrays)) is not None:
        labels, mine, theirs = found
        wrong_here, wrong_there = mine != labels, theirs != labels
        return {
            "ids": ids,
            "labels": labels,
            "cell": 2 * wrong_here.astype(np.int32) + wrong_there,
            "copied": (wrong_there & (mine == theirs)).astype(np.int32),
        }
    return {}


def restricted(
    view: str, arrays: Arrays, facts: Facts, chosen: Chosen, snapshot: Mapping[str, np.ndarray]
) -> tuple[Arrays, Facts]:
    """A view's arrays and facts of the selected samples only.

    Args:
        view: ``trilateral``, ``calibration`` or ``loyalty``.
        arrays: Of all samples, by the view's own names.
        facts: The same.
        chosen: Which samples.
        snapshot: All arrays of the snapshot.

    Raises:
        Untold: If the view has no numbers of these; says why.
    """
    if view == "trilateral":
        return of_trilateral(arrays, facts, chosen)
    if view == "calibration":
        return of_calibration(arrays, facts, chosen)
    return of_loyalty(arrays, facts, chosen, snapshot)


def of_trilateral(arrays: Arrays, facts: Facts, chosen: Chosen) -> tuple[Arrays, Facts]:
    """All samples are drawn, the selected ones in colour; numbers are theirs."""
    axis = arrays["axis_defined"][chosen.rows] > 0
    arrays = {**arrays, "chosen": chosen.rows.astype(np.uint8)}
    return arrays, {**facts, "n": chosen.n, "no_axis": int((~axis).sum())}


def of_calibration(arrays: Arrays, facts: Facts, chosen: Chosen) -> tuple[Arrays, Facts]:
    """Tables, intervals, bands, ECE and its null of the selected samples.

    Raises:
        Untold: If they are too few, or the snapshot does not keep them one by one.
    """
    if chosen.n < FEWEST:
        raise Untold(
            f"Not defined for n = {chosen.n}. A reliability diagram needs {FEWEST} samples or more."
        )
    if "student_each_top" not in arrays:
        raise Untold(OLDER)
    made: Arrays = {}
    told: Facts = {}
    for who in ("student", "teacher"):
        right = arrays[f"{who}_each_right"][chosen.rows] > 0
        own: Facts = {**facts[who]}
        for suffix in ("", "_scaled"):
            table = Table.of(arrays[f"{who}_each_top{suffix}"][chosen.rows], right)
            made |= {f"{who}_{name}{suffix}": row for name, row in table.columns().items()}
            usable = not suffix or facts[who].get("temperature") is not None
            own[f"ece{suffix}"] = table.ece() if usable else None
            own[f"ece{suffix}_null_p95"] = table.ece_null() if usable else None
        for name in ("nll", "brier"):
            own[name] = _mean(arrays[f"{who}_each_{name}"][chosen.rows])
        told[who] = own
    return with_equal_mass({**arrays, **made}, {**facts, **told, "n": chosen.n}, chosen.rows)


def of_loyalty(
    arrays: Arrays, facts: Facts, chosen: Chosen, answers: Mapping[str, np.ndarray]
) -> tuple[Arrays, Facts]:
    """The table, loyalties, copied errors and class counts of the selected samples.

    Raises:
        Untold: If the snapshot does not keep them one by one.
    """
    found = answers_of(answers)
    if "each_likeness" not in arrays or found is None:
        raise Untold(OLDER)
    labels, mine, theirs = (values[chosen.rows] for values in found)
    agreed = Agreement.among(labels, mine, theirs)
    cell = 2 * (mine != labels) + (theirs != labels)
    copied = (theirs != labels) & (mine == theirs)
    classes = arrays["by_class"].shape[1]
    by_class = [
        np.bincount(labels[mask], minlength=classes)
        for mask in (cell == 2, copied, np.ones_like(copied))
    ]
    return (
        {
            **arrays,
            "table": np.bincount(cell, minlength=4).reshape(2, 2),
            "by_class": np.stack(by_class)[: arrays["by_class"].shape[0]],
        },
        {
            **facts,
            "n": chosen.n,
            "label_loyalty": agreed.label_loyalty,
            "probability_loyalty": _mean(arrays["each_likeness"][chosen.rows]),
            "copied": agreed.copied,
            "teacher_wrong": agreed.teacher_wrong,
            "kl_nats": _mean(arrays["each_kl"][chosen.rows]),
        },
    )


def tables_of(
    rights: Sequence[NDArray[np.bool_]], teacher_right: NDArray[np.bool_], chosen: Chosen
) -> NDArray[np.int64]:
    """Who is right among the selected at each snapshot, shape (S, 2, 2)."""
    theirs = teacher_right[chosen.rows]
    made = []
    for right in rights:
        cell = 2 * (~right[chosen.rows]) + ~theirs
        made.append(np.bincount(cell, minlength=4).reshape(2, 2))
    return np.stack(made)


def accuracies(answered: Sequence[Answered], chosen: Chosen) -> Arrays:
    """Accuracy of student and teacher on the selected samples at each snapshot.

    Args:
        answered: Of the snapshots, oldest first.
        chosen: Which samples.

    Returns:
        ``selected_steps``, ``selected_student`` and ``selected_teacher`` in [0, 1], shape (S,)
        each; empty if no snapshot keeps the answers.
    """
    kept = [one for one in answered if one.student.shape == chosen.rows.shape]
    if not kept:
        return {}
    return {
        "selected_steps": np.asarray([one.step for one in kept]),
        # two passes over bytes: to pick the rows out first takes ten times as long
        "selected_student": np.asarray([_share(one.student, chosen) for one in kept]),
        "selected_teacher": np.asarray([_share(one.teacher, chosen) for one in kept]),
    }


def _share(right: NDArray[np.bool_], chosen: Chosen) -> float:
    return float(np.count_nonzero(right & chosen.rows)) / chosen.n


def _mean(values: np.ndarray) -> float | None:
    """Their mean, or None where it is no number: JSON has no NaN."""
    mean = float(np.mean(values, dtype=np.float64)) if len(values) else math.nan
    return mean if math.isfinite(mean) else None
