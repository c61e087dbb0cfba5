"""The same confidences in bins of equal mass: what a reliability diagram shows instead of widths.

Unusual here: no probe measures these; they follow from what a snapshot keeps of each sample, so
older runs have them too. A sure model puts nearly all samples into the last bin of equal width;
bins of equal mass tell those apart, and their ECE has a null of its own, for their own edges.
Paper: Nguyen & O'Connor 2015; edges as Kumar et al. 2019 place them.
Shapes: n = probe rows, M = bins (15 at most: equal confidences share one).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench.runs.chance import Table, bin_of, equal_mass_edges

SUFFIX: Final = "_mass"
"""Of the names of these bins' arrays and numbers, before that of temperature scaling."""
SCALINGS: Final = ("", "_scaled")
ROLES: Final = ("student", "teacher")


def with_equal_mass(
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
    rows: NDArray[np.bool_] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The calibration view's arrays and facts, with those of equal-mass bins beside them.

    Args:
        arrays: Of the view. Without single samples (an older run) nothing is added.
        facts: The same.
        rows: The samples that are counted, shape (n,); all if not given.

    Returns:
        Also, by model and scaling, the columns of a table with the suffix ``_mass``, ``edges_mass``
        (M + 1,) and ``bin_student_mass`` and the like (n,), the bin of every sample, counted or
        not; and among the facts ``ece_mass`` with ``ece_mass_null_p95``.
    """
    made, told = dict(arrays), dict(facts)
    if "student_each_top" not in arrays:
        return made, told
    for who in ROLES:
        own = dict(facts[who])
        right = arrays[f"{who}_each_right"] > 0
        for scaling in SCALINGS:
            suffix, top = f"{SUFFIX}{scaling}", arrays[f"{who}_each_top{scaling}"]
            counted = slice(None) if rows is None else rows
            edges = equal_mass_edges(top[counted])
            table = Table.of(top[counted], right[counted], edges)
            made |= {f"{who}_{name}{suffix}": row for name, row in table.columns().items()}
            made[f"{who}_edges{suffix}"] = edges
            made[f"bin_{who}{suffix}"] = bin_of(top, edges)
            usable = not scaling or own.get("temperature") is not None
            own[f"ece{suffix}"] = table.ece() if usable else None
            own[f"ece{suffix}_null_p95"] = table.ece_null() if usable else None
        told[who] = own
    return made, told
