"""Do student and teacher look at the same pixels? Attribution maps (captum) and their similarity.

Unusual here: a similarity is only readable beside its shuffled null (teacher's map of one sample,
student's of another), because a bias to the image centre alone makes any two maps alike.
Maps are of logits, not probabilities; both models are asked about the same class.
Shapes: N = samples, the rest of a map is compared flattened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from workbench.functional.guards import same_shape
from workbench.functional.similarity import pearson, row_norms, spearman
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

Method = Literal["saliency", "input_x_gradient", "integrated_gradients", "occlusion"]
METHODS: tuple[Method, ...] = ("saliency", "input_x_gradient", "integrated_gradients", "occlusion")
SAME_GRID = "Bring both maps to one grid first: `on_grid`."


def attribute(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    method: Method = "integrated_gradients",
    steps: int = 50,
    window: int = 4,
    rows_at_once: int | None = None,
) -> Tensor:
    """Map of how much each input entry moves the logit of ``targets``.

    Args:
        model: Gives logits, shape (N, C); put it in eval mode first.
        images: Inputs, shape (N, C, H, W), or table rows (N, F), of which one feature is left out
            at a time.
        targets: Class asked about, int64, shape (N,); the same for student and teacher.
        method: ``saliency`` is |gradient|; ``occlusion`` needs no gradient and is the fair choice
            between a CNN and a ViT.
        steps: Gauss-Legendre nodes of integrated gradients from a black image.
        window: Side of the occluding square and its stride, pixels.
        rows_at_once: Rows of one forward of integrated gradients, which else takes N × ``steps``.

    Returns:
        Shape of ``images``, detached.

    Raises:
        ValueError: If the method is unknown.

    Reference:
        Simonyan et al. 2014; Sundararajan et al. 2017, arXiv:1703.01365; Zeiler & Fergus 2014.
    """
    from captum import attr

    inputs = images.detach().clone().requires_grad_()
    if method == "saliency":
        result = attr.Saliency(model).attribute(inputs, target=targets)
    elif method == "input_x_gradient":
        result = attr.InputXGradient(model).attribute(inputs, target=targets)
    elif method == "integrated_gradients":
        result = attr.IntegratedGradients(model).attribute(
            inputs, target=targets, n_steps=steps, internal_batch_size=rows_at_once
        )
    elif method == "occlusion":
        block = (images.shape[1], window, window) if images.ndim == 4 else (1,)
        result = attr.Occlusion(model).attribute(
            images, target=targets, sliding_window_shapes=block, strides=block
        )
    else:
        raise ValueError(f"No attribution method {method!r}. Known: {', '.join(METHODS)}.")
    maps: Tensor = result.detach()
    return maps


def grad_cam(model: nn.Module, layer: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Grad-CAM at a convolution, signed (no ReLU), shape (N, 1, h, w).

    Reference:
        Selvaraju et al. 2017, arXiv:1610.02391 (there with ReLU).
    """
    from captum import attr

    maps: Tensor = attr.LayerGradCam(model, layer).attribute(images, target=targets)
    return maps.detach()


def completeness_gap(model: nn.Module, images: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """What integrated gradients miss: |sum of the map - (logit here - logit of black)|, shape (N,).

    0 for exact integrals; it does not shrink with every step more. Show its largest value.

    Args:
        model: Gives logits, shape (N, C).
        images: Inputs, shape (N, C, H, W).
        targets: Class asked about, int64, shape (N,).
        maps: Of :func:`attribute` with ``integrated_gradients``.

    Reference:
        Sundararajan et al. 2017, arXiv:1703.01365, proposition 1.
    """
    with torch.no_grad():
        here, black = model(images), model(torch.zeros_like(images))
    moved = (here - black).gather(1, targets[:, None]).squeeze(1)
    gap: Tensor = (maps.flatten(1).sum(1) - moved).abs()
    return gap


def on_grid(maps: Tensor, height: int, width: int, *, absolute: bool = False) -> Tensor:
    """Maps summed over channels and resized, shape (N, 1, height, width).

    Area-averaged when shrinking, bilinear when growing.

    Args:
        maps: Shape (N, C, H, W).
        height: Of the grid.
        width: Of the grid.
        absolute: Sum magnitudes: how much, whatever the sign. Opposite channels cancel otherwise.
    """
    flat = (maps.abs() if absolute else maps).sum(1, keepdim=True)
    if height <= flat.shape[-2] and width <= flat.shape[-1]:
        resized: Tensor = F.interpolate(flat, (height, width), mode="area")
    else:
        resized = F.interpolate(flat, (height, width), mode="bilinear", align_corners=False)
    return resized


def map_cosine(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Cosine of each pair of maps, shape (N,), in [-1, 1]; NaN where a map is zero."""
    a, b = _rows("map_cosine", student_maps, teacher_maps)
    return (a * b).sum(1) / (row_norms(a) * row_norms(b))


def map_pearson(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Correlation of each pair of maps, shape (N,); NaN where a map is constant."""
    return pearson(*_rows("map_pearson", student_maps, teacher_maps))


def map_spearman(student_maps: Tensor, teacher_maps: Tensor, *, absolute: bool = False) -> Tensor:
    """Rank correlation of each pair of maps, shape (N,); of magnitudes if ``absolute``."""
    a, b = _rows("map_spearman", student_maps, teacher_maps)
    return spearman(a.abs(), b.abs()) if absolute else spearman(a, b)


def map_topk_iou(student_maps: Tensor, teacher_maps: Tensor, *, k: int) -> Tensor:
    """Overlap (intersection over union) of the k entries of largest magnitude, shape (N,).

    Args:
        student_maps: Shape (N, ...).
        teacher_maps: Same shape.
        k: Entries; a fifth of the map is usual. Ties go to the lower index.
    """
    a, b = _rows("map_topk_iou", student_maps, teacher_maps)
    if not 1 <= k <= a.shape[1]:
        raise ValueError(f"`k` must lie in 1..{a.shape[1]}, got {k!r}.")
    named = [torch.zeros_like(v, dtype=torch.bool) for v in (a, b)]
    for mask, values in zip(named, (a, b), strict=True):
        best = values.abs().argsort(dim=1, descending=True, stable=True)[:, :k]
        mask.scatter_(1, best, True)
    shared = (named[0] & named[1]).sum(1).to(a.dtype)
    return shared / (2 * k - shared)


def map_ssim(
    student_maps: Tensor, teacher_maps: Tensor, *, window: int = 7, data_range: float = 1.0
) -> Tensor:
    """Structural similarity of each pair of maps under a flat window, shape (N,).

    Windows that stick out of the map see it reflected at its border.

    Args:
        student_maps: Shape (N, C, H, W).
        teacher_maps: Same shape.
        window: Odd side of the window, at most H and W.
        data_range: Largest minus smallest value a map can take.

    Reference:
        Wang et al. 2004.
    """
    same_shape("map_ssim", student_maps, teacher_maps, fix=SAME_GRID)
    edge = window // 2
    a, b = (F.pad(m, (edge,) * 4, mode="reflect") for m in (student_maps, teacher_maps))

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a.square(), mean(b * b) - mean_b.square()
    covariance = mean(a * b) - mean_a * mean_b
    low, high = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + low) / (mean_a.square() + mean_b.square() + low)
    value = luminance * (2 * covariance + high) / (var_a + var_b + high)
    return value.flatten(1).mean(1)


def shuffled_null(
    student_maps: Tensor,
    teacher_maps: Tensor,
    similarity: Callable[[Tensor, Tensor], Tensor] = map_cosine,
) -> tuple[Tensor, Tensor, float]:
    """Similarity of matching maps, of mismatched ones, and how often the first is larger.

    Every student map meets every other sample's teacher map: no random number is drawn.

    Args:
        student_maps: Shape (N, ...), N >= 2.
        teacher_maps: Same shape.
        similarity: Gives one value a pair, shape (N,).

    Returns:
        Paired values (N,), mismatched values (N·(N-1),) and AUC = P(paired > mismatched), in
        [0, 1]; 0.5 says the maps tell nothing. NaN values are left out of the AUC.

    Raises:
        ValueError: With fewer than two samples.
    """
    num = len(student_maps)
    if num < 2:
        raise ValueError(f"a shuffled null needs at least 2 samples, got {num}.")
    paired = similarity(student_maps, teacher_maps)
    mismatched = torch.cat(
        [similarity(student_maps, teacher_maps.roll(shift, 0)) for shift in range(1, num)]
    )
    high, low = paired[~paired.isnan()], mismatched[~mismatched.isnan()]
    wins = (high[:, None] > low).double() + 0.5 * (high[:, None] == low).double()
    return paired, mismatched, float(wins.mean())


def _rows(what: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    same_shape(what, student, teacher, fix=SAME_GRID)
    return student.flatten(1), teacher.flatten(1)
