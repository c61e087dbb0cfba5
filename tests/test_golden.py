"""Golden vectors: numbers of official code and definitional formulas, and what ours gives.

Every case of every ``manifest-*.json`` in or below the folder named by WORKBENCH_GOLDEN (default:
``tests/golden``) runs through ``OURS``: manifest function name -> our callable. A case that we do
not claim stands in ``NOT_OURS`` with the reason; a case in neither fails.
Two manifest formats: a list of metric entries, and ``workbench-golden-v1`` with named cases, both
precisions and gradients.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from workbench.functional import (
    architecture,
    attention,
    attribution,
    binary,
    calibration,
    cka,
    cka_streaming,
    contrast,
    courses,
    features,
    flips,
    gradients,
    knowledge,
    label_planes,
    logits,
    loyalty,
    mixing,
    regression,
    relations,
    selection,
    self_distillation,
    similarity,
    soft_targets,
    token_graph,
    trilateral,
)
from workbench.terms import branches, fusion, heads, regressors

HERE = Path(__file__).parent / "golden"
ROOT = Path(os.environ.get("WORKBENCH_GOLDEN") or HERE)
TOLERANCE = {"f64": (1e-9, 1e-12), "f32": (2e-4, 1e-5)}
LOOSE_F32 = {"rkd", "crd"}
ATOL = 1e-12
"""Absolute slack of metric entries: their rtol says nothing about an expected 0."""


@dataclass(frozen=True)
class Case:
    """One case of one manifest entry."""

    part: str
    folder: Path
    entry: dict[str, Any]
    name: str

    @property
    def function(self) -> str:
        return str(self.entry["function_name"])

    @property
    def origin(self) -> str:
        return str(self.entry.get("source") or self.entry.get("repo"))

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.part, self.function, self.origin, self.name

    def __str__(self) -> str:
        return f"{self.part}-{self.function}-{self.name}"


def cases(root: Path) -> Iterator[Case]:
    for manifest in sorted(root.rglob("manifest-*.json")):
        part = manifest.stem.removeprefix("manifest-")
        for entry in json.loads(manifest.read_text())["entries"]:
            names = entry.get("cases") or [str(entry["kwargs"].get("fn", "*"))]
            for name in names:
                yield Case(part, manifest.parent, entry, name)


CASES = list(cases(ROOT)) if ROOT.is_dir() else []


# Metrics: callable(inputs, kwargs) -> number or tensor.
def _features(given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    x, y = given["x"], given["y"]
    return (x.flatten(0, -2), y.flatten(0, -2)) if x.dim() == 3 else (x, y)


def _cka(given: dict[str, Tensor], *, unbiased: bool) -> Tensor:
    return cka.linear_cka(*_features(given), unbiased=unbiased)


def _cka_of(reduce: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda g, _: cka.linear_cka(reduce(g["x"]), reduce(g["y"]), unbiased=False)


def _hsic(given: dict[str, Tensor], function: Callable[..., Tensor]) -> Tensor:
    return function(*(cka.linear_gram(v) for v in _features(given)))


def _minibatch(given: dict[str, Tensor], _: Any) -> Tensor:
    stream = cka_streaming.MinibatchCKA(1, 1)
    for x, y in zip(given["x"], given["y"], strict=True):
        stream.update([x], [y])
    return stream.compute()


def _matrix(given: dict[str, list[Tensor]], *, unbiased: bool) -> Tensor:
    grams = [cka.normalised_grams(given[side], unbiased=unbiased) for side in "xy"]
    return cka.cka_map(*grams)


def _table(given: dict[str, Tensor], closed: calibration.Closed, bins: int) -> Any:
    table = calibration.ReliabilityTable(bins, closed=closed)
    table.update(*calibration.confidence_and_correct(given["probs"], given["labels"]))
    return table


def _bins(kwargs: dict[str, Any]) -> int:
    return int(next(kwargs[k] for k in ("n_bins", "num_bins", "bins") if k in kwargs))


def _reliability(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
    rows = _table(given, "right", _bins(kwargs)).compute()
    return torch.stack([rows.count.double(), rows.mean_confidence, rows.accuracy])


def _ece(closed: calibration.Closed) -> Callable[..., float]:
    def error(given: dict[str, Tensor], kwargs: dict[str, Any]) -> float:
        table = _table(given, closed, _bins(kwargs))
        norm = kwargs.get("norm", "l1")
        return {"l1": table.ece, "l2": table.rms, "max": table.maximum}[norm]()

    return error


def _binary(given: dict[str, Tensor], kwargs: dict[str, Any], **options: Any) -> float:
    probs = given["probs"] if given["probs"].dim() == 1 else given["probs"][:, 1]
    return calibration.binary_calibration_error(
        probs, given["labels"], num_bins=_bins(kwargs), **options
    )


def _top(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda g, k: function(g["probs"], g["labels"], num_bins=_bins(k))


def _scaled_nll(given: dict[str, Tensor], _: Any) -> float:
    temperature = calibration.fit_temperature(given["logits"], given["labels"])
    return calibration.nll(given["logits"] / temperature, given["labels"])


def _pair(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda g, _: function(g["student"], g["teacher"], **options)


def _mean(function: Callable[..., Tensor], **options: Any) -> Callable[..., Any]:
    return lambda g, _: function(g["student"], g["teacher"], **options).mean()


def _correctness(given: dict[str, Tensor]) -> Tensor:
    return knowledge.correctness_table(given["student"], given["teacher"], given["labels"])


def _flips(field: str) -> Callable[..., float]:
    def read(given: dict[str, Tensor], _: Any) -> float:
        right = (given[f"pred_{who}"] == given["labels"] for who in ("before", "after", "teacher"))
        return float(getattr(knowledge.knowledge_flips(*right), field))

    return read


def _copied(given: dict[str, Tensor], _: Any) -> float:
    student, teacher = (
        torch.nn.functional.one_hot(given[f"pred_{who}"], 10) for who in ("after", "teacher")
    )
    copied, wrong = knowledge.copied_errors(student, teacher, given["labels"])
    return copied / wrong


def _regression(field: str) -> Callable[..., float]:
    return lambda g, _: regression.regression_fidelity(g["student"], g["teacher"])[field]


def _triangle(*fields: str, metric: trilateral.Metric = "l2") -> Callable[..., Tensor]:
    def read(given: dict[str, Tensor], _: Any) -> Tensor:
        tri = trilateral.embed(given["student"], given["teacher"], given["labels"], metric=metric)
        columns = [getattr(tri, field) for field in fields]
        return torch.stack(columns, -1) if len(columns) > 1 else columns[0]

    return read


def _angles(given: dict[str, Tensor], _: Any) -> Tensor:
    """At S, T and G, radians: the one at G is ours, the others follow from the drawn points."""
    tri = trilateral.embed(given["student"], given["teacher"], given["labels"])
    at_t = torch.atan2(tri.y, tri.teacher_radius - tri.x)
    at_g = torch.deg2rad(tri.angle)
    return torch.stack([math.pi - at_t - at_g, at_t, at_g], -1)


def _sides_to_class_mean(given: dict[str, Tensor], _: Any) -> Tensor:
    labels = given["labels"]
    means = trilateral.class_mean_probs(given["teacher"], labels, given["teacher"].shape[1])
    tri = trilateral.embed(given["student"], means[labels], labels)
    return torch.stack([tri.radius, tri.distance, tri.teacher_radius], -1)


def _fusion(given: dict[str, Any], _: Any) -> Tensor:
    layers = [(given["fc"][f"{n}.weight"], given["fc"][f"{n}.bias"]) for n in ("fc1", "fc2", "fc3")]
    return trilateral.tgeokd_fusion_ratio(given["state"].float(), layers)


def _network(weights: dict[str, Tensor]) -> torch.nn.Sequential:
    width = len(weights["0.bias"])
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, width, 3, padding=1), torch.nn.Softplus(),
        torch.nn.Conv2d(width, 5, 3, padding=1), torch.nn.Softplus(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(20, 4),
    ).double()  # fmt: skip
    net.load_state_dict(weights)
    return net


def _maps(method: attribution.Method, **options: Any) -> Callable[..., Tensor]:
    return lambda g, _: attribution.attribute(
        _network(g["weights"]), g["image"], g["target"], method=method, **options
    )


def _grad_cam(given: dict[str, Any], kwargs: dict[str, Any]) -> Tensor:
    net = _network(given["weights"])
    return attribution.grad_cam(net, net[int(kwargs["layer"])], given["image"], given["target"])


def _compare(function: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    return lambda g, _: function(g["b"], g["a"], **options)


def _knn(given: dict[str, Tensor], kwargs: dict[str, Any]) -> float:
    return similarity.mutual_knn(given["x"], given["y"], k=kwargs["topk"])


# Losses: callable(inputs, kwargs) -> the scalar loss, or a mapping with every expected output.
def _kd(given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return given["student_logits"], given["teacher_logits"]


def _kd_labels(given: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return given["student_logits"], given["teacher_logits"], given["target"]


def _pair_of(function: Callable[..., Tensor], name: str = "feat") -> Callable[..., Tensor]:
    return lambda g, _: function(g[f"student_{name}"], g[f"teacher_{name}"]).mean()


def _stages(
    function: Callable[..., Tensor], given: dict[str, Tensor], **options: Any
) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = {}
    while (key := f"student_feat_{len(parts)}") in given:
        pair = given[key], given[key.replace("student", "teacher")]
        parts[f"stage{len(parts)}"] = function(*pair, **options).mean()
    return {**parts, "loss": sum(parts.values(), torch.zeros(()))}


def _kd_total(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    kd = logits.kd(*_kd(given), temperature=kwargs["temperature"]).mean() * kwargs["kd_weight"]
    ce = logits.ce(given["student_logits"], given["target"]).mean() * kwargs["ce_weight"]
    return {"loss": kd + ce, "loss_ce": ce, "loss_kd": kd}


def _dkd(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def value(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
        options = {key: kwargs[key] for key in ("alpha", "beta", "temperature")}
        return function(*_kd_labels(given), **options).mean()

    return value


def _dist(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
    temperature = kwargs.get("tau", 1.0)
    weights = {key: kwargs[key] for key in ("beta", "gamma")}
    return logits.dist(*_kd(given), temperature=temperature, **weights)


def _rkd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
    weights = {key: kwargs[key] for key in ("distance_weight", "angle_weight")}
    return relations.rkd(given["student_feat"], given["teacher_feat"], **weights)


def _vid(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
    hidden, teacher = attention.same_size("vid", given["student_feat"], given["teacher_feat"])
    for layer in (0, 2, 4):
        hidden = torch.nn.functional.conv2d(hidden, given[f"regressor.{layer}.weight"])
        hidden = hidden.relu() if layer < 4 else hidden
    return features.vid(hidden, teacher, given["log_scale"], eps=kwargs["eps"]).mean()


def _meal(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    teachers = given["teacher_logits"]
    target = soft_targets.mean_teacher_probs(teachers)
    loss = soft_targets.soft_ce(given["student_logits"], target).mean()
    return {"loss": loss, "soft_labels": target, "mean_teacher_logits": teachers.mean(0)}


def _squared_mixture(given: dict[str, Tensor], kwargs: dict[str, Any]) -> Tensor:
    student, teacher, target = _kd_labels(given)
    truth = torch.nn.functional.one_hot(target, student.shape[1]).to(student.dtype)
    to_truth = soft_targets.squared_probs(student, truth).mean()
    to_teacher = soft_targets.squared_probs(student, teacher.softmax(1)).mean()
    return kwargs["alpha"] * to_truth + (1 - kwargs["alpha"]) * to_teacher


def _promptkd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    image = given["student_image_features"].requires_grad_()
    unit = torch.nn.functional.normalize(image, dim=-1)
    student = given["logit_scale"].exp() * unit @ given["teacher_text_features"].T
    value = logits.kd(student, given["teacher_logits"], temperature=kwargs["temperature"]).mean()
    loss = kwargs["kd_weight"] * value / student.shape[1]  # their mean is over classes too
    gradient = torch.autograd.grad(loss, image)[0]
    return {"loss": loss, "grad_student_image_features": gradient}


def _makd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    classes, aspects = given["student_outputs"].split(
        [kwargs["num_classes"], kwargs["aspect_num"]], dim=1
    )
    ce = kwargs["ce_weight"] * logits.ce(classes, given["target"]).mean()
    asked = torch.nn.functional.binary_cross_entropy_with_logits(aspects, given["aspect_probs"])
    return {
        "loss": ce + kwargs["alpha"] * asked,
        "loss_ce": ce,
        "loss_makd": kwargs["alpha"] * asked,
    }


def _trusted(given: dict[str, Tensor], labels: Tensor | None) -> dict[str, Tensor]:
    student = given["student_logits"].requires_grad_()
    networks = torch.stack([given["initial_student_logits"], given["teacher_logits"]])
    chosen = soft_targets.most_trusted(networks, labels)
    target = networks[chosen, torch.arange(len(chosen))]
    value = logits.kd(student, target, temperature=1.0).mean()
    return {
        "loss": value,
        "kl": value,
        "teacher_share_percent": 100 * chosen.double().mean(),
        "grad_student": torch.autograd.grad(value, student, retain_graph=True)[0],
    }


def _prediction_flips(given: dict[str, Tensor], _: Any) -> dict[str, Any]:
    student, teacher, labels = (given[k] for k in ("student_logits", "teacher_logits", "labels"))
    table = knowledge.correctness_table(student, teacher, labels)
    right_s, right_t = student.argmax(1) == labels, teacher.argmax(1) == labels
    positive, negative = int(table[1, 0]), int(table[0, 1])
    return {
        "pos_abs": positive,
        "neg_abs": negative,
        "pos_rel": torch.tensor(100 * positive / len(labels), dtype=student.dtype),
        "neg_rel": torch.tensor(100 * negative / len(labels), dtype=student.dtype),
        "mask_pos": ~right_s & right_t,
        "mask_neg": right_s & ~right_t,
        "mask_neut": right_s == right_t,
    }


def _token_graph(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    student, teacher = given["student_tokens"], given["teacher_tokens"]
    options = {key: kwargs[key] for key in ("k", "sigma")}
    return {
        "loss": token_graph.local_structure(student, teacher, **options).sum(),
        "kl_s_t": token_graph.local_structure(teacher, student, **options).sum(),
        "A_student": token_graph.neighbour_affinity(student, **options),
    }


def _token_contrast(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    projected = given["student_tokens"] @ given["proj.weight"].T
    mean = contrast.info_nce(projected, given["teacher_tokens"], temperature=kwargs["tau"])
    return {"loss": mean * len(projected), "mean": mean}


def _tgeo(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    student, teacher, target = _kd_labels(given)
    probs = student.detach().softmax(1)
    state = trilateral.tgeokd_state(probs, teacher.softmax(1), target)
    layers = [
        (given[f"controller.{n}.weight"], given[f"controller.{n}.bias"])
        for n in ("fc1", "fc2", "fc3")
    ]
    alpha = trilateral.tgeokd_fusion_ratio(state, layers)
    imitate = alpha * logits.kd(student, teacher, temperature=kwargs["temperature"])
    twice = logits.ce(student.softmax(1), target)  # the released code's double softmax
    return {
        "loss": (imitate + (1 - alpha) * twice).mean(),
        "loss_ce_on_logits": (imitate + (1 - alpha) * logits.ce(student, target)).mean(),
        "alpha": alpha,
    }


def _robust(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Any]:
    odds, value = selection.robust_odds(given["gains"], num_wrong=kwargs["m"], cost=kwargs["c"])
    value = torch.tensor(value, dtype=torch.float64)
    return {"q": odds, "value": value, "k_star": int((odds > 0).sum())}


def _rbf(a: Tensor, b: Tensor, gamma: float) -> Tensor:
    return (
        -gamma * (a.reshape(len(a), -1)[:, None] - b.reshape(len(b), -1)).square().sum(-1)
    ).exp()


def _column(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1)


def _kernel_steps(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    train, grid, targets = given["X"], given["grid"], _column(given["Y"])
    kernel = _rbf(train, train, kwargs["rbf_gamma"])
    cross = _rbf(grid, train, kwargs["rbf_gamma"])
    options = {"ridge": kwargs["lambd"], "weight": kwargs["alpha"]}
    run = self_distillation.kernel_self_distillation(
        kernel, cross, targets, steps=kwargs["steps"], **options
    )
    limit = self_distillation.kernel_limit(kernel, cross, targets, **options)
    truth = (2 * math.pi * grid.reshape(-1, 1)).sin()
    values = torch.linalg.eigvalsh(kernel).flip(0)
    weight, ridge = kwargs["alpha"], kwargs["lambd"]
    return {
        "train_targets": torch.cat([targets[None], run.fitted]),
        "grid_predictions": run.predicted,
        "limit_grid": limit,
        "grid_losses": (run.predicted - truth).square().mean((1, 2)),
        "limit_loss": (limit - truth).square().mean(),
        "B_diag": run.shrinkage,
        "B_limit_diag": weight * values / (weight * values + ridge),
    }


def _kernel_weights(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    train, targets = given["X"], _column(given["Y"])
    kernel = _rbf(train, train, kwargs["rbf_gamma"])
    cross = _rbf(given["X_val"], train, kwargs["rbf_gamma"])
    truth = _column(given["Y_val"])

    def fit(to: Tensor) -> tuple[Tensor, Tensor]:
        step = self_distillation.kernel_self_distillation(
            kernel, cross, to, ridge=kwargs["lambd"], weight=1.0, steps=1
        )
        return step.fitted[0], step.predicted[0]

    fitted, plain = fit(targets)
    weights, errors = [], []
    for _ in range(kwargs["steps"] - 1):
        _, distilled = fit(fitted)
        weights.append(self_distillation.best_weight(truth, plain, distilled))
        fitted, predicted = fit(weights[-1] * targets + (1 - weights[-1]) * fitted)
        errors.append((predicted - truth).square().mean())
    return {
        "alpha_star": torch.tensor(weights, dtype=torch.float64),
        "val_mse": torch.stack(errors),
    }


def _diswot(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    grads = {}
    for who in ("student", "teacher"):
        weight = given[f"{who}_fc_weight"].requires_grad_()
        pooled = given[f"{who}_feat"].mean((2, 3))
        scores = pooled @ weight.T + given[f"{who}_fc_bias"]
        grads[who] = torch.autograd.grad(logits.ce(scores, given["target"]).mean(), weight)[0]
    relation = architecture.relation_score(given["student_feat"], given["teacher_feat"])
    semantic = architecture.semantic_score(grads["student"], grads["teacher"])
    return {
        "relation": relation,
        "semantic": semantic,
        "total": relation + semantic,
        "student_fc_grad": grads["student"],
        "teacher_fc_grad": grads["teacher"],
    }


def _gradient_alignment(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    """ce = backbone·a + head1·b, kd = backbone·c + head2·d: the letters are the gradients."""
    a, b, c, d = (given[name].flatten() for name in "abcd")
    main = torch.cat([a, b, torch.zeros_like(d)])
    other = torch.cat([c, torch.zeros_like(b), d])
    merged = gradients.aligned(main, other).split([len(a), len(b), len(d)])
    return dict(zip(("merged_backbone", "merged_head1", "merged_head2"), merged, strict=True))


def _crd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    banks = [given["memory_v1"], given["memory_v2"]]
    num, scale = kwargs["n_data"], [None, None]
    found: dict[str, Any] = {}
    for call, suffix in ((1, ""), (2, "_2")):
        embedded = []
        for side in ("s", "t"):
            raw = given[f"{'student' if side == 's' else 'teacher'}_feat{suffix}"]
            linear = raw @ given[f"embed_{side}.linear.weight"].T
            embedded.append(linear + given[f"embed_{side}.linear.bias"])
        embedded = [v / v.norm(dim=1, keepdim=True) for v in embedded]
        index, value = given[f"contrast_idx{suffix}"], torch.zeros(())
        for which, other in ((0, 1), (1, 0)):  # the student meets the teacher's bank
            scores = contrast.memory_scores(
                embedded[which], banks[other], index, temperature=kwargs["nce_t"]
            )
            if scale[which] is None:  # fixed by the first batch ever seen
                scale[which] = scores.detach().mean() * num
            value = value + contrast.noise_contrast(scores / scale[which], num).mean()
        own = given[f"idx{suffix}"]
        banks = [
            contrast.remembered(bank, own, rows, momentum=kwargs["nce_m"])
            for bank, rows in zip(banks, embedded, strict=True)
        ]
        found["loss" if call == 1 else "loss_call2"] = value
        found |= {f"memory_v{i + 1}_after{call}": bank for i, bank in enumerate(banks)}
    return {**found, "Z_v1": scale[0], "Z_v2": scale[1]}


def _weighted_hint(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    weights = features.disagreement_weight(*_kd(given))
    per_sample = features.hint(given["student_feat"], given["teacher_feat"])
    return {"loss": (weights * per_sample).mean(), "weights": weights}


# Losses with learned parts: our modules with the official weights.
Weights = Mapping[str, Tensor]


def _with(module: torch.nn.Module, weights: Weights, *inputs: Any) -> Any:
    """What a module of ours gives with exactly these weights; they may ask for gradients."""
    named = dict(module.named_parameters())
    assert {k: v.shape for k, v in named.items()} == {k: v.shape for k, v in weights.items()}
    module.to(next(iter(weights.values())).dtype)
    return torch.func.functional_call(module, dict(weights), inputs)


def _under(given: Weights, prefix: str, *renames: tuple[str, str]) -> dict[str, Tensor]:
    """The weights below a prefix, under our names: regular expressions, in order."""
    found = {}
    for name, tensor in given.items():
        if name.startswith(prefix):
            short = name.removeprefix(prefix)
            for old, new in renames:
                short = re.sub(old, new, short)
            found[short] = tensor
    return found


def _shape(tensor: Tensor) -> tuple[int, int, int]:
    return tuple(tensor.shape[1:])


def _regressed(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    student, teacher = given["student_feat"], given["teacher_feat"]
    module = regressors.FitNetRegressor(_shape(student), _shape(teacher))
    regressed = _with(module, _under(given, "reg."), student)
    return {"loss": features.hint(regressed, teacher).mean(), "regressed": regressed}


def _listed(given: dict[str, Tensor], stem: str) -> list[Tensor]:
    count = sum(name.startswith(stem) and name[len(stem) :].isdigit() for name in given)
    return [given[f"{stem}{i}"] for i in range(count)]


def _fused(
    given: dict[str, Tensor], prefix: str, student: list[Tensor], teacher: list[Tensor], **how: Any
) -> list[Tensor]:
    """Theirs count steps from the deepest, ours from the shallowest."""
    last = len(student) - 1
    module = fusion.Fusion([_shape(s) for s in student], [_shape(t) for t in teacher], **how)
    weights = {}
    for step in range(len(student)):
        weights |= {
            f"steps.{last - step}.{name}": tensor
            for name, tensor in _under(
                given, f"{prefix}.{step}.", (r"^att_conv\.0", "gate.att_conv"),
                (r"^(fc|fcs)\.", r"gate.\1."),
            ).items()
            if not name.startswith("fc1.")
        }  # fmt: skip
    return _with(module, weights, student)


def _reviewkd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    student, teacher = (
        [*_listed(given, f"{who}_feat_"), given[f"{who}_pooled"][:, :, None, None]]
        for who in ("student", "teacher")
    )
    guesses = _fused(given, "abfs", student, teacher, gate="position")
    weight = kwargs["reviewkd_weight"] * courses.warmup_weight(
        kwargs["epoch"], warmup=kwargs["warmup_epochs"]
    )
    kd = weight * fusion.context_loss(guesses, teacher).mean()
    ce = kwargs["ce_weight"] * logits.ce(given["student_logits"], given["target"]).mean()
    return {"loss": ce + kd, "loss_ce": ce, "loss_kd": kd}


def _ofa_full(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    options = {"exponent": kwargs["ofa_eps"][0], "temperature": kwargs["ofa_temperature"]}
    teacher, target = given["teacher_logits"], given["target"]
    found, part = {}, torch.zeros(())
    for stage in kwargs["ofa_stage"]:
        features_ = given[f"feat_stage{stage}"]
        weights = _under(
            given, f"projector.{stage}.",
            (r"^(\d)\.op\.", r"body.\1."),  # separable convolutions
            (r"^0\.fn\.0\.", "body.0."),  # merging
            (r"^1\.(\d)\.", lambda m: f"body.{int(m[1]) + 1}."),  # transformer blocks
            (r"\.mlp\.fc1", ".mlp.0"), (r"\.mlp\.fc2", ".mlp.2"),
            (r"^0\.(weight|bias)$", r"body.0.\1"), (r"^\d\.(weight|bias)$", r"head.\1"),
        )  # fmt: skip
        module = branches.branch(
            _shape(features_), kwargs["num_classes"], remaining=4 - stage,
            width=len(weights["head.weight"].T),
        )  # fmt: skip
        scores = _with(module, weights, features_)
        found[f"head_logits_stage{stage}"] = scores
        part = part + logits.ofa(scores, teacher, target, **options).mean()
    ce = logits.ce(given["student_logits"], target).mean()
    kd = logits.ofa(*_kd_labels(given), **options).mean()
    total = kwargs["gt_loss_weight"] * ce + kwargs["kd_loss_weight"] * kd
    total = total + kwargs["ofa_loss_weight"] * part
    return {"loss": total, "loss_gt": ce, "loss_kd": kd, "loss_ofa": part, **found}


def _transkd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    student, teacher = _listed(given, "student_feat_"), _listed(given, "teacher_feat_")
    how = {"gate": "channel", "middle": kwargs["mid_channel"]}
    if len(student[0]) == 1:
        return _transkd_alone(given, student, teacher, how)
    guesses = _fused(given, "skfs", student, teacher, **how)
    tokens = _listed(given, "student_embed_")
    if "atten_weight" in given:
        tokens[3] = _mixed(given, tokens[3], kwargs["num_heads"][3])
    projected = [
        torch.nn.functional.linear(
            token,
            given[f"embed{i + 1}_linearproject.weight"],
            given[f"embed{i + 1}_linearproject.bias"],
        )
        for i, token in enumerate(tokens)
    ]
    if "image" in given:
        for i, seen in enumerate([given["image"], *student[:3]]):
            module = fusion.EmbeddingAssistant(
                seen.shape[1], projected[i].shape[2], size=3 if i else 7, stride=2 if i else 4
            )
            extra = _with(module, _under(given, f"patch_embed{i + 1}."), seen)
            own, other = given[f"fuse_weights.{i}"], given[f"fuse_weights.{i + 4}"]
            projected[i] = own * projected[i] + other * extra
    wanted = _listed(given, "teacher_embed_")
    parts = [features.hint(own, their).mean() for own, their in zip(projected, wanted, strict=True)]
    embed = sum(w * part for w, part in zip(kwargs["embed_weights"], parts, strict=True))
    maps = fusion.context_loss(guesses, teacher).mean()
    return {
        "loss": maps + embed,
        "loss_csf_hcl": maps,
        "loss_embed": embed,
        "fused_0": guesses[0],
        "fused_3": guesses[3],
        "embed_proj_3": projected[3],
    }


def _mixed(given: dict[str, Tensor], tokens: Tensor, heads: int) -> Tensor:
    weights = {
        **_under(given, "attn4.", ("^", "attention.")),
        **_under(given, "conv1.", ("^", "content.")),
        **_under(given, "conv2.", ("^", "gate.")),
        "global_weight": given["atten_weight"],
        "local_weight": given["conv_weight"],
    }
    return _with(fusion.GlobalLocalMixer(tokens.shape[2], heads), weights, tokens)


def _transkd_alone(
    given: dict[str, Tensor], student: list[Tensor], teacher: list[Tensor], how: dict[str, Any]
) -> dict[str, Tensor]:
    """One image, norms as at the start: theirs gates it by another convolution without a norm.

    Ours has one convolution for every batch size, so it gets those weights and no norm here.
    """
    module = fusion.Fusion([_shape(s) for s in student], [_shape(t) for t in teacher], **how)
    weights = {}
    for i, step in enumerate(module.steps):
        theirs = f"skfs.{len(module.steps) - 1 - i}."
        if step.gate is not None:
            step.gate.fc[1] = torch.nn.Identity()
            weights[f"steps.{i}.gate.fc.0.weight"] = given[f"{theirs}fc1.0.weight"]
            fcs = _under(given, f"{theirs}fcs.")
            weights |= {f"steps.{i}.gate.fcs.{k}": v for k, v in fcs.items()}
        for part in ("conv1.", "conv2."):
            weights |= {f"steps.{i}.{part}{k}": v for k, v in _under(given, theirs + part).items()}
    guesses = _with(module.eval(), weights, student)
    return {"loss": fusion.context_loss(guesses, teacher).mean(), "fused_0": guesses[0]}


def _discriminated(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    module = heads.Discriminator(kwargs["outputs_size"], factor=kwargs["K"], fewest=1)
    weights = {
        name: tensor.flatten(1) if tensor.dim() == 4 else tensor
        for name, tensor in _under(given, "D.").items()
    }
    module.to(weights["conv1.weight"].dtype)
    judge = functools.partial(torch.func.functional_call, module, weights)
    return {"loss": heads.discrimination_loss(judge, *_kd(given)).mean()}


def _simkd(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    student, teacher = attention.same_size("kd3", given["student_feat"], given["teacher_feat"])
    module = regressors.bottleneck(student.shape[1], teacher.shape[1], factor=kwargs["factor"])
    projected = _with(module, _under(given, "transfer."), student)
    scores = torch.nn.functional.linear(
        projected.mean((2, 3)), given["teacher_fc.weight"], given["teacher_fc.bias"]
    )
    return {"trans_student": projected, "target": teacher, "student_logits": scores}


def _promptkd_projector(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    module = regressors.two_layer(given["features"].shape[1], len(given["w.conv1.0.bias"]))
    maps = given["features"][:, :, None, None]
    return {"projected": _with(module, _under(given, "w.conv1."), maps).flatten(1)}


def _course(function: Callable[..., float], name: str, **options: str) -> Callable[..., Any]:
    """A weight by epoch; ``options``: our keyword -> theirs."""

    def values(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
        chosen = {ours: kwargs[theirs] for ours, theirs in options.items()}
        epochs = given["epoch"].tolist()
        return {name: torch.tensor([function(e, **chosen) for e in epochs], dtype=torch.float64)}

    return values


def _past_self(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    truth, scores = given["target"], given["logits"]
    bank = torch.nn.functional.one_hot(truth, kwargs["num_classes"]).to(scores.dtype)
    losses, targets = [], []
    for epoch, of_epoch in enumerate(scores):
        share = courses.past_share(epoch, epochs=kwargs["end_epoch"], last=kwargs["alpha_T"])
        for rows in given["batch_index"]:
            targets.append(soft_targets.past_target(truth[rows], bank[rows], share=share))
            losses.append(soft_targets.soft_ce(of_epoch[rows], targets[-1]).mean())
            bank[rows] = of_epoch[rows].softmax(-1)
    return {"losses": torch.stack(losses), "soft_targets": torch.stack(targets), "bank": bank}


def _trusted_of_many(given: dict[str, Tensor], _: Any) -> dict[str, Tensor]:
    def wide(scores: Tensor) -> Tensor:  # as stored: 5 classes, the other 995 at -8
        return torch.nn.functional.pad(scores, (0, 995), value=-8.0)

    student = given["student_logits5"].requires_grad_()
    networks = wide(torch.cat([given["initial_student_logits5"][None], given["teacher_logits5"]]))
    chosen = soft_targets.most_trusted(networks, given["labels"])
    target = networks[chosen, torch.arange(len(chosen))]
    value = logits.kd(wide(student), target, temperature=1.0).mean()
    return {
        "loss": value,
        "kl": value,
        "teacher_share_percent": 100 * (chosen > 0).double().mean(),
        "grad_student5": torch.autograd.grad(value, student, retain_graph=True)[0],
    }


def _flip_distribution(given: dict[str, Tensor], _: Any) -> dict[str, Any]:
    labels = given["labels"]
    before, after, teacher = (
        given[f"{who}_preds"] == labels for who in ("initial", "distilled", "teacher")
    )
    offered, at_risk = flips.flips_by_class(before, teacher, labels, num_classes=8)
    won, _ = flips.flips_by_class(before, after, labels, num_classes=8)
    shares = (2, 5, 20, 50, 100)
    # theirs takes one class more than the share needs
    counts = [flips.num_covering(offered, share / 100) + 1 for share in shares]
    ranked = flips.ranked_classes(offered)
    inside = [100 * int(won[ranked[:count]].sum()) / int(won.sum()) for count in counts]
    found = {
        "pos_flips": offered,
        "neg_flips": at_risk,
        "imp.other_improve": 100 - inside[-1],
        "imp.ent_dist_flips": flips.entropy_of(won),
        "imp.transfer_rate": 100 * int(won[ranked].sum()) / int(offered.sum()),
        **{f"imp.top{s}pct_improve": value for s, value in zip(shares, inside, strict=True)},
    }
    exact = {name: torch.as_tensor(v, dtype=torch.float64) for name, v in found.items()}
    return {**exact, "top_k": torch.tensor(counts)}


def _upsampled_ce(scores: Tensor, labels: Tensor) -> Tensor:
    full = torch.nn.functional.interpolate(
        scores, labels.shape[1:], mode="bilinear", align_corners=True
    )
    known = labels >= 0
    return logits.ce(full.movedim(1, -1), labels)[known].mean()


def _lad(given: dict[str, Tensor], kwargs: dict[str, Any]) -> dict[str, Tensor]:
    images, labels = given["images"], given["target"]
    noise = given["pixel_noise"].squeeze(2)
    outputs = {k: v.requires_grad_() for k, v in given.items() if k.startswith("out")}
    if kwargs["teacher_stage"]:
        planes = [
            label_planes.label_plane(labels, given["class_values"][path], 0.03 * noise[path])
            for path in (0, 1)
        ]
        loss = sum(
            _upsampled_ce(given[f"out{path}_main"], labels)
            + 0.4 * _upsampled_ce(given[f"out{path}_aux"], labels)
            for path in (1, 2)
        )
        one, two = given["out1_main"], given["out2_main"]
        mutual = attention.cwd(one, two).mean() + attention.cwd(two, one).mean()
        loss = loss + 5 * mutual
        seen = {
            "student_or_path1_input": label_planes.with_plane(images, planes[0]),
            "path2_input": label_planes.with_plane(images, planes[1]),
        }
    else:
        values = label_planes.grid_values(kwargs["K"])
        plane = label_planes.label_plane(labels, values, 0.02 * noise[0])
        loss = _upsampled_ce(given["out1_main"], labels)
        loss = loss + 0.02 * _upsampled_ce(given["out1_aux"], labels)
        loss = loss + 3 * attention.cwd(given["out1_main"], given["teacher_main"]).mean()
        seen = {
            "student_or_path1_input": label_planes.with_plane(images, torch.zeros_like(plane)),
            "teacher_input": label_planes.with_plane(images, plane),
        }
    found = torch.autograd.grad(loss, list(outputs.values()))
    return {
        "loss_value": loss,
        **seen,
        **{f"grad_{name}": grad for name, grad in zip(outputs, found, strict=True)},
    }


OURS: dict[str, Callable[..., Any]] = {
    "dkd_warmup_weight": _course(courses.warmup_weight, "weight", warmup="warmup"),
    "pskd_alpha": _course(courses.past_share, "alpha", last="alpha_T", epochs="end_epoch"),
    "kd3_teacher_weight_schedule": _course(courses.trust_in_teacher, "alpha", until="max_epoch"),
    "pskd_epoch_simulation": _past_self,
    "gkt_kl_dp_multi_teacher": _trusted_of_many,
    "gkt_flip_distribution": _flip_distribution,
    "fitnet_regressor_hint_loss": _regressed,
    "reviewkd_full_loss": _reviewkd,
    "ofa_full_loss_cnn": _ofa_full,
    "ofa_full_loss_vit": _ofa_full,
    "transkd_base_loss": _transkd,
    "transkd_gl_loss": _transkd,
    "transkd_ea_loss": _transkd,
    "meal_v2_discriminator_loss": _discriminated,
    "kd3_projection": _simkd,
    "promptkd_projector": _promptkd_projector,
    "lad_student_stage": _lad,
    "lad_teacher_stage": _lad,
    "kd_kl_loss": lambda g, k: logits.kd(*_kd(g), temperature=k["temperature"]).mean(),
    "kd_total_loss": _kd_total,
    "dkd_loss": _dkd(logits.dkd),
    "lskd_dkd_loss": _dkd(logits.lskd_dkd),
    "lskd_kd_loss": lambda g, k: logits.lskd(*_kd(g), temperature=k["temperature"]).mean(),
    "lskd_normalize": lambda g, _: {"normalized": logits.standardised(g["logits"])},
    "dist_loss": _dist,
    "dist_loss_dense": _dist,
    "fitnet_hint_loss": _pair_of(features.hint),
    "attention_transfer_loss": lambda g, k: _stages(attention.at, g, power=k["p"]),
    "similarity_preserving_loss": _pair_of(relations.sp),
    "rkd_loss": _rkd,
    "rkd_distance_loss": _rkd,
    "rkd_angle_loss": _rkd,
    "pkt_loss": _pair_of(relations.pkt),
    "nst_loss": _pair_of(relations.nst),
    "correlation_congruence_loss": _pair_of(relations.cc, "emb"),
    "vid_loss": _vid,
    "vid_log_scale_init": lambda g, k: {
        "log_scale": features.vid_initial_log_scale(
            int(g["channels"]), variance=k["init_pred_var"], eps=k["eps"]
        )
    },
    "reviewkd_hcl_loss": lambda g, _: _stages(features.hcl, g),
    "ofa_loss": lambda g, k: logits.ofa(
        *_kd_labels(g), exponent=k["eps"], temperature=k["temperature"]
    ).mean(),
    "cwd_loss": lambda g, k: attention.cwd(*_kd(g), temperature=k["temperature"]).mean(),
    "paddle_kd_kl_loss": lambda g, k: logits.kd(*_kd(g), temperature=k["temperature"]).mean(),
    "nd_loss": lambda g, k: (
        k["nd_loss_factor"]
        * features.nd(g["student_emb"], g["teacher_emb"], g["class_means"], g["labels"]).mean()
    ),
    "binary_kl_loss": lambda g, k: binary.binary_kl(*_kd(g), temperature=k["temperature"]).mean(),
    "binary_kl_norm_loss": lambda g, k: binary.binary_kl_norm(
        *_kd(g), temperature=k["temperature"]
    ).mean(),
    "pskd_soft_target_ce": lambda g, _: soft_targets.soft_ce(
        g["student_logits"], g["soft_targets"]
    ).mean(),
    "meal_v2_generator_loss": _meal,
    "ssld_js_loss": lambda g, k: soft_targets.jeffreys(*_kd(g), floor=k["eps"]).mean(),
    "ssld_js_loss_sum_classes": lambda g, k: (
        g["student_logits"].shape[1] * soft_targets.jeffreys(*_kd(g), floor=k["eps"]).mean()
    ),
    "self_distill_nn_loss": _squared_mixture,
    "promptkd_loss": _promptkd,
    "makd_total_loss": _makd,
    "makd_yes_probability": lambda g, _: {"p_yes": (g["yes_logit"] - g["no_logit"]).sigmoid()},
    "gkt_kl_dp_supervised": lambda g, _: _trusted(g, g["labels"]),
    "gkt_kl_dp_unsupervised": lambda g, _: _trusted(g, None),
    "gkt_prediction_flips": _prediction_flips,
    "trg_local_preserving_loss": _token_graph,
    "trg_global_relationship_loss": _token_contrast,
    "trg_contextual_loss": lambda g, _: token_graph.token_context(
        g["student_tokens"], g["teacher_tokens"]
    ).mean(),
    "tgeo_state": lambda g, _: {
        "state": trilateral.tgeokd_state(g["student_probs"], g["teacher_probs"], g["target"])
    },
    "tgeo_student_loss": _tgeo,
    "diswot_relation_score": lambda g, _: {
        "score": architecture.relation_score(g["student_feat"], g["teacher_feat"])
    },
    "diswot_semantic_score": lambda g, _: {
        "score": architecture.semantic_score(g["student_fc_grad"], g["teacher_fc_grad"])
    },
    "diswot_total_score": _diswot,
    "dhkd_gradient_alignment": _gradient_alignment,
    "crd_loss": _crd,
    "kd3_mix_distribution": lambda g, k: {
        "mixed": mixing.mix_statistics(g["images"], g["lam"].flatten(), g["perm"], eps=k["eps"])
    },
    "kd3_weighted_feature_loss": _weighted_hint,
    "kd3_contrastive_loss": lambda g, k: contrast.nt_xent(g["x1"], g["x2"], temperature=k["t"]),
    "kd3_instance_selection": lambda g, k: {
        "selected_mask": selection.sure_enough(
            *_kd(g), teacher_share=float(g["alpha"]), cutoff=k["p_cutoff"]
        )
    },
    "rad_sampling_distribution": _robust,
    "rad_margin_gain": lambda g, _: {"gain": selection.margin_gain(g["student_logits"])},
    "krr_self_distill": _kernel_steps,
    "krr_optimal_alpha": _kernel_weights,
    "cka_linear_biased": lambda g, _: _cka(g, unbiased=False),
    "cka_linear_unbiased": lambda g, _: _cka(g, unbiased=True),
    "cka_linear_biased(flatten)": _cka_of(cka.flattened),
    "cka_linear_biased(avgpool)": _cka_of(cka.pooled),
    "cka_linear_biased(nhw,c)": _cka_of(cka.pixels_as_samples),
    "cka_rbf_biased": lambda g, k: cka.rbf_cka(
        g["x"], g["y"], unbiased=False, scale=k["threshold"], bandwidth="full"
    ),
    "cka_rbf_unbiased": lambda g, k: cka.rbf_cka(
        g["x"], g["y"], scale=k["threshold"], bandwidth="full"
    ),
    "cka_rbf_biased_offdiag_median": lambda g, _: cka.rbf_cka(g["x"], g["y"], unbiased=False),
    "hsic0": lambda g, _: _hsic(g, cka.hsic_biased),
    "hsic1": lambda g, _: _hsic(g, cka.hsic_unbiased),
    "cka_minibatch": _minibatch,
    "cka_matrix_biased": lambda g, _: _matrix(g, unbiased=False),
    "cka_matrix_unbiased": lambda g, _: _matrix(g, unbiased=True),
    "procrustes_ding": lambda g, _: similarity.procrustes_distance(g["x"], g["y"]),
    "procrustes_sq": lambda g, _: similarity.procrustes_distance(g["x"], g["y"]) ** 2,
    "procrustes_angular": lambda g, _: similarity.procrustes_angle(g["x"], g["y"]),
    "rsa_correlation_spearman": lambda g, _: similarity.rsa(g["x"], g["y"]),
    "rsa_euclidean_spearman": lambda g, _: similarity.rsa(g["x"], g["y"], inner="euclidean"),
    "knn_jaccard": lambda g, k: similarity.knn_jaccard(g["x"], g["y"], k=k["k"]),
    "mutual_knn_cosine": _knn,
    "cknna": lambda g, k: similarity.cknna(g["x"], g["y"], k=k["topk"]),
    "cca_rho": lambda g, _: similarity.cca(g["x"], g["y"]),
    "cca_mean": lambda g, _: similarity.cca(g["x"], g["y"]).mean(),
    "cca_mean_svcca": lambda g, _: similarity.cca(g["x"], g["y"]).mean(),
    "cca_mean_sq": lambda g, _: similarity.cca(g["x"], g["y"]).square().mean(),
    "pwcca_dist_sim_metric": lambda g, _: 1 - similarity.pwcca(g["x"], g["y"]),
    "reliability_table_right": _reliability,
    "ece_right": _ece("right"),
    "ece_left": _ece("left"),
    "mce_left": lambda g, k: _table(g, "left", _bins(k)).maximum(),
    "ece_equal_mass_midpoint_edges": _top(calibration.adaptive_calibration_error),
    "kumar_l2_debiased": _top(calibration.debiased_l2_calibration_error),
    "classwise_ece_right": _top(calibration.classwise_ece),
    "classwise_ece_pycalib": _top(calibration.classwise_ece),
    "classwise_ece_right_per_class": _top(calibration.classwise_ece_per_class),
    "brier_multiclass_sum": lambda g, _: calibration.brier_score(g["probs"], g["labels"]),
    "brier_multiclass_half": lambda g, _: calibration.brier_score(g["probs"], g["labels"]) / 2,
    "brier_multiclass_mean": lambda g, _: (
        calibration.brier_score(g["probs"], g["labels"]) / g["probs"].shape[1]
    ),
    "nll": lambda g, _: calibration.nll(g["probs"].log(), g["labels"]),
    "mean_entropy": lambda g, _: calibration.mean_entropy(g["probs"]),
    "binary_ece_pos": lambda g, k: _binary(g, k, closed="left"),
    "binary_ece_pos_left": lambda g, k: _binary(g, k, closed="left"),
    "binary_ece_pos_right": _binary,
    "binary_ece_conf_right": lambda g, k: _binary(g, k, form="confidence"),
    "temperature_fit": lambda g, _: calibration.fit_temperature(g["logits"], g["labels"]),
    "temperature_sklearn": lambda g, _: calibration.fit_temperature(g["logits"], g["labels"]),
    "temperature_nll_before": lambda g, _: calibration.nll(g["logits"], g["labels"]),
    "temperature_nll_after": _scaled_nll,
    "label_loyalty": _pair(loyalty.label_loyalty),
    "js_distance_nat": _pair(loyalty.sqrt_js, log_base=math.e),
    "js_distance_base2": _pair(loyalty.sqrt_js),
    "js_divergence_base2": lambda g, _: loyalty.sqrt_js(g["student"], g["teacher"]).square().mean(),
    "probability_loyalty_nat": _pair(loyalty.probability_loyalty, log_base=math.e),
    "probability_loyalty_base2": _pair(loyalty.probability_loyalty),
    "kl_teacher_student": _mean(loyalty.forward_kl),
    "kl_student_teacher": _mean(loyalty.reverse_kl),
    "total_variation": _mean(loyalty.total_variation),
    "hellinger": _mean(loyalty.hellinger),
    "flip_table": lambda g, _: _correctness(g).T,  # theirs has the teacher in rows
    "error_consistency": lambda g, _: knowledge.error_consistency(_correctness(g)),
    "mcnemar_exact": lambda g, _: knowledge.mcnemar_p(_correctness(g)),
    "prediction_kappa": _pair(knowledge.prediction_kappa),
    "topk_overlap": lambda g, k: loyalty.topk_overlap(g["student"], g["teacher"], k["k"]),
    "complementary_knowledge": _flips("complementary"),
    "negative_complementary": _flips("at_risk"),
    "knowledge_gain": _flips("gain"),
    "knowledge_loss": _flips("loss"),
    "transfer_delta": _flips("delta"),
    "transfer_rate": _flips("transfer_rate"),
    "spontaneous_gain": _flips("spontaneous_gain"),
    "copied_errors": _copied,
    "regression_fidelity_pearson": _regression("pearson"),
    "regression_fidelity_spearman": _regression("spearman"),
    "regression_fidelity_ccc": _regression("ccc"),
    "regression_fidelity_mae": _regression("mae"),
    "regression_fidelity_r2": _regression("r2"),
    "tgeokd_state_option3": lambda g, _: trilateral.tgeokd_state(
        g["student"], g["teacher"], g["labels"]
    ),
    "tgeokd_controller": _fusion,
    "triangle_sides": _triangle("radius", "distance", "teacher_radius"),
    "triangle_sides_hellinger": _triangle(
        "radius", "distance", "teacher_radius", metric="hellinger"
    ),
    "triangle_sides_sqrtjs": _triangle("radius", "distance", "teacher_radius", metric="sqrt_js"),
    "triangle_sides_tbar": _sides_to_class_mean,
    "triangle_embedding": _triangle("x", "y"),
    "triangle_full": _triangle("radius", "distance", "teacher_radius", "x", "y"),
    "triangle_angles": _angles,
    "effective_alpha": _triangle("alpha"),
    "attr_integrated_gradients": _maps("integrated_gradients"),
    "attr_saliency": _maps("saliency"),
    "attr_input_x_gradient": _maps("input_x_gradient"),
    "attr_occlusion": _maps("occlusion", window=2),
    "attr_gradcam": _grad_cam,
    "attr_cosine": _compare(attribution.map_cosine),
    "attr_pearson": _compare(attribution.map_pearson),
    "attr_spearman": _compare(attribution.map_spearman),
    "attr_spearman_abs": _compare(attribution.map_spearman, absolute=True),
    "attr_topk_iou": lambda g, k: attribution.map_topk_iou(g["b"], g["a"], k=k["k"]),
    "attr_ssim": lambda g, k: attribution.map_ssim(g["b"], g["a"], window=k["kernel_size"]),
}

TIES = {"x.dup_rows": 5e-4}  # ranks: the source breaks ties of repeated rows by rounding noise
SLACK: dict[str, dict[str, float]] = {
    "procrustes_ding": {"*": 1e-7},  # root of a difference of nearly equal numbers: eps -> sqrt eps
    "mutual_knn_cosine": {"*": 1e-7},  # the source averages in float32
    "tgeokd_state_option3": {"*": 1e-8},  # float32 in the source
    "gkt_kl_dp_multi_teacher": {"*": 1e-6},  # the source's targets are a float32 softmax
    "rsa_correlation_spearman": TIES,
    "rsa_euclidean_spearman": TIES,
}
"""Function -> first input (or ``*``) -> tolerance, where the manifest's own asks for more digits
than the stored number has."""

ONLY_WITNESS = "records a known slip or another library's convention that we do not offer"
NIXON = "renormalises by what a threshold leaves and adds an extra bin; ours is classwise_ece"
PHANTOM = "float32 sums and a bin of its own for confidence 1 (torchmetrics issue 3510)"
NOT_OURS: dict[tuple[str, str, str, str], str] = {
    ("metrics", "cka_linear_unbiased_eps1e-6", "minyoungg/platonic-rep@dcd76ba", "*"): (
        "adds 1e-6 to the denominator, which pulls small-scale features towards 0"
    ),
    ("metrics", "hsic1", "ckatorch 1.0.3", "hsic.hsic1"): (
        "uncentred Gram of features with mean 1e4: cancellation, and no check of n < 4"
    ),
    (
        "metrics", "cka_rbf_biased_offdiag_median", "samuelstanton/gnosis@7a40c5d",
        "cka.CKA.kernel_CKA",
    ): "median of non-zero distances, which differs from ours where rows repeat",
    ("metrics", "cka_mean_of_batches", "ckatorch 1.0.3", "*"): ONLY_WITNESS,
    ("metrics", "mutual_knn", "minyoungg/platonic-rep@dcd76ba", "AlignmentMetrics.mutual_knn"): (
        "neighbours by raw inner product; ours normalises rows first, as their own script does"
    ),
    ("metrics", "pwcca_google", "google/svcca@1f3fbf1", "pwcca.compute_pwcca"): (
        "weighs by directions made orthogonal a second time; ours is sim_metric's form"
    ),
    ("metrics", "torchmetrics_ce", "torchmetrics 1.9.0", "*"): PHANTOM,
    ("metrics", "average_ce_left", "netcal 1.4.0", "ACE(bins).measure"): (
        "differs from the mean over non-empty bins where confidences lie on bin edges"
    ),
    ("metrics", "ece_quantile_edges", "netcal 1.4.0", "*"): (
        "numpy quantile edges, which raise on ties; ours is ece_equal_mass_midpoint_edges"
    ),
    ("metrics", "ece_equal_mass", "numpy 2.4.6 definitional", "*"): "splits tied confidences",
    ("metrics", "ece_equal_mass", "torch_uncertainty 0.13.0", "*"): "splits tied confidences",
    ("metrics", "kumar_marginal_l2", "uncertainty-calibration 0.1.4", "*"): (
        "root of a mean of squares over classes; ours is classwise_ece, a mean of absolute gaps"
    ),
    ("metrics", "sce", "google-research/robustness_metrics@93ac2c2", "*"): NIXON,
    ("metrics", "ace_nixon", "google-research/robustness_metrics@93ac2c2", "*"): NIXON,
    ("metrics", "tace_nixon", "google-research/robustness_metrics@93ac2c2", "*"): NIXON,
    ("metrics", "ece_gce", "google-research/robustness_metrics@93ac2c2", "*"): NIXON,
    ("metrics", "rmsce_gce", "google-research/robustness_metrics@93ac2c2", "*"): NIXON,
    ("metrics", "pycalib_conf_ece", "pycalib 0.1.0.dev6", "*"): (
        "rounded edges leave gaps that lose samples"
    ),
    ("metrics", "smece", "relplot 1.0.3", "*"): "smooth calibration error is not offered",
    ("metrics", "nll", "scikit-learn 1.9.1", "log_loss"): (
        "clips probabilities of 0; ours is infinite there, and reads logits otherwise"
    ),
    ("metrics", "calibration_curve_uniform", "scikit-learn 1.9.1", "*"): (
        "a curve without its empty bins; ours is the whole table"
    ),
    ("metrics", "calibration_curve_quantile", "scikit-learn 1.9.1", "*"): "numpy quantile edges",
    ("metrics", "temperature_gpleiss", "gpleiss/temperature_scaling@ce1154e", "*"): (
        "stops before the optimum"
    ),
    ("metrics", "probability_loyalty_double_sqrt", "scipy 1.17.1", "*"): ONLY_WITNESS,
    ("metrics", "js_distance_base2", "scipy 1.17.1", "*"): "NaN for half of nearly equal rows",
}  # fmt: skip


def reason_against(case: Case) -> tuple[tuple[str, str, str, str], str] | None:
    """The row of NOT_OURS that covers a case, and its reason; a canonical case has none."""
    if case.entry.get("canonical"):
        return None
    part, function, origin, name = case.key
    for key in ((part, function, origin, name), (part, function, origin, "*")):
        if key in NOT_OURS:
            return key, NOT_OURS[key]
    return None


@pytest.fixture(scope="module")
def tensors() -> Callable[[Path], dict[str, Tensor]]:
    kept: dict[Path, dict[str, Tensor]] = {}
    return lambda path: kept.setdefault(path, load_file(path)) if path not in kept else kept[path]


@pytest.fixture(autouse=True)
def plain_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formulas are compared, not kernels: oneDNN's convolutions differ by machine and threads."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


def test_the_folder_holds_vectors():
    assert ROOT.is_dir(), f"no folder of golden vectors at WORKBENCH_GOLDEN={ROOT}"
    assert CASES, f"no manifest-*.json with entries in or below {ROOT}"


@pytest.mark.skipif(ROOT != HERE, reason="rows are for the default folder")
def test_every_row_of_not_ours_is_used():
    used = {row[0] for case in CASES if (row := reason_against(case))}
    assert used == set(NOT_OURS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, tensors: Callable[[Path], dict[str, Tensor]]):
    if row := reason_against(case):
        pytest.skip(row[1])
    ours = OURS.get(case.function)
    assert ours, f"{case.key} is neither in OURS nor in NOT_OURS"
    if is_metric(case):
        check_metric(case, ours, tensors)
    else:
        check_loss(case, ours, tensors)


@pytest.mark.parametrize("case", [c for c in CASES if not reason_against(c)], ids=str)
def test_a_number_off_by_ten_tolerances_fails_and_names_the_case(
    case: Case, tensors: Callable[[Path], dict[str, Tensor]]
):
    """The harness itself: no case may pass whatever is expected of it."""
    metric = is_metric(case)
    changed = off_metric(case, tensors) if metric else off_loss(case, tensors)
    if changed is None:
        pytest.skip("expects an error or a NaN, not a number")
    wrong, stored = changed
    with pytest.raises(AssertionError, match=re.escape(str(case))):
        (check_metric if metric else check_loss)(wrong, OURS[case.function], lambda _: stored)


Changed = tuple[Case, dict[str, Tensor]]


def off_metric(case: Case, tensors: Callable[[Path], dict[str, Tensor]]) -> Changed | None:
    entry, stored = case.entry, tensors(case.folder / case.entry["file"])
    expected, note = entry["expected"], entry.get("notes", "")
    if "error" in expected or "raise ValueError" in note or "Recommended: NaN" in note:
        return None
    rtol, atol = max(entry["rtol"], slack_of(case)), max(ATOL, slack_of(case))
    if key := expected.get("tensor"):
        return case, {**stored, key: off(stored[key].double(), rtol, atol)}
    value = off(torch.tensor(float(expected["scalar"]), dtype=torch.float64), rtol, atol)
    return replace(case, entry={**entry, "expected": {"scalar": float(value)}}), stored


def off_loss(case: Case, tensors: Callable[[Path], dict[str, Tensor]]) -> Changed | None:
    stored = tensors(case.folder / case.entry["golden_file"])
    for keys in case.entry["cases"][case.name]["expected"].values():
        if key := keys.get("int"):
            return case, {**stored, key: stored[key] + 1}
        precision = "f64" if "f64" in keys else "f32"
        wanted = stored[keys[precision]]
        if torch.isfinite(wanted).any():
            shifted = off(wanted, *tolerance_of(case, precision))
            return case, {**stored, keys[precision]: shifted}
    return None


def off(wanted: Tensor, rtol: float, atol: float) -> Tensor:
    """Ten tolerances more; an infinity or NaN becomes 0."""
    return (wanted + 10 * (atol + rtol * wanted.abs())).where(wanted.isfinite(), 0.0)


def is_metric(case: Case) -> bool:
    return case.part == "metrics" or "cases" not in case.entry


def slack_of(case: Case) -> float:
    """Tolerance beyond the manifest's, where it asks for more digits than there are."""
    given = SLACK.get(case.function, {})
    first = str(case.entry["inputs"].get("x", "*")) if is_metric(case) else "*"
    return max(given.get(first, 0.0), given.get("*", 0.0))


def tolerance_of(case: Case, precision: str) -> tuple[float, float]:
    """(rtol, atol) of a loss."""
    rtol, atol = TOLERANCE[precision]
    if precision == "f32" and case.entry["method"] in LOOSE_F32:
        rtol, atol = 1e-3, 1e-3
    slack = slack_of(case)
    return max(rtol, slack), max(atol, slack)


def gather(stored: dict[str, Tensor], key: str, **also: Any) -> Any:
    """One tensor; ``a.x0..2`` is a list, ``prefix.*`` a mapping."""
    if ".." in key:
        stem, last = key.split("..")
        first = int(stem[-1])
        return [stored[f"{stem[:-1]}{i}"] for i in range(first, int(last) + 1)]
    if key.endswith(".*"):
        prefix = key[:-1]
        return {
            name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)
        }
    return stored[key]


def check_metric(case: Case, ours: Callable[..., Any], tensors: Callable[[Path], dict]) -> None:
    entry = case.entry
    stored = tensors(case.folder / entry["file"])
    given = {name: gather(stored, key) for name, key in entry["inputs"].items()}
    if case.function == "tgeokd_controller":
        given["fc"] = gather(stored, "controller.*")
    note, expected = entry.get("notes", ""), entry["expected"]
    if "error" in expected and "raise ValueError" not in note:
        pytest.skip(f"the source itself fails, there is no number: {expected['error']}")
    if "raise ValueError" in note:
        with pytest.raises(ValueError, match="at least 4 examples"):
            ours(given, entry["kwargs"])
        return
    slack = slack_of(case)
    actual = ours(given, entry["kwargs"])
    actual = torch.tensor(actual, dtype=torch.float64) if isinstance(actual, float) else actual
    if "Recommended: NaN" in note and case.function.startswith("cka"):
        assert torch.isnan(actual).all(), f"undefined, expected NaN, got {actual}"
        return
    if "tensor" in expected:
        wanted = stored[expected["tensor"]]
    else:
        wanted = torch.tensor(float(expected["scalar"]), dtype=torch.float64)
    torch.testing.assert_close(
        actual.reshape(wanted.shape).double(),
        wanted.double(),
        rtol=max(entry["rtol"], slack),
        atol=max(ATOL, slack),
        equal_nan=True,
        msg=lambda text: f"{case}: {text}",
    )


def check_loss(case: Case, ours: Callable[..., Any], tensors: Callable[[Path], dict]) -> None:
    stored = tensors(case.folder / case.entry["golden_file"])
    described = case.entry["cases"][case.name]
    kwargs = {**case.entry["kwargs"], **described.get("kwargs", {})}
    for precision in ("f64", "f32"):
        if not any(precision in keys or "int" in keys for keys in described["expected"].values()):
            continue
        dtype = torch.float64 if precision == "f64" else torch.float32
        given = {
            name: stored[key].to(dtype) if stored[key].is_floating_point() else stored[key]
            for name, key in described["inputs"].items()
        }
        for name in described["grads"]:
            given[name].requires_grad_()
        actual = ours(given, kwargs)
        if not isinstance(actual, dict):
            actual = {"loss": actual}
        rtol, atol = tolerance_of(case, precision)
        # where the official float32 number is wrong, the float64 one is the truth
        reference = "f64" if described.get("f32_unreliable") else precision
        for name, keys in described["expected"].items():
            key = keys.get("int") or keys.get(reference) or keys.get(precision)
            if key is None:
                continue
            assert name in actual, f"{case}: no output {name!r}"
            same(
                actual[name], stored[key], rtol, atol, described.get("nonfinite"), f"{case} {name}"
            )
        if described["grads"]:
            names = list(described["grads"])
            found = torch.autograd.grad(
                actual["loss"], [given[n] for n in names], allow_unused=True
            )
            for name, gradient in zip(names, found, strict=True):
                keys = described["grads"][name]
                gradient = torch.zeros_like(given[name]) if gradient is None else gradient
                loose = described.get("nonfinite_grad") or described.get("nonfinite")
                wanted = stored[keys.get(reference) or keys[precision]]
                same(gradient, wanted, rtol, atol, loose, f"{case} gradient of {name}")


def same(actual: Any, wanted: Tensor, rtol: float, atol: float, nonfinite: Any, what: str) -> None:
    """Equal within tolerance; where the official code gives NaN or inf, ours must be finite."""
    value = torch.as_tensor(actual).detach()
    value = value.reshape(wanted.shape)
    if not wanted.is_floating_point():
        assert torch.equal(value.to(wanted.dtype), wanted), what
        return
    wanted = wanted.to(value.dtype)
    if nonfinite:
        assert torch.isfinite(value).all(), f"{what}: not finite"
        known = torch.isfinite(wanted)
        value, wanted = value[known], wanted[known]
    torch.testing.assert_close(
        value, wanted, rtol=rtol, atol=atol, equal_nan=True, msg=lambda text: f"{what}: {text}"
    )
