"""The ratio of each sample: what the network says, split by whether the teacher is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.data.images import build_data
from workbench.errors import BadInput
from workbench.models.weights import weights_hash
from workbench.registries import PROBES
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.teacher import FrozenTeacher
from workbench.training.build import build_model, student_part
from workbench.training.part import Part
from workbench.training.per_sample import PerSample, refuse_missing_logs

from ..small import SMALL

CPU = torch.device("cpu")
TERMS = "stages.main.terms"
FUSE: dict[str, Any] = {
    "use": "mix",
    "a": {"use": "kd"},
    "b": {"use": "ce"},
    "net": {"use": "geometry", "hidden": [8]},
}
STUDENT = {"use": "timm/test_resnet", "drop_rate": 0.3}


class NoKeeper:
    open_run = None


def part_of(changes: dict[str, Any] | None = None) -> Part:
    spec = ExperimentSpec.parse(SMALL).replace({"student": STUDENT, **(changes or {})})
    data = build_data(spec.data, base=Path.cwd(), seed=0)

    def make(kind: Any, role: str) -> Any:
        return build_model(kind, data, seed=0, role=role, keeper=NoKeeper(), device=CPU)

    teacher = make(spec.teacher, "teacher")
    part = student_part(spec, data, make(spec.student, "student"), teacher, CPU)
    part.target = FrozenTeacher(teacher, part.objective.target_taps)
    return part


@pytest.fixture(scope="module")
def fused() -> Part:
    return part_of({TERMS: {"fuse": FUSE, "ce": {"use": "ce", "weight": 0.1}}})


def test_the_ratio_is_what_the_network_says_of_each_probe_row_and_its_true_label(fused):
    found = PerSample(fused).measure(0)
    assert list(found) == ["fuse.ratio"]
    batch = fused.data.fetch_full(fused.data.split_ids("probe"))
    network = fused.objective.played()["terms.fuse.net"]
    fused.model.eval()
    with torch.no_grad():
        student, teacher = fused.model(batch.inputs), fused.target.teacher(batch.inputs)
        expected = network.ratio(student, teacher, batch)
    fused.train_mode()
    np.testing.assert_allclose(found["fuse.ratio"], expected.numpy(), atol=1e-6)
    assert expected.std() > 0


def test_a_look_leaves_weights_buffers_modes_gradients_and_random_states(fused):
    fused.train_mode()
    before, drawn = weights_hash(fused.model), torch.default_generator.get_state()
    first, second = PerSample(fused).measure(3), PerSample(fused).measure(3)
    np.testing.assert_array_equal(first["fuse.ratio"], second["fuse.ratio"])
    assert weights_hash(fused.model) == before
    assert torch.equal(torch.default_generator.get_state(), drawn)
    assert fused.model.training and all(one.grad is None for one in fused.model.parameters())


def test_a_constant_ratio_is_logged_too_and_terms_without_a_log_give_nothing():
    constant = part_of({TERMS: {"fuse": {**FUSE, "net": None, "ratio": 0.25}}})
    found = PerSample(constant).measure(0)
    assert found["fuse.ratio"].tolist() == [0.25] * len(constant.data.split_ids("probe"))
    assert PerSample(part_of()).measure(0) == {}


def test_means_are_those_of_the_rows_where_the_teacher_is_right_and_of_the_others(
    pair, seen, measure
):
    right = (pair.teacher.logits.argmax(-1) == pair.rows.labels).numpy()
    assert 0 < right.sum() < len(right)
    ratio = np.where(right, 0.75, 0.25).astype(np.float32)
    ratio[np.flatnonzero(right)[0]] = 0.5
    found = measure("ratio", replace(seen, logs={"fuse.ratio": ratio, "other.loss": ratio}))
    assert list(found.arrays) == ["fuse"]
    np.testing.assert_array_equal(found.arrays["fuse"], ratio)
    count = int(right.sum())
    told = found.facts["terms"]["fuse"]
    assert told["right"] == [pytest.approx(0.75 - 0.25 / count), count]
    assert told["wrong"] == [0.25, len(right) - count]
    assert told["mean"] == pytest.approx(float(ratio.mean()))
    assert found.facts["n"] == len(right) and "why" not in found.facts


def test_a_teacher_that_is_never_wrong_leaves_the_other_mean_out(pair, seen):
    answers = torch.nn.functional.one_hot(pair.rows.labels, 10).float()
    sure = replace(pair, teacher=replace(pair.teacher, logits=answers))
    probe = PROBES.get("ratio")(use="ratio").build(sure)
    ratio = np.full(len(answers), 0.5, np.float32)
    told = probe.measure(replace(seen, logs={"fuse.ratio": ratio})).facts["terms"]["fuse"]
    assert told["wrong"] == [None, 0] and told["right"] == [0.5, len(answers)]


def test_where_no_term_has_a_ratio_now_it_says_so(seen, measure):
    found = measure("ratio", replace(seen, logs={}))
    assert found.arrays == {} and "mix does" in found.facts["why"]


def test_a_model_that_does_not_train_has_no_ratio(seen, measure):
    with pytest.raises(BadInput, match="ratio: a model that does not train"):
        measure("ratio", replace(seen, logs=None))


def test_a_stage_without_any_ratio_is_refused_before_it_trains():
    kinds = [PROBES.get("ratio")(use="ratio")]
    with pytest.raises(
        BadInput, match=r"probes: ratio shows the ratio .* no term of stages\.main logs one.*mix"
    ):
        refuse_missing_logs(kinds, part_of().objective, "main")
