"""Losses that match class scores: CE, KD and its decoupled, standardised and correlation forms.

Unusual here: everything stays in log space, and DKD masks the labelled class with -inf, not with
a large constant, so it is exact at any logit gap. A row whose label is withheld (-1) gets a finite
value of no meaning; the caller gives it weight 0.
Shapes: B = samples (or any leading axes of units), C = classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, labels_match, positive, same_shape
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


OTHER_LABELS = "Same label set? Otherwise use a feature term."
TEMPERATURE = Parameter(
    "Softening of both networks' scores; higher shows more of the small probabilities",
    low=0.0,
    high=100.0,
    open_low=True,
)
TARGET_PART = Parameter("Weight of the part about the labelled class against the rest", low=0.0)
OTHERS_PART = Parameter("Weight of the part among the other classes", low=0.0)
WITHHELD = -1
"""Label of a row whose truth may not be seen; its loss here is 0."""
STANDARD_EPS = 1e-7
CORRELATION_EPS = 1e-8


@loss(
    "ce",
    paper="Shannon 1948; the usual classification loss",
    needs=("student.logits", "labels"),
    pull="labels",
)
def ce(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the student against the true label.

    Args:
        student_logits: Raw scores, shape (B, C).
        labels: Class numbers, int64, shape (B,); -1 (withheld) gives a finite value of no meaning.

    Returns:
        Loss in nats, shape (B,), float32.

    Raises:
        ValueError: If the labels are not whole numbers of shape (B,).
    """
    labels_match("ce", student_logits, labels)
    scores, wanted = at_least_float32(student_logits), labels.long()
    if labels.dim() != 1:
        scores, wanted = scores.flatten(0, -2), wanted.flatten()
    # one kernel, whose backward is deterministic on every device (that of a gather is not)
    loss = F.cross_entropy(scores, wanted, ignore_index=WITHHELD, reduction="none")
    return loss if labels.dim() == 1 else loss.view(labels.shape)


@loss(
    "kd",
    paper="Hinton, Vinyals, Dean 2015, arXiv:1503.02531",
    needs=("student.logits", "teacher.logits"),
    parameters={"temperature": TEMPERATURE},
)
def kd(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0) -> Tensor:
    """KL from the tempered teacher to the tempered student, times T².

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        temperature: Softening T > 0, dimensionless; 1 is plain KL(teacher || student).

    Returns:
        Loss in nats, shape (B,), float32, not reduced: the caller weights and averages.

    Raises:
        ShapeMismatch: If the two shapes differ (usually two different label sets).
        ValueError: If ``temperature`` is not positive.

    Reference:
        Hinton, Vinyals, Dean 2015, arXiv:1503.02531, §2 (why the factor is T²).

    Example:
        >>> kd(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), temperature=2.0)
        tensor([1.8485])
    """
    same_shape("kd", student_logits, teacher_logits, fix=OTHER_LABELS)
    positive("temperature", temperature, usual="1 to 10")
    log_p_s_BC = F.log_softmax(at_least_float32(student_logits) / temperature, dim=-1)
    log_p_t_BC = F.log_softmax(at_least_float32(teacher_logits.detach()) / temperature, dim=-1)
    return temperature**2 * _forward_kl(log_p_s_BC, log_p_t_BC)


@loss(
    "dkd",
    paper="Zhao et al. 2022, arXiv:2203.08679",
    needs=("student.logits", "teacher.logits", "labels"),
    parameters={
        "alpha": TARGET_PART,
        "beta": OTHERS_PART,
        "temperature": TEMPERATURE,
    },
)
def dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """KD split into labelled class against the rest, and the rest among themselves, times T².

    With ``alpha = 1`` and ``beta`` = the teacher's probability of "not the label" it equals KD.

    Args:
        student_logits: Raw scores, shape (B, C), C >= 2.
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        labels: Class numbers, int64, shape (B,).
        alpha: Weight of the target-class part, >= 0.
        beta: Weight of the non-target part, >= 0; best value depends on the pair of networks.
        temperature: Softening T > 0, dimensionless.

    Returns:
        Loss in nats, shape (B,), float32. With two classes the second part is exactly 0.

    Raises:
        ShapeMismatch: If the two shapes of logits differ.
        ValueError: If there is one class only, or ``temperature`` is not positive.

    Reference:
        Zhao et al. 2022, arXiv:2203.08679, eq. 7.
    """
    same_shape("dkd", student_logits, teacher_logits, fix=OTHER_LABELS)
    labels_match("dkd", student_logits, labels)
    positive("temperature", temperature, usual="1 to 10")
    if student_logits.shape[-1] < 2:
        raise ValueError("dkd: needs at least 2 classes, got 1. There is no non-target class.")
    z_s_BC = at_least_float32(student_logits) / temperature
    z_t_BC = at_least_float32(teacher_logits.detach()) / temperature
    label_BC = torch.zeros_like(z_s_BC, dtype=torch.bool).scatter_(
        -1, labels.clamp_min(0).unsqueeze(-1), True
    )
    target_B = _forward_kl(_label_or_rest(z_s_BC, label_BC), _label_or_rest(z_t_BC, label_BC))
    others_B = _forward_kl(_among_rest(z_s_BC, label_BC), _among_rest(z_t_BC, label_BC))
    return temperature**2 * (alpha * target_B + beta * others_B)


@loss(
    "lskd",
    paper="Sun et al. 2024 (logit standardisation), arXiv:2403.01427",
    needs=("student.logits", "teacher.logits"),
    parameters={"temperature": TEMPERATURE},
)
def lskd(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 2.0) -> Tensor:
    """KD of z-scored scores, so that the student need not match the teacher's range.

    Args:
        student_logits: Raw scores, shape (B, C), C >= 2; with 2 classes all magnitude is lost.
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        temperature: Base temperature > 0, in units of each row's standard deviation.

    Returns:
        Loss in nats, shape (B,), float32.

    Reference:
        Sun et al. 2024, arXiv:2403.01427, eq. 13 (weights there: 9 beside 0.1 CE).
    """
    same_shape("lskd", student_logits, teacher_logits, fix=OTHER_LABELS)
    return kd(
        standardised(student_logits), standardised(teacher_logits.detach()), temperature=temperature
    )


@loss(
    "lskd-dkd",
    paper="Sun et al. 2024 (logit standardisation), arXiv:2403.01427",
    needs=("student.logits", "teacher.logits", "labels"),
    parameters={"alpha": TARGET_PART, "beta": OTHERS_PART, "temperature": TEMPERATURE},
)
def lskd_dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 2.0,
) -> Tensor:
    """DKD of z-scored scores.

    Args:
        student_logits: Raw scores, shape (B, C), C >= 2.
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        labels: Class numbers, int64, shape (B,).
        alpha: Weight of the target-class part, >= 0.
        beta: Weight of the non-target part, >= 0.
        temperature: Base temperature > 0.

    Returns:
        Loss in nats, shape (B,), float32.
    """
    same_shape("lskd-dkd", student_logits, teacher_logits, fix=OTHER_LABELS)
    return dkd(
        standardised(student_logits),
        standardised(teacher_logits.detach()),
        labels,
        alpha=alpha,
        beta=beta,
        temperature=temperature,
    )


@loss(
    "dist",
    paper="Huang et al. 2022 (DIST), arXiv:2205.10536",
    needs=("student.logits", "teacher.logits"),
    unit="1",
    per_sample=False,
    parameters={
        "beta": Parameter("Weight of the correlation over classes, within a sample", low=0.0),
        "gamma": Parameter("Weight of the correlation over samples, within a class", low=0.0),
        "temperature": TEMPERATURE,
    },
    min_samples=2,
)
def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """One minus the correlation with the teacher, over classes and over the batch, times T².

    Args:
        student_logits: Raw scores, shape (B, C); dense scores (B, C, H, W) count each pixel.
        teacher_logits: Same shape; never receives gradient.
        beta: Weight of the inter-class part (rows), >= 0.
        gamma: Weight of the intra-class part (columns), >= 0.
        temperature: Softening T > 0; 1 for ImageNet, 4 for CIFAR in the paper.

    Returns:
        Scalar, float32, in [0, 2 (beta + gamma) T²].

    Reference:
        Huang et al. 2022, arXiv:2205.10536, eq. 9.
    """
    same_shape("dist", student_logits, teacher_logits, fix=OTHER_LABELS)
    positive("temperature", temperature, usual="1 or 4")
    p_s = (_units_last(at_least_float32(student_logits)) / temperature).softmax(-1)
    p_t = (_units_last(at_least_float32(teacher_logits.detach())) / temperature).softmax(-1)
    across_classes = 1 - _correlation(p_s, p_t).mean()
    across_samples = 1 - _correlation(p_s.T, p_t.T).mean()
    return temperature**2 * (beta * across_classes + gamma * across_samples)


@loss(
    "ofa",
    paper="Hao et al. 2023 (OFA-KD), arXiv:2310.19444",
    needs=("student.logits", "teacher.logits", "labels"),
    parameters={
        "exponent": Parameter(
            "Above 1 the labelled class counts more than the teacher says; 1 is soft CE",
            low=0.0, high=10.0, open_low=True,
        ),
        "temperature": TEMPERATURE,
    },
)  # fmt: skip
def ofa(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    exponent: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """Cross-entropy against the teacher with its labelled class enhanced; no factor T².

    Args:
        student_logits: Raw scores, shape (B, C), of the head or of a stage's branch.
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        labels: Class numbers, int64, shape (B,).
        exponent: The paper's gamma, > 0; the label weighs (1 + p)^gamma - 1, others p^gamma.
        temperature: Softening T > 0.

    Returns:
        Loss in nats, shape (B,), float32.

    Reference:
        Hao et al. 2023, arXiv:2310.19444, eq. 6.
    """
    same_shape("ofa", student_logits, teacher_logits, fix=OTHER_LABELS)
    labels_match("ofa", student_logits, labels)
    positive("exponent", exponent, usual="1 to 1.5")
    positive("temperature", temperature, usual="1")
    log_p_s = F.log_softmax(at_least_float32(student_logits) / temperature, dim=-1)
    p_t = (at_least_float32(teacher_logits.detach()) / temperature).softmax(-1)
    truth = torch.zeros_like(p_t).scatter_(-1, labels.clamp_min(0).unsqueeze(-1), 1.0)
    return -(((p_t + truth).pow(exponent) - truth) * log_p_s).sum(-1)


def standardised(logits: Tensor) -> Tensor:
    """Scores minus their mean, over their (n - 1) standard deviation, along the last axis.

    A constant row comes out 0, with a finite (large) gradient.
    """
    full = at_least_float32(logits)
    centred = full - full.mean(-1, keepdim=True)
    square = centred.square().sum(-1, keepdim=True) / (full.shape[-1] - 1)
    flat = square == 0
    # the root of 0 has no gradient: keep it out of the graph
    deviation = torch.where(flat, 0.0, torch.where(flat, 1.0, square).sqrt())
    return centred / (deviation + STANDARD_EPS)


def _units_last(logits: Tensor) -> Tensor:
    """Scores as (units, C): every pixel of a dense map is a unit."""
    return logits.movedim(1, -1).flatten(0, -2) if logits.dim() > 2 else logits


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of matching rows; 0 for a constant row."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    correlation: Tensor = (a * b).sum(-1) / (norms + CORRELATION_EPS)
    return correlation


def _forward_kl(log_p_s_BC: Tensor, log_p_t_BC: Tensor) -> Tensor:
    """KL(teacher || student) of log-probabilities, shape (B,)."""
    kl_BC: Tensor = F.kl_div(log_p_s_BC, log_p_t_BC, reduction="none", log_target=True)
    return kl_BC.sum(-1)


def _label_or_rest(z_BC: Tensor, label_BC: Tensor) -> Tensor:
    """Log-probabilities of "the label" and "any other class", shape (B, 2)."""
    log_p_BC = F.log_softmax(z_BC, dim=-1)
    # logsumexp over the rest, not log(1 - p): keeps the tail when the label has p = 1
    rest_B = log_p_BC.masked_fill(label_BC, -torch.inf).logsumexp(-1)
    label_B = log_p_BC.masked_fill(~label_BC, 0.0).sum(-1)
    return torch.stack([label_B, rest_B], dim=-1)


def _among_rest(z_BC: Tensor, label_BC: Tensor) -> Tensor:
    """Log-probabilities renormalised over the other classes; 0 at the label, where KL adds 0."""
    log_p_BC = F.log_softmax(z_BC.masked_fill(label_BC, -torch.inf), dim=-1)
    return log_p_BC.masked_fill(label_BC, 0.0)
