"""Under which conditions a run's numbers were made, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.data.images import ImageData
from workbench.models.adapter import ModelAdapter
from workbench.specs.experiment import ExperimentSpec

if TYPE_CHECKING:
    from workbench.training.teacher import Teacher


def protocol(
    spec: ExperimentSpec,
    data: ImageData,
    teacher: Teacher,
    student: ModelAdapter,
    machine: Mapping[str, Any],
    *,
    probed: Mapping[str, float],
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
    facts = pair_facts(teacher, student, probed)
    facts["teacher"] |= metrics["teacher"]
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
        **facts,
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


def pair_facts(
    teacher: Teacher, student: ModelAdapter, probed: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """What is known of both models before the first step.

    Args:
        teacher: Its hash and source are told.
        student: Its size is told.
        probed: The teacher's numbers on the probe split; test is not read before the end.
    """
    return {
        "teacher": {
            "hash": teacher.weights,
            "source": teacher.source,
            "parameters": teacher.model.facts.num_parameters,
            "probe": dict(probed),
        },
        "student": {"parameters": student.facts.num_parameters},
    }
