"""Latency is measured here, on one thread, and says how far it can be trusted."""

from __future__ import annotations

import pytest
import torch

from workbench.builders.latency import latency
from workbench.models.weights import weights_hash
from workbench.registries import MODELS


def test_latency_is_positive_and_says_what_it_is_of(build_context):
    adapter = build_context.teacher
    found = latency(adapter, (1, 8, 8), batch_size=16, repeats=3)
    assert 0 < found["latency_ms"] < 10_000
    assert 0 <= found["latency_spread_ms"] < found["latency_ms"] * 100
    expected = {"device": "cpu", "threads": 1, "batch_size": 16, "forwards": 6}
    assert found["latency_of"] == expected


def test_a_network_with_a_hundred_times_the_work_takes_longer(build_context):
    def made(width):
        spec = MODELS.get("cnn-small").model_validate({"use": "cnn-small", "width": width})
        return latency(spec.build(build_context.model), (1, 8, 8), repeats=5)["latency_ms"]

    assert made(64) > made(4)


def test_threads_mode_and_weights_come_back(build_context):
    adapter = build_context.teacher.train()
    before = weights_hash(adapter)
    kept = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        latency(adapter, (1, 8, 8), batch_size=4, repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(kept)
    assert adapter.training
    assert weights_hash(adapter) == before


def test_threads_come_back_after_an_error(build_context):
    kept = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(Exception, match="the network takes"):
            latency(build_context.teacher, (3, 8, 8), repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(kept)
