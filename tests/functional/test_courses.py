"""Weights over the epochs at points that the papers state."""

from __future__ import annotations

import itertools
import math

import pytest

from workbench.functional.courses import past_share, trust_in_teacher, warmup_weight


def test_warm_up_starts_at_one_step_and_stays_at_1():
    assert warmup_weight(1, warmup=20) == 0.05
    assert warmup_weight(20, warmup=20) == 1.0
    assert warmup_weight(240, warmup=20) == 1.0


def test_the_past_reaches_its_share_in_the_last_epoch():
    shares = [past_share(epoch, epochs=4) for epoch in range(4)]
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert past_share(-5, epochs=4) == 0.0


def test_trust_in_the_teacher_falls_and_ends():
    values = [trust_in_teacher(epoch) for epoch in range(1, 121)]
    assert values[0] == pytest.approx(1 - math.exp(-5 * (2 / 160 - 1) ** 2))
    assert all(a > b for a, b in itertools.pairwise(values))
    assert values[-1] == 0.0
