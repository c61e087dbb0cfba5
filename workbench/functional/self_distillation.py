"""Self-distillation of kernel ridge regression: the closed form that theory is about.

Unusual here: the weight belongs to the ground truth, opposite to most losses, as in the paper; the
limit of infinitely many steps and the best weight of a step are closed forms too.
Shapes: n = training samples, m = queries, O = outputs, S = steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.functional.guards import positive
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


@dataclass(frozen=True)
class KernelSteps:
    """Self-distillation step by step.

    Attributes:
        fitted: Fit on the training inputs after each step, the next step's teacher, (S, n, O).
        predicted: Prediction on the queries after each step, (S, m, O).
        shrinkage: Factor of each kernel eigendirection after each step, (S, n), strongest
            direction first.
    """

    fitted: Tensor
    predicted: Tensor
    shrinkage: Tensor


def kernel_self_distillation(
    kernel: Tensor, cross: Tensor, targets: Tensor, *, ridge: float, weight: float, steps: int
) -> KernelSteps:
    """Fit, then fit again to a mixture of the truth and the fit before.

    Args:
        kernel: Kernel of the training inputs, shape (n, n).
        cross: Kernel of queries against training inputs, shape (m, n).
        targets: Ground truth, shape (n, O).
        ridge: Regularisation, > 0.
        weight: Of the ground truth in the mixture, in [0, 1]; the first step is always plain.
        steps: S >= 1.

    Reference:
        Borup & Andersen 2021, arXiv:2102.13088, eq. 4 and 5.
    """
    positive("ridge", ridge, usual="1e-3 to 1")
    if steps < 1:
        raise ValueError(f"`steps` must be >= 1, got {steps!r}.")
    values = torch.linalg.eigvalsh(kernel).flip(0)
    shrink = values / (values + ridge)
    mixture, factor = targets, torch.ones_like(values)
    fitted, predicted, shrinkage = [], [], []
    for _ in range(steps):
        solved = _ridge(kernel, mixture, ridge)
        fitted.append(kernel @ solved)
        predicted.append(cross @ solved)
        factor = shrink * factor
        shrinkage.append(factor)
        mixture = weight * targets + (1 - weight) * fitted[-1]
        factor = weight + (1 - weight) * factor
    return KernelSteps(torch.stack(fitted), torch.stack(predicted), torch.stack(shrinkage))


def kernel_limit(
    kernel: Tensor, cross: Tensor, targets: Tensor, *, ridge: float, weight: float
) -> Tensor:
    """Prediction after infinitely many steps: ridge regression with ridge / weight; (m, O).

    With weight 0 everything is forgotten: zeros.
    """
    positive("ridge", ridge, usual="1e-3 to 1")
    if weight == 0:
        return torch.zeros(len(cross), targets.shape[1], dtype=targets.dtype)
    return cross @ _ridge(kernel, targets, ridge / weight)


def best_weight(truth: Tensor, plain: Tensor, distilled: Tensor) -> float:
    """Weight of the truth at which the next step's prediction is nearest to held-out truth.

    The step is affine in its weight, so this is a projection; it may fall outside [0, 1].

    Args:
        truth: Held-out outputs, shape (m, O).
        plain: Prediction of the fit to the truth alone.
        distilled: Prediction of the fit to the previous fit alone.
    """
    direction = plain - distilled
    return float(((truth - distilled) * direction).sum() / direction.square().sum())


def _ridge(kernel: Tensor, targets: Tensor, ridge: float) -> Tensor:
    eye = torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    solved: Tensor = torch.linalg.solve(kernel + ridge * eye, targets)
    return solved
