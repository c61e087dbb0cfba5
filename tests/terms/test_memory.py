"""What is remembered of which row, and who may be a negative."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import BadInput
from workbench.functional.contrast import memory_scores, noise_contrast
from workbench.terms.memory import ClassMeans, ContrastMemory, Places

IDS = torch.tensor([12, 3, 40, 7, 25, 9])
LABELS = torch.tensor([1, 0, -1, 1, 0, -1])


def test_every_row_has_its_own_place():
    places = Places(IDS, LABELS)
    assert sorted(places.of(IDS).tolist()) == [0, 1, 2, 3, 4, 5]


def test_negatives_are_all_rows_of_other_classes_and_only_they():
    """By id: those of the same known label are out; a withheld label rules out only itself."""
    places = Places(IDS, LABELS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = places.others(places.of(IDS), 500)
    by_row = {int(row): int(i) for row, i in zip(places.of(IDS), IDS, strict=True)}
    label = dict(zip(IDS.tolist(), LABELS.tolist(), strict=True))
    for own, rows in zip(IDS.tolist(), drawn, strict=True):
        found = {by_row[int(row)] for row in rows}
        same = {i for i in label if label[i] == label[own] >= 0} | {own}
        assert found == set(label) - same
        counts = torch.bincount(rows, minlength=6)[rows.unique()]
        assert float(counts.min()) > 0.6 * float(counts.max())  # drawn evenly


def test_with_a_single_class_every_other_row_is_a_negative():
    places = Places(IDS, torch.zeros(6, dtype=torch.int64))
    rows = places.of(IDS)
    drawn = places.others(rows, 200)
    assert all(set(drawn[i].tolist()) == set(range(6)) - {int(rows[i])} for i in range(6))


def memory(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ContrastMemory(4, 5, width=3, ids=IDS, labels=LABELS, **options)


def test_a_step_of_contrast_moves_only_the_batchs_rows_to_norm_1_and_fixes_the_scale():
    module = memory()
    before, scales = module.banks.clone(), module.scales.clone()
    assert scales.isnan().all()
    assert float(before.abs().max()) <= 1.0  # within 1 / sqrt(width / 3)
    batch = IDS[:2]
    options = {"num_negatives": 4, "temperature": 0.07}
    module(torch.randn(2, 4), torch.randn(2, 5), batch, **options)
    rows = module.places.of(batch)
    moved = (module.banks != before).any(-1)
    assert [row for row in range(6) if moved[0, row]] == sorted(rows.tolist())
    torch.testing.assert_close(module.banks[:, rows].norm(dim=-1), torch.ones(2, 2))
    first = module.scales.clone()
    assert torch.isfinite(first).all()
    module(torch.randn(2, 4), torch.randn(2, 5), batch, **options)
    assert torch.equal(module.scales, first)


def test_contrast_falls_as_both_networks_come_to_agree():
    """Same inputs again and again: embeddings learn to find their own partner."""
    module = memory()
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, width, generator=generator) for width in (4, 5))
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    for step in range(80):
        torch.manual_seed(step)
        optimiser.zero_grad()
        loss = module(student, teacher, IDS, num_negatives=8, temperature=0.2).mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_one_row_cannot_be_told_from_others():
    with pytest.raises(BadInput, match="at least 2 training rows"):
        ContrastMemory(4, 5, width=3, ids=IDS[:1], labels=LABELS[:1])


def test_class_means_are_the_means_over_all_labelled_rows_met():
    generator = torch.Generator().manual_seed(0)
    module = ClassMeans(4, 4, 3)
    rows = torch.randn(30, 4, generator=generator)
    labels = torch.randint(-1, 2, (30,), generator=generator)
    for start in range(0, 30, 7):
        module.update(rows[start : start + 7], labels[start : start + 7])
    for number in (0, 1):
        expected = rows[labels == number].double().mean(0)
        torch.testing.assert_close(module.means[number].double(), expected, rtol=1e-5, atol=1e-6)
    assert module.counts[2] == 0
    assert torch.equal(module.means[2], torch.zeros(4))


def test_an_adapter_is_there_only_where_widths_differ():
    assert not list(ClassMeans(4, 4, 3).parameters())
    assert ClassMeans(4, 6, 3).adapter(torch.randn(1, 4)).shape == (1, 6)


def test_the_loss_is_the_published_one_of_the_drawn_rows():
    """Row by row, as the paper's code lists them: the golden vectors' functions on our draws."""
    module = memory()
    student, teacher = torch.randn(3, 4), torch.randn(3, 5)
    rows = module.places.of(IDS[:3])
    torch.manual_seed(8)
    index = torch.cat([rows[:, None], module.places.others(rows, 5)], dim=1)
    expected = torch.zeros(3)
    for which, layer in enumerate((student, teacher)):
        own = torch.nn.functional.normalize(module.embed[which](layer), dim=1)
        scores = memory_scores(own, module.banks[1 - which], index, temperature=0.1)
        expected = expected + noise_contrast(scores / (scores.detach().mean() * 6), 6)
    torch.manual_seed(8)
    found = module(student, teacher, IDS[:3], num_negatives=5, temperature=0.1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
