"""What a term remembers between steps, as buffers of a module so that checkpoints hold it.

Unusual here: a row's place in a memory is its place among the training rows, not its id; a test row
has none. Draws come from torch's generator, which training seeds anew at every step.
Shapes: B = sample, N = training rows, D = width, K = class, M = negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.errors import BadInput
from workbench.functional.contrast import counted_contrast, memory_scores, moved_rows
from workbench.functional.reductions import pooled
from workbench.terms.heads import VectorNorm

DROPOUT = 0.5


class Places(nn.Module):
    """Rows of a memory by sample id, ordered so that rows of one class stand together.

    Built from the data, so it is not part of a checkpoint.

    Args:
        ids: Of the training rows, int64, shape (N,).
        labels: Their labels, -1 where withheld, shape (N,).
    """

    row: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, ids: Tensor, labels: Tensor) -> None:
        super().__init__()
        ids, labels = ids.cpu(), labels.cpu()
        order = labels.argsort(stable=True)
        ids, labels = ids[order], labels[order]
        row = torch.full((int(ids.max()) + 1,), -1)
        row[ids] = torch.arange(len(ids))
        first = torch.searchsorted(labels, labels)
        count = torch.searchsorted(labels, labels, right=True) - first
        # a withheld label, or one class only: only the row itself is no other
        alone = (labels < 0) | (count == len(ids))
        first = torch.where(alone, torch.arange(len(ids)), first)
        count = torch.where(alone, 1, count)
        for name, table in (("row", row), ("first", first), ("count", count)):
            self.register_buffer(name, table, persistent=False)

    def __len__(self) -> int:
        return len(self.first)

    def of(self, ids: Tensor) -> Tensor:
        """Rows of a batch, int64, shape (B,)."""
        return self.row[ids]

    def others(self, rows: Tensor, count: int) -> Tensor:
        """Random rows of other classes, with replacement, int64, shape (B, count).

        For a row whose label is withheld: of any other row.
        """
        apart, start = self.count[rows, None], self.first[rows, None]
        left = len(self) - apart
        # so many values that the remainder is even to one part in 2**40
        chosen = torch.randint(2**60, (len(rows), count), device=rows.device) % left
        return torch.where(chosen >= start, chosen + apart, chosen)


class ContrastMemory(nn.Module):
    """Embeddings of both networks for every training row, and the loss against them (CRD).

    Args:
        student: Width of the student's pooled layer.
        teacher: Width of the teacher's.
        width: D of the embeddings.
        ids: Of the training rows, int64, shape (N,).
        labels: Their labels, -1 where withheld, shape (N,).
        momentum: Share of an old row when it is met again.

    Raises:
        BadInput: If there are fewer than two rows.

    Reference:
        Tian, Krishnan, Isola 2020, arXiv:1910.10699, §3.2.
    """

    banks: Tensor
    scales: Tensor

    def __init__(
        self,
        student: int,
        teacher: int,
        *,
        width: int,
        ids: Tensor,
        labels: Tensor,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        if len(ids) < 2:
            raise BadInput(f"crd: needs at least 2 training rows, got {len(ids)}. Use more data.")
        self.momentum = momentum
        self.embed = nn.ModuleList([nn.Linear(student, width), nn.Linear(teacher, width)])
        self.places = Places(ids, labels)
        bound = (width / 3) ** -0.5
        banks = torch.rand(2, len(ids), width) * 2 * bound - bound
        self.register_buffer("banks", banks)
        self.register_buffer("scales", torch.full((2,), torch.nan))

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        ids: Tensor,
        *,
        num_negatives: int,
        temperature: float,
    ) -> Tensor:
        """Nats of each sample, (B,); remembers the batch afterwards.

        Args:
            student: Layer of the student, any shape that can be pooled.
            teacher: Layer of the teacher.
            ids: Sample ids, int64, shape (B,).
            num_negatives: M.
            temperature: Divides the products of embeddings.
        """
        rows, num_rows = self.places.of(ids), len(self.places)
        drawn = self.places.others(rows, num_negatives)
        counts = torch.zeros(len(rows), num_rows, device=rows.device)
        counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=counts.dtype))
        embedded = [
            nn.functional.normalize(linear(pooled(layer)), dim=1)
            for linear, layer in zip(self.embed, (student, teacher), strict=True)
        ]
        losses, scales = [], []
        for which, own in enumerate(embedded):  # the student meets the teacher's bank
            bank = self.banks[1 - which].clone()  # it is updated before the backward pass
            scores = (own @ bank.T / temperature).exp()
            positive = memory_scores(own, bank, rows[:, None], temperature=temperature)[:, 0]
            met = (counts * scores.detach()).sum(1) + positive.detach()
            fresh = met.mean() / (num_negatives + 1) * num_rows
            kept = self.scales[which]
            scales.append(torch.where(kept.isnan(), fresh, kept))  # fixed by the first batch
            losses.append(
                counted_contrast(
                    positive / scales[-1], scores / scales[-1], counts, num_negatives, num_rows
                )
            )
        with torch.no_grad():
            self.scales.copy_(torch.stack(scales))
            for bank, own in zip(self.banks, embedded, strict=True):
                bank[rows] = moved_rows(bank[rows], own, momentum=self.momentum)
        return torch.stack(losses).sum(0)


class ClassMeans(nn.Module):
    """The teacher's mean embedding of each class, over all labelled rows met so far (KD++).

    The paper computes them before training; the teacher is frozen, so after one pass over the data
    these are the same means, of the varied images.

    Args:
        student: Width of the student's layer.
        teacher: Width of the teacher's, D.
        num_classes: K.
    """

    means: Tensor
    counts: Tensor

    def __init__(self, student: int, teacher: int, num_classes: int) -> None:
        super().__init__()
        self.adapter: nn.Module = (
            nn.Identity()
            if student == teacher
            else nn.Sequential(
                VectorNorm(student), nn.Dropout(DROPOUT), nn.Linear(student, teacher)
            )
        )
        self.register_buffer("means", torch.zeros(num_classes, teacher))
        self.register_buffer("counts", torch.zeros(num_classes))

    @torch.no_grad()
    def update(self, teacher: Tensor, labels: Tensor) -> None:
        """Take the labelled rows of a batch into the means, as one sum a class."""
        classes = torch.arange(len(self.counts), device=labels.device)
        member = (labels[:, None] == classes).to(self.means.dtype)  # withheld: in no class
        new = member.sum(0)
        self.counts += new
        gap = member.T @ teacher.to(self.means.dtype) - new[:, None] * self.means
        self.means += gap / self.counts.clamp_min(1)[:, None]
