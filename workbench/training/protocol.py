"""Under which conditions a run's numbers were made, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.data.images import ImageData
from workbench.specs.experiment import ExperimentSpec

if TYPE_CHECKING:
    from workbench.training.teacher import Teacher


def protocol(
    spec: ExperimentSpec,
    data: ImageData,
    teacher: Teacher,
    machine: Mapping[str, Any],
    *,
    metrics: Mapping[str, Any],
    seconds: float,
    probe_steps: Sequence[int],
    probe_share: float,
    interventions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The protocol of a finished run.

    Returns:
        ``seed``, ``splits`` (rows and hash of each part), ``teacher`` (hash, source, test
        numbers), ``machine`` (versions, threads, device), how the numbers were read, and what
        people did to the run.
    """
    return {
        "seed": spec.seed,
        "splits": {
            name: {"rows": len(data.split_ids(name)), "hash": digest}
            for name, digest in data.split_hashes.items()
        },
        "data": {
            "name": data.name,
            "hash": data.content_hash,
            "visible_labels": len(data.visible_ids),
        },
        "teacher": {
            "hash": teacher.weights,
            "source": teacher.source,
            "parameters": teacher.model.facts.num_parameters,
            **metrics["teacher"],
        },
        "numbers": "test split, read once, weights of the last step",
        "batch_size": spec.stage.batch_size,
        "versions": machine["versions"],
        "threads": machine["threads"],
        "machine": {
            key: value for key, value in machine.items() if key not in ("versions", "threads")
        },
        "seconds": seconds,
        "probes": {
            "split": "probe",
            "steps": list(probe_steps),
            "share_of_time": probe_share,
        },
        "control": "none" if not spec.control else "same initial weights and data order",
        "interventions": list(interventions),
    }
