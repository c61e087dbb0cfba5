"""Probes that read predictions only: the wedge, calibration, loyalty.

Calibration and loyalty also keep what their numbers are means of, so that a selection of samples
has the same numbers of its own without a forward.
Shapes: n = probe rows, K = classes, M = bins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.functional.calibration import ReliabilityTable, confidence_and_correct
from workbench.functional.calibration_null import calibration_band, ece_null, wilson_interval
from workbench.functional.knowledge import copied_errors, correctness_table
from workbench.functional.loyalty import (
    fidelity_kl,
    label_loyalty,
    probability_loyalty,
    sqrt_js,
)
from workbench.functional.scoring import COLDEST, HOTTEST, brier_score, fit_temperature, nll
from workbench.functional.trilateral import embed
from workbench.probes.probe import Measured, Pair, Probe
from workbench.probes.view import Look


class TrilateralProbe(Probe):
    """Planar triangle of truth, teacher and student for each sample, at temperature 1.

    In L2, and in Hellinger under ``hellinger_...``; snapshots of older runs have the first only.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._teacher = pair.teacher.logits.double().softmax(-1)

    def measure(self, student: Look) -> Measured:
        """Coordinates of each probe sample."""
        labels = self.pair.rows.labels
        mine = student.logits.double().softmax(-1)
        found = embed(mine, self._teacher, labels)
        roots = embed(mine, self._teacher, labels, metric="hellinger")
        arrays = {
            "ids": self.pair.rows.ids.cpu().numpy(),
            "x": _floats(found.x),
            "y": _floats(found.y),
            "teacher_x": _floats(found.teacher_radius),
            "alpha": _floats(found.alpha),
            "angle": _floats(found.angle),
            "hellinger_x": _floats(roots.x),
            "hellinger_y": _floats(roots.y),
            "hellinger_teacher_x": _floats(roots.teacher_radius),
            "axis_defined": found.axis_defined.numpy().astype(np.uint8),
            "labels": labels.numpy().astype(np.int32),
            "student_right": _right(student.logits, labels),
            "teacher_right": _right(self.pair.teacher.logits, labels),
        }
        return Measured(
            arrays,
            {
                "n": len(labels),
                "metric": "L2",
                "temperature": 1.0,
                "num_classes": student.logits.shape[-1],
                "class_names": list(self.pair.class_names),
                "no_axis": int((~found.axis_defined).sum()),
            },
        )


class CalibrationProbe(Probe):
    """Reliability tables of both models, raw and temperature-scaled."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._teacher = self._model("teacher", pair.teacher)

    def measure(self, student: Look) -> Measured:
        """Bins of student and teacher; each ECE with the level that chance alone explains."""
        arrays, facts = self._model("student", student)
        return Measured(
            {**arrays, **self._teacher[0]},
            {
                "n": len(self.pair.rows.labels),
                "bins": "15 equal-width (a, b]",
                "fitted_on": f"val, n = {len(self.pair.rows.val_labels)}",
                "student": facts,
                "teacher": self._teacher[1],
            },
        )

    def _model(self, who: str, seen: Look) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        labels = self.pair.rows.labels
        temperature = _temperature(seen.val_logits.double(), self.pair.rows.val_labels)
        logits = seen.logits.double()
        raw, raw_arrays = _reliability(logits, labels)
        # a fit that ran into its bound (all val rows right, say) leaves nothing to scale by
        usable = COLDEST < temperature < HOTTEST
        scaled, scaled_arrays = _reliability(logits / (temperature if usable else 1.0), labels)
        arrays = {f"{who}_{name}": values for name, values in raw_arrays.items()}
        arrays |= {f"{who}_{name}_scaled": values for name, values in scaled_arrays.items()}
        arrays |= _each(who, logits, logits / temperature if usable else logits, labels)
        return arrays, {
            "ece": _number(raw.ece()),
            "ece_null_p95": _number(ece_null(raw)[1]),
            "ece_scaled": _number(scaled.ece()) if usable else None,
            "ece_scaled_null_p95": _number(ece_null(scaled)[1]) if usable else None,
            "nll": _number(nll(logits, labels)),
            "brier": _number(brier_score(logits.softmax(-1), labels)),
            "temperature": temperature if usable else None,
        }


class LoyaltyProbe(Probe):
    """Agreement with the teacher and who is right; if looked at, on training rows as well."""

    def measure(self, student: Look) -> Measured:
        """The 2x2 table, loyalties, copied errors, and counts by class.

        Of training rows the same under ``train_...`` with their ``train_ids``, and among the facts
        under ``train``.
        """
        rows, teacher = self.pair.rows, self.pair.teacher
        arrays, facts = _agreement(student.logits, teacher.logits, rows.labels)
        probs = (x.double().softmax(-1) for x in (student.logits, teacher.logits))
        arrays |= {
            "each_likeness": _floats(1 - sqrt_js(*probs)),
            "each_kl": _floats(_kl_each(student.logits, teacher.logits)),
        }
        facts["class_names"] = list(self.pair.class_names)
        both = student.train_logits, teacher.train_logits
        if rows.train is not None and both[0] is not None and both[1] is not None:
            seen, facts["train"] = _agreement(both[0], both[1], rows.train.labels)
            arrays |= {f"train_{name}": values for name, values in seen.items()}
            arrays["train_ids"] = rows.train.ids.cpu().numpy().astype(np.int64)
        return Measured(arrays, facts)


def _agreement(
    student: Tensor, teacher: Tensor, labels: Tensor
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of loyalty from both models' logits, shape (n, K), on the same rows."""
    mine, theirs = student.argmax(-1), teacher.argmax(-1)
    classes = student.shape[-1]
    to_learn = (mine != labels) & (theirs == labels)
    copied = (theirs != labels) & (mine == theirs)
    num_copied, num_wrong = copied_errors(student, teacher, labels)
    mine_probs, their_probs = (x.double().softmax(-1) for x in (student, teacher))
    by_class = torch.stack(
        [
            torch.bincount(labels[mask], minlength=classes)
            for mask in (to_learn, copied, torch.ones_like(copied))
        ]
    )
    return {
        "table": correctness_table(student, teacher, labels).numpy(),
        "by_class": by_class.numpy(),
        "student_right": _right(student, labels),
    }, {
        "n": len(labels),
        "label_loyalty": label_loyalty(student, teacher),
        "probability_loyalty": _number(probability_loyalty(mine_probs, their_probs)),
        "copied": num_copied,
        "teacher_wrong": num_wrong,
        "kl_nats": _number(fidelity_kl(student, teacher)),
    }


def _reliability(logits: Tensor, labels: Tensor) -> tuple[ReliabilityTable, dict[str, np.ndarray]]:
    table = ReliabilityTable()
    probs = logits.softmax(-1)
    defined = probs.isfinite().all(-1)  # a student that diverged has no confidence in some rows
    if bool(defined.any()):
        table.update(*confidence_and_correct(probs[defined], labels[defined]))
    rows = table.compute()
    hits = (rows.accuracy * rows.count).nan_to_num().round()
    wilson, band = wilson_interval(hits, rows.count), calibration_band(table)
    return table, {
        "count": rows.count.numpy(),
        "confidence": _floats(rows.mean_confidence),
        "accuracy": _floats(rows.accuracy),
        "wilson_low": _floats(wilson[0]),
        "wilson_high": _floats(wilson[1]),
        "band_low": _floats(band[0]),
        "band_high": _floats(band[1]),
    }


def _each(who: str, logits: Tensor, scaled: Tensor, labels: Tensor) -> dict[str, np.ndarray]:
    """Confidence, NLL (nats) and Brier score of each row, shape (n,); NaN in a row without any."""
    probs, at = logits.softmax(-1), labels[:, None]
    top = {"": probs.amax(-1), "_scaled": scaled.softmax(-1).amax(-1)}
    brier = (probs.square().sum(-1) - 2 * probs.gather(1, at)[:, 0] + 1).clamp_min(0)
    return {
        # float64: a confidence beside an edge must fall into the same bin again
        **{f"{who}_each_top{suffix}": values.numpy() for suffix, values in top.items()},
        f"{who}_each_nll": _floats(-logits.log_softmax(-1).gather(1, at)[:, 0]),
        f"{who}_each_brier": _floats(brier),
        f"{who}_each_right": _right(logits, labels),
    }


def _kl_each(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher || student) of each row in nats, in log space: never infinite."""
    log_p_s = student_logits.double().log_softmax(-1)
    log_p_t = teacher_logits.double().log_softmax(-1)
    return (log_p_t.exp() * (log_p_t - log_p_s)).sum(-1)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """Fitted on the rows whose logits are finite; NaN if there is none."""
    finite = logits.isfinite().all(-1)
    return fit_temperature(logits[finite], labels[finite]) if bool(finite.any()) else math.nan


def _right(logits: Tensor, labels: Tensor) -> np.ndarray:
    return (logits.argmax(-1) == labels).numpy().astype(np.uint8)


def _floats(values: Tensor) -> np.ndarray:
    return values.to(torch.float32).numpy()


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
