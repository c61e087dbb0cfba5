"""The one seam for devices, threads and determinism.

Bits are promised for the same fingerprint only: machine class, torch build, threads, device.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch

from workbench.errors import BadDevice
from workbench.randomness import key

PACKAGES = ("torch", "timm", "transformers", "numpy", "distillation-workbench")


def choose_device(name: str) -> torch.device:
    """The device behind ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        BadDevice: If this machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    there = ["cpu"]
    there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    there += ["mps"] if torch.backends.mps.is_available() else []
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise BadDevice(
            f"`device`: this machine has no {name!r}. Present: {', '.join(there)}. "
            "Use `auto` to take the best one."
        )
    return torch.device(name)


def configure(threads: int | None = None) -> None:
    """Set the worker's threads; make every operation deterministic, or raise where none is."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if threads is not None:
        torch.set_num_threads(threads)
    # Not use_deterministic_algorithms: it also sets a flag of the compiler, and imports all of it
    # for that, a second in every process. The compiler takes the flag from the environment too.
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False


def default_threads() -> int:
    """Threads of a worker: all processors but one, at least one, so that the page stays quick."""
    return max(1, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else 1)


def fingerprint(device: torch.device) -> dict[str, Any]:
    """What the bits of a training depend on beside the experiment."""
    return {
        # torch names its build (+cpu, +cu130) only in the module: builds differ in their bits
        "versions": {name: _version(name) for name in PACKAGES} | {"torch": torch.__version__},
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": bool(torch.backends.mkldnn.enabled) and torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    }


def reseed(*parts: int | str) -> None:
    """Seed torch's generators as a pure function of ``parts``.

    torch's CPU generator keeps the low 32 bits of a seed, so the high ones are folded in. Only the
    generators that are in use: ``torch.manual_seed`` also queues a seed, with a stack trace, for
    each kind of device that is not there, which costs 0.1 ms a call and is never freed.
    """
    seed = key(*parts)
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF
    torch.default_generator.manual_seed(folded)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(folded)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(folded)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
