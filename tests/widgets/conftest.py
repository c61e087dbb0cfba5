"""Honest arrays for the views: two networks on scikit-learn digits, measured in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

EPOCHS = 24
BINS = 15


@pytest.fixture(scope="session")
def digits_run() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Arrays and facts of each view, measured on one small run."""
    return measure_digits()


def measure_digits() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:900], order[900:]
    teacher = MLPClassifier((96, 64, 32), random_state=0, learning_rate_init=3e-3)
    student = MLPClassifier((12, 10), random_state=1, learning_rate_init=4e-3)
    for _ in range(EPOCHS):
        teacher.partial_fit(images[train], labels[train], classes=np.arange(10))
    taught = teacher.predict(images[train])
    answers = forward(teacher, images[test])
    snapshots, costs = [], []
    for _ in range(EPOCHS):
        student.partial_fit(images[train], taught, classes=np.arange(10))
        snapshots.append(forward(student, images[test]))
        seen = forward(student, images[train])[-1]
        at_teacher = forward(teacher, images[train])[-1]
        kd = np.sum(at_teacher * (np.log(at_teacher + 1e-12) - np.log(seen + 1e-12)), -1).mean()
        ce = -np.log(seen[np.arange(len(train)), labels[train]] + 1e-12).mean()
        costs.append((0.7 * kd, 0.3 * ce))
    steps = np.arange(1, EPOCHS + 1) * 5
    truth = labels[test]
    shared = {"n": len(test), "split": "test", "step": int(steps[-1])}
    marks = [{"step": 40, "number": 1, "text": "Temperature 4 → 2"}]
    return {
        "cka": cka_of(answers, snapshots, steps, {**shared, "marks": marks}),
        "trilateral": trilateral_of(answers[-1], snapshots[-1][-1], truth, test, shared),
        "calibration": calibration_of(answers[-1], snapshots[-1][-1], truth, shared),
        "loyalty": loyalty_of(answers[-1], snapshots, truth, steps, shared),
        "curves": curves_of(
            answers[-1], snapshots, truth, steps, costs, {**shared, "marks": marks}
        ),
    }


def forward(net: MLPClassifier, images: np.ndarray) -> list[np.ndarray]:
    """Every hidden layer (n, d), then the probabilities (n, 10)."""
    layers = [images]
    for weights, bias in zip(net.coefs_, net.intercepts_, strict=True):
        layers.append(np.maximum(layers[-1] @ weights + bias, 0))
    logits = layers[-2] @ net.coefs_[-1] + net.intercepts_[-1]
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return [*layers[1:-1], exp / exp.sum(-1, keepdims=True)]


def linear_cka(x: np.ndarray, y: np.ndarray, *, unbiased: bool) -> float:
    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        if not unbiased:
            centre = np.eye(n) - 1 / n
            return float(np.sum((centre @ k @ centre) * m))
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        cross = np.sum(k * m) + k.sum() * m.sum() / ((n - 1) * (n - 2))
        return float(cross - 2 / (n - 2) * k.sum(0) @ m.sum(0))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def cka_of(teacher: Any, snapshots: Any, steps: np.ndarray, facts: dict[str, Any]) -> Any:
    rows = slice(0, 128)
    teacher = [layer[rows] for layer in teacher]
    history = np.array(
        [
            [[linear_cka(t, s[rows], unbiased=True) for s in seen] for t in teacher]
            for seen in snapshots[::3]
        ]
    )
    last = [layer[rows] for layer in snapshots[::3][-1]]
    biased = [[linear_cka(t, s, unbiased=False) for s in last] for t in teacher]
    rng = np.random.default_rng(0)
    null = np.array(
        [
            [[linear_cka(t[p], s, unbiased=True) for s in last] for t in teacher]
            for p in (rng.permutation(128) for _ in range(20))
        ]
    )
    arrays = {
        "unbiased": history[-1].astype(np.float32),
        "biased": np.array(biased, dtype=np.float32),
        "null_p95": np.quantile(null, 0.95, axis=0).astype(np.float32),
        "history": history.astype(np.float32),
        "steps": steps[::3],
    }
    names = {
        "teacher_layers": ["hidden1", "hidden2", "hidden3", "probs"],
        "student_layers": ["hidden1", "hidden2", "probs"],
    }
    more = {"n": 128, "feature": "pooled (N, C)", "reasons": {}, "steps_total": 150}
    return arrays, {**facts, **names, **more}


def trilateral_of(t: Any, s: Any, truth: Any, ids: Any, facts: dict[str, Any]) -> Any:
    g = np.eye(10)[truth]
    edge = t - g
    reach = np.linalg.norm(edge, axis=-1)
    x = np.sum((s - g) * edge, -1) / np.where(reach > 0, reach, 1)
    y = np.sqrt(np.maximum(np.sum((s - g) ** 2, -1) - x**2, 0))
    roots = [(np.sqrt(p) - g) / np.sqrt(2) for p in (s, t)]
    root_reach = np.linalg.norm(roots[1], axis=-1)
    root_x = np.sum(roots[0] * roots[1], -1) / np.where(root_reach > 0, root_reach, 1)
    root_y = np.sqrt(np.maximum(np.sum(roots[0] ** 2, -1) - root_x**2, 0))
    arrays = {
        "ids": ids.astype(np.int64),
        "hellinger_x": root_x.astype(np.float32),
        "hellinger_y": root_y.astype(np.float32),
        "hellinger_teacher_x": root_reach.astype(np.float32),
        "x": x.astype(np.float32),
        "y": y.astype(np.float32),
        "teacher_x": reach.astype(np.float32),
        "alpha": np.divide(x, reach, out=np.full_like(x, np.nan), where=reach > 0),
        "student_right": (s.argmax(-1) == truth).astype(np.uint8),
        "teacher_right": (t.argmax(-1) == truth).astype(np.uint8),
        "labels": truth,
        "axis_defined": (reach > 0).astype(np.uint8),
    }
    more = {"metric": "L2", "temperature": 1.0, "num_classes": 10, "no_axis": 0}
    return arrays, {**facts, **more}


def calibration_of(t: Any, s: Any, truth: Any, facts: dict[str, Any]) -> Any:
    arrays: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, probs in (("student", s), ("teacher", t)):
        told[name] = {}
        for suffix, power in (("", 1.0), ("_scaled", 0.8)):
            scaled = probs**power / np.sum(probs**power, -1, keepdims=True)
            columns, ece, chance = reliability(scaled, truth)
            arrays |= {f"{name}_{key}{suffix}": value for key, value in columns.items()}
            told[name] |= {f"ece{suffix}": ece, f"ece{suffix}_null_p95": chance}
        right = probs[np.arange(len(truth)), truth]
        told[name] |= {"nll": float(-np.log(right + 1e-12).mean()), "temperature": 1.25}
        told[name]["brier"] = float(np.sum((probs - np.eye(10)[truth]) ** 2, -1).mean())
    return arrays, {**facts, **told, "bins": "15 equal-width (a, b]", "fitted_on": "val, n = 200"}


def reliability(probs: np.ndarray, truth: np.ndarray) -> tuple[dict[str, np.ndarray], float, float]:
    confidence, right = probs.max(-1), probs.argmax(-1) == truth
    index = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(index, minlength=BINS)
    rng = np.random.default_rng(0)

    def means(values: np.ndarray) -> np.ndarray:
        total = np.bincount(index, weights=values, minlength=BINS)
        return np.divide(total, count, out=np.full(BINS, np.nan), where=count > 0)

    drawn = np.array([means(rng.random(len(confidence)) < confidence) for _ in range(200)])
    mean, accuracy = means(confidence), means(right)
    gaps = np.nansum(np.abs(drawn - mean) * count, -1) / count.sum()
    safe = np.maximum(count, 1)
    z = 1.96
    centre = (accuracy + z**2 / (2 * safe)) / (1 + z**2 / safe)
    half = z * np.sqrt(accuracy * (1 - accuracy) / safe + z**2 / (4 * safe**2)) / (1 + z**2 / safe)
    full = count > 0
    low, high = np.full(BINS, np.nan), np.full(BINS, np.nan)
    low[full], high[full] = np.quantile(drawn[:, full], [0.05, 0.95], axis=0)
    columns = {
        "count": count,
        "confidence": mean,
        "accuracy": accuracy,
        "wilson_low": centre - half,
        "wilson_high": centre + half,
        "band_low": low,
        "band_high": high,
    }
    ece = float(np.nansum(np.abs(accuracy - mean) * count) / count.sum())
    return columns, ece, float(np.quantile(gaps, 0.95))


def loyalty_of(t: Any, snapshots: Any, truth: Any, steps: Any, facts: dict[str, Any]) -> Any:
    teacher = t.argmax(-1)

    def table(seen: Any) -> np.ndarray:
        mine = seen[-1].argmax(-1)
        sides = (
            [(mine == truth) == bool(a) for a in (1, 0)],
            [(teacher == truth) == bool(b) for b in (1, 0)],
        )
        return np.array([[int(np.sum(a & b)) for b in sides[1]] for a in sides[0]])

    history = np.array([table(seen) for seen in snapshots])
    s = snapshots[-1][-1]
    mine, first = s.argmax(-1), snapshots[0][-1].argmax(-1)
    copied = (teacher != truth) & (mine == teacher)
    to_learn = (mine != truth) & (teacher == truth)
    middle = (s + t) / 2
    js = sum(np.sum(p * np.log2((p + 1e-15) / (middle + 1e-15)), -1) for p in (s, t)) / 2
    arrays = {
        "table": history[-1],
        "table_history": history,
        "steps": steps,
        "by_class": np.array([np.bincount(truth[m], minlength=10) for m in (to_learn, copied)]),
    }
    more = {
        "label_loyalty": float(np.mean(mine == teacher)),
        "probability_loyalty": float(np.mean(1 - np.sqrt(np.maximum(js, 0)))),
        "copied": int(copied.sum()),
        "teacher_wrong": int(np.sum(teacher != truth)),
        "kl_nats": float(np.mean(np.sum(t * (np.log(t + 1e-12) - np.log(s + 1e-12)), -1))),
        "gained": int(np.sum((mine == truth) & (first != truth))),
        "lost": int(np.sum((mine != truth) & (first == truth))),
        "since": {"step": int(steps[0]), "number": 1},
        "class_names": [str(k) for k in range(10)],
    }
    return arrays, {**facts, **more}


def curves_of(
    t: Any, snapshots: Any, truth: Any, steps: Any, costs: Any, facts: dict[str, Any]
) -> Any:
    arrays = {
        "steps": steps,
        "student_accuracy": np.array([np.mean(s[-1].argmax(-1) == truth) for s in snapshots]),
        "term_steps": steps,
        "terms": np.array(costs).T,
    }
    more = {
        "teacher_accuracy": float(np.mean(t.argmax(-1) == truth)),
        "term_names": ["KD", "CE"],
        "term_targets": ["teacher", "labels"],
        "steps_total": 150,
        "steps_per_epoch": 5,
    }
    return arrays, {**facts, **more}
