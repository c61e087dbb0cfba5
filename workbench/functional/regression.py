"""Does the student give the teacher's numbers? Agreement of two real-valued outputs.

Unusual here: correlation and agreement are kept apart. A student that is off by a constant has
Pearson 1 and Lin's concordance below 1.
Shapes: n = samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import exactly, same_shape
from workbench.functional.similarity import pearson, spearman

if TYPE_CHECKING:
    from torch import Tensor

SAME_SAMPLES = "Compare outputs of the same samples."


def regression_fidelity(student: Tensor, teacher: Tensor) -> dict[str, float]:
    """Five readings of how close a student's outputs are to its teacher's.

    Args:
        student: Outputs, shape (n,).
        teacher: Outputs for the same samples, shape (n,).

    Returns:
        ``pearson``, ``spearman`` and ``ccc`` (Lin's concordance) in [-1, 1], ``mae`` in the unit of
        the outputs, ``r2`` (share of the teacher's variance explained, at most 1). NaN where an
        output is constant.

    Raises:
        ShapeMismatch: If shapes differ.

    Reference:
        Lin 1989 (concordance). The name "regression loyalty" of Avram et al. 2022 is not used: its
        formula is not public.
    """
    same_shape("regression_fidelity", student, teacher, fix=SAME_SAMPLES)
    s, t = exactly(student), exactly(teacher)
    gap = s - t
    mean_s, mean_t = s.mean(), t.mean()
    var_s, var_t = s.var(correction=0), t.var(correction=0)
    covariance = ((s - mean_s) * (t - mean_t)).mean()
    concordance = 2 * covariance / (var_s + var_t + (mean_s - mean_t).square())
    return {
        "pearson": float(pearson(s[None], t[None])),
        "spearman": float(spearman(s[None], t[None])),
        "ccc": float(concordance),
        "mae": float(gap.abs().mean()),
        "r2": float(1 - gap.square().mean() / var_t),
    }
