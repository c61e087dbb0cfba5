"""Courses of the learning rate against their formulas, and torch's own where it has one."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.registries import SCHEDULES


def schedule(name: str, **options):
    return SCHEDULES.get(name).model_validate({"use": name, **options})


def factors(name: str, steps: int, **options) -> list[float]:
    return [schedule(name, **options).factor(step, steps) for step in range(steps)]


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(SCHEDULES.names()), st.integers(1, 200))
def test_every_factor_lies_between_zero_and_one(name, steps):
    assert all(0 <= factor <= 1 for factor in factors(name, steps))


def test_constant_is_one():
    assert factors("constant", 5) == [1.0] * 5


def test_cosine_is_torchs_cosine_annealing():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=40)
    expected = []
    for _ in range(40):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step()
    assert factors("cosine", 40) == pytest.approx(expected, abs=1e-9)


def test_cosine_warms_up_on_a_line_and_ends_at_its_floor():
    found = factors("cosine", 100, warmup=0.1, final=0.2)
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert found[10] == 1.0
    share = 89 / 90
    assert found[99] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * share)) / 2)


def test_one_cycle_rises_from_its_first_factor_to_the_peak_and_falls():
    found = factors("one-cycle", 100, rise=0.3, first=0.04)
    assert found[0] == pytest.approx(0.04)
    assert found[30] == pytest.approx(1.0)
    assert found[15] == pytest.approx((1 + 0.04) / 2)
    assert found[65] == pytest.approx(0.5)
    assert found[99] < 0.001
    assert all(a < b for a, b in itertools.pairwise(found[:31]))
    assert all(a > b for a, b in itertools.pairwise(found[30:]))


def test_stairs_divide_at_each_share():
    found = factors("step", 100, at=[0.5, 0.75], divide=10)
    assert found == pytest.approx([1.0] * 50 + [0.1] * 25 + [0.01] * 25)


@pytest.mark.parametrize("name", SCHEDULES.names())
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_phases_cover_the_stage_without_gaps(name, steps):
    phases = schedule(name).phases(steps)
    assert phases[0][1] == 0
    assert phases[-1][2] == steps
    for before, after in itertools.pairwise(phases):
        assert before[2] == after[1]
