"""VID and KD³ as terms, against their functions."""

from __future__ import annotations

import torch

from workbench.functional.features import disagreement_weight, hint, vid
from workbench.terms.regressors import PROJECTORS


def test_vid_is_its_function_of_the_guess_on_the_coarser_grid(wire, example):
    wired = wire("vid", student_tap="stage1", teacher_tap="stage2", variance=2.0)
    found = wired(example.student, example.teacher, example.batch).value
    module = wired.term.module
    coarse = torch.nn.functional.adaptive_avg_pool2d(example.student["stage1"], 2)
    expected = vid(module(coarse), example.teacher["stage2"].detach(), module.log_scale)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    variance = torch.nn.functional.softplus(module.log_scale.detach()) + 1e-5
    torch.testing.assert_close(variance, torch.full((7,), 2.0))


def test_vids_variances_are_trained_with_the_student(wire, example):
    wired = wire("vid", student_tap="stage1", teacher_tap="stage2")
    assert "log_scale" in dict(wired.term.module.named_parameters())
    wired(example.student, example.teacher, example.batch).reduced().backward()
    assert torch.count_nonzero(wired.term.module.log_scale.grad) == 7


def test_kd3_weighs_a_sample_by_how_far_the_networks_disagree(wire, example):
    options = {"student_tap": "stage1", "teacher_tap": "stage2"}
    wired = wire("kd3", **options)
    found = wired(example.student, example.teacher, example.batch).value
    coarse = torch.nn.functional.adaptive_avg_pool2d(example.student["stage1"], 2)
    projector = PROJECTORS["bottleneck"](3, 7)
    projector.load_state_dict(wire("kd3", **options).term.module.state_dict())
    plain = hint(projector(coarse), example.teacher["stage2"])
    weight = disagreement_weight(example.student["logits"], example.teacher["logits"])
    torch.testing.assert_close(found, weight * plain, rtol=1e-5, atol=1e-6)
    assert float(weight.std()) > 0.01
