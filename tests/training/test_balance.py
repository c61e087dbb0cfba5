"""The pull of each term: another truth for values, norms and cosines, and a run left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.data.images import build_data
from workbench.models.weights import weights_hash
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.teacher import FrozenTeacher
from workbench.training import probing
from workbench.training.balance import Balance
from workbench.training.build import build_model, student_part
from workbench.training.part import Part
from workbench.training.rehearsal import rehearsed_batch, rehearsed_rows

CPU = torch.device("cpu")
AT = "stages.main.terms"
SPEC: dict[str, Any] = {
    "name": "pulled",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 5}},
    "student": {"use": "cnn-tiny", "width": 4},
    "stages": {
        "main": {
            "terms": {
                "kd": {"use": "kd", "weight": 0.9, "temperature": 4.0},
                "ce": {"use": "ce", "weight": 0.1},
            },
            "batch_size": 32,
            "steps": 10,
        }
    },
}


class NoKeeper:
    open_run = None


def part_of(changes: dict[str, Any] | None = None) -> Part:
    spec = ExperimentSpec.parse(SPEC).replace(changes or {})
    data = build_data(spec.data, base=Path.cwd(), seed=0)

    def make(kind: Any, role: str) -> Any:
        return build_model(kind, data, seed=0, role=role, keeper=NoKeeper(), device=CPU)

    teacher = make(spec.teacher, "teacher")
    part = student_part(spec, data, make(spec.student, "student"), teacher, CPU)
    part.target = FrozenTeacher(teacher, part.objective.target_taps)
    return part


def by_hand(part: Part, term: str) -> tuple[float, torch.Tensor]:
    """Value of one term and its gradient over all weights, by torch's own backward in float64."""
    part.train_mode()
    batch = rehearsed_batch(part, rehearsed_rows(part))
    target = part.targets(batch, 0)
    part.model.zero_grad()
    taps = part.model.taps(batch.inputs, part.objective.student_taps)
    found = part.objective(taps, target, batch, 0)
    weight = part.objective.knobs.at(f"{AT}.{term}.weight", 0)
    value = found.values[term].reduced()
    (weight * value).backward()
    grads = [p.grad.double().flatten() for p in part.model.parameters() if p.grad is not None]
    part.model.zero_grad()
    return float(value.detach()), torch.cat(grads)


def test_values_norms_shares_and_cosines_are_those_of_a_plain_backward():
    pulls = Balance(part_of()).measure(0)
    (kd, kd_slope), (ce, ce_slope) = (by_hand(part_of(), term) for term in ("kd", "ce"))
    assert pulls.terms == ("kd", "ce")
    np.testing.assert_allclose(pulls.value, [kd, ce], rtol=1e-6)
    np.testing.assert_allclose(pulls.weighted, [0.9 * kd, 0.1 * ce], rtol=1e-6)
    norms = np.array([float(kd_slope.norm()), float(ce_slope.norm())])
    np.testing.assert_allclose(pulls.norm, norms, rtol=1e-5)
    np.testing.assert_allclose(pulls.share, norms / norms.sum(), rtol=1e-5)
    cosine = float(torch.nn.functional.cosine_similarity(kd_slope, ce_slope, dim=0))
    np.testing.assert_allclose(pulls.cosine, [[1, cosine], [cosine, 1]], rtol=1e-5)
    assert pulls.share.sum() == pytest.approx(1.0)


def test_two_terms_that_are_the_same_share_by_their_weights():
    """And point in one direction."""
    same = {"a": {"use": "ce", "weight": 0.3}, "b": {"use": "ce", "weight": 0.1}}
    pulls = Balance(part_of({AT: same})).measure(0)
    np.testing.assert_allclose(pulls.share, [0.75, 0.25], rtol=1e-5)
    np.testing.assert_allclose(pulls.cosine, np.ones((2, 2)), rtol=1e-5)


def test_a_term_whose_weight_is_0_now_has_no_share_and_no_direction():
    ramp = {"use": "linear", "start": 0.0, "end": 1.0}
    balance = Balance(part_of({f"{AT}.ce.weight": ramp}))
    first, last = balance.measure(0), balance.measure(10)
    assert first.norm[1] == 0.0 and first.share.tolist() == [1.0, 0.0]
    assert np.isnan(first.cosine[0, 1]) and last.share[1] > 0


def test_weights_of_frozen_modules_are_left_out():
    changes = {"stages.main.freeze": ["stage1"]}
    _, slope = by_hand(part_of(changes), "kd")
    assert len(slope) < len(by_hand(part_of(), "kd")[1])
    pulls = Balance(part_of(changes)).measure(0)
    np.testing.assert_allclose(pulls.norm[0], float(slope.norm()), rtol=1e-5)


def test_rows_are_fixed_of_the_training_split_and_half_of_them_show_their_label():
    part = part_of()
    rows = rehearsed_rows(part)
    assert set(rows.tolist()) <= set(part.data.split_ids("train").tolist())
    assert len(set(rows.tolist())) == len(rows) == 32
    assert rehearsed_batch(part, rows).labelled.sum() == 16
    np.testing.assert_array_equal(rows, rehearsed_rows(part_of()))


def test_only_rows_that_are_shown_are_looked_at():
    part = part_of()
    part.show(np.sort(part.data.visible_ids)[:20])
    assert set(rehearsed_rows(part).tolist()) <= set(part.data.visible_ids[:20].tolist())


@pytest.mark.parametrize("name", ["kd", "crd", "nd", "reviewkd"])
def test_a_look_leaves_weights_buffers_memories_gradients_and_random_states(name):
    terms = {"it": {"use": name, "weight": 0.5}, "ce": {"use": "ce"}}
    student = {"use": "timm/test_resnet", "drop_rate": 0.3}
    part = part_of({AT: terms, "student": student})
    modules = [part.model, *part.objective.modules().values()]
    before, drawn = [weights_hash(m) for m in modules], torch.default_generator.get_state()
    first, second = Balance(part).measure(3), Balance(part).measure(3)
    assert [weights_hash(m) for m in modules] == before
    assert torch.equal(torch.default_generator.get_state(), drawn)
    assert all(p.grad is None for m in modules for p in m.parameters())
    for name in ("value", "weighted", "norm", "share", "cosine"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_run_with_the_balance_has_the_bits_of_one_without_and_keeps_its_arrays(
    train, plain, monkeypatch
):
    monkeypatch.setattr(probing, "GRID", 10_000)
    looked = train({"probes": ["balance"]})
    assert looked.weights == plain.weights
    np.testing.assert_array_equal(looked.series().values, plain.series().values)
    snapshots = looked.store.snapshots(looked.run)
    assert len(snapshots) == 15
    for snapshot in snapshots:
        facts = snapshot.facts["balance"]
        assert facts["terms"] == ["kd", "ce"] and facts["split"] == "train" and facts["n"] == 32
        assert snapshot.arrays["balance.share"].sum() == pytest.approx(1.0)
        assert snapshot.arrays["balance.cosine"].shape == (2, 2)
