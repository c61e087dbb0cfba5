"""What is tried out before step 0 and between steps, on fixed training rows, leaving no trace.

Modes, buffers, memories and random states come back, and gradients are asked for instead of
accumulated, so that a run which was looked at has the bits of one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from workbench.models.batch import Batch
from workbench.models.inspection import kept_random_states
from workbench.training.part import Part

MOST_ROWS = 64
"""Rows that are tried at most: a batch of the quickstart."""
FEWEST_ROWS = 16
"""Rows that are tried where batches are smaller: so few that a class may still be missing."""


def rehearsed_rows(part: Part) -> npt.NDArray[np.int64]:
    """Fixed training rows that are shown, up to half of them with a visible label.

    The first of the first epoch's order; a batch as it comes may hold no label at all, and a term
    of labels would then seem to do nothing.
    """
    order = part.data.plan(part.seed, 0)
    if part.rows is not None:
        order = order[np.isin(order, part.rows)]
    count = min(len(order), max(FEWEST_ROWS, min(MOST_ROWS, part.length.batch_size)))
    labelled = np.isin(order, part.data.visible_ids)
    first = order[labelled][: -(-count // 2)]
    others = order[~np.isin(order, first)]
    return np.concatenate([first, others[: count - len(first)]])


def rehearsed_batch(part: Part, rows: npt.NDArray[np.int64]) -> Batch:
    """These rows as the student is shown them in the first epoch."""
    return part.data.transform(part.data.fetch(rows), part.seed, 0)


@contextmanager
def as_found(*modules: nn.Module | None) -> Iterator[None]:
    """Modes, buffers, what takes gradient and the random states come back afterwards."""
    with ExitStack() as stack:
        stack.enter_context(kept_random_states())
        for module in modules:
            if module is not None:
                stack.enter_context(_kept(module))
        yield


@contextmanager
def _kept(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in module.parameters()}
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
        for parameter, wants in wanted.items():
            parameter.requires_grad_(wants)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if name in buffers and buffers[name].shape == buffer.shape:
                    buffer.copy_(buffers[name])


def gradients(value: Tensor, of: Sequence[Tensor]) -> list[Tensor | None]:
    """Of a scalar with respect to tensors; None where it does not depend on one."""
    if not value.requires_grad or not of:
        return [None] * len(of)
    return list(torch.autograd.grad(value, of, retain_graph=True, allow_unused=True))


def trained_parameters(part: Part) -> dict[str, Tensor]:
    """Weights of the student that the optimiser moves now, by name in the network."""
    trained = set(part.groups["network"])
    return {
        name: parameter
        for name, parameter in part.model.network.named_parameters()
        if f"network.{name}" in trained and parameter.requires_grad
    }
