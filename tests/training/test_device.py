"""The one seam for devices, threads and determinism."""

from __future__ import annotations

import json

import pytest
import torch

from workbench.errors import BadDevice
from workbench.training import device as device_module
from workbench.training.device import choose_device, default_threads, fingerprint, reseed


def test_the_processor_is_always_there():
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_the_best_there_is():
    found = choose_device("auto").type
    if torch.cuda.is_available():
        assert found == "cuda"
    elif torch.backends.mps.is_available():
        assert found == "mps"
    else:
        assert found == "cpu"


def test_a_device_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        BadDevice, match=r"WB108.*this machine has no 'cuda:99'\. Present: cpu.*auto"
    ):
        choose_device("cuda:99")


def test_the_fingerprint_is_plain_data_with_the_versions():
    found = json.loads(json.dumps(fingerprint(torch.device("cpu")), allow_nan=False))
    assert found["versions"]["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu"
    assert found["cpu_capability"]


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_one_processor_is_left_for_the_page(monkeypatch, processors, threads):
    monkeypatch.setattr(device_module.os, "sched_getaffinity", lambda _: set(range(processors)))
    assert default_threads() == threads


def test_a_seed_is_a_function_of_its_parts_alone():
    with torch.random.fork_rng(devices=[]):

        def drawn(*parts: int | str) -> list[float]:
            reseed(*parts)
            return torch.rand(4).tolist()

        first = drawn(0, "student", 5)
        torch.rand(100)
        assert drawn(0, "student", 5) == first
        others = [drawn(0, "student", 6), drawn(0, "target", 5), drawn(1, "student", 5)]
        assert all(other != first for other in others)
        assert drawn(2**40, "a", 0) != drawn(2**41, "a", 0)
