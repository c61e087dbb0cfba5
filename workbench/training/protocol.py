"""Under which conditions a run's numbers were made, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.data.images import ImageData
from workbench.models.adapter import ModelAdapter
from workbench.specs.experiment import ExperimentSpec
from workbench.training.grid import LOOKS
from workbench.training.probing import SHARE

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
    numbers: Mapping[str, Any],
    seconds: float,
    probe_share: float,
    stages: Sequence[Mapping[str, Any]] = (),
    interventions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The protocol of a finished run.

    Returns:
        ``seed``, ``seeds`` (of everything that is drawn), ``splits`` (rows and hash of each part),
        ``teacher`` (hash, source, test numbers), ``machine`` (versions, threads, device), how the
        numbers were read and what they were before the last step
        (:func:`workbench.training.looks.numbers_of`), ``stages`` (those before the last, where
        there are any), what probes took, and what people did to the run.
        :mod:`workbench.training.card` has the words.
    """
    facts = pair_facts(teacher, student, probed)
    facts["teacher"] |= metrics["teacher"]
    training = getattr(spec.teacher, "train", None)
    return {
        "seed": spec.seed,
        "seeds": {
            "student": spec.seed,
            "splits": spec.data.full().get("split_seed"),
            "teacher": training.seed if training is not None else None,
        },
        "splits": {
            name: {"rows": len(data.split_ids(name)), "hash": digest}
            for name, digest in data.split_hashes.items()
        },
        "data": {
            "name": data.name,
            "hash": data.content_hash,
            "visible_labels": len(data.visible_ids),
            "wrong_labels": _wrong(data),
        },
        **facts,
        **({"stages": [dict(stage) for stage in stages]} if stages else {}),
        "numbers": {
            "test": "read once, weights of the last step",
            **numbers["student"],
            **{part: found for part, found in numbers.items() if part != "student"},
        },
        "batch_size": spec.stage.batch_size,
        "versions": machine["versions"],
        "threads": machine["threads"],
        "machine": {
            key: value for key, value in machine.items() if key not in ("versions", "threads")
        },
        "seconds": seconds,
        "probes": {
            "split": "probe",
            "steps": numbers["student"]["steps"],
            "share_of_time": probe_share,
            "cadence": f"{LOOKS} on a grid, between them while below {SHARE:.0%} of time",
        },
        "control": "none" if not spec.control else "same initial weights and data order",
        "plain_kd": "same initial weights and data order" if spec.plain_kd else "none",
        "interventions": list(interventions),
    }


def _wrong(data: ImageData) -> int:
    """Labels that the student sees and that name another class than the true one."""
    ids = data.visible_ids
    return int((data.shown_labels[ids] != data.examples.labels[ids]).sum())


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
        "student": {
            "parameters": student.facts.num_parameters,
            "stages": list(student.facts.stages),
        },
    }
