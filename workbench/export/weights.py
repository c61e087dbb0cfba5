"""The student's tensors as plain safetensors, and the three lines that load them elsewhere.

The lines stand in the file's header under ``load``, and the command prints them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadFile, RefusedCommand
from workbench.export.literal import call, inline
from workbench.models.facts import Architecture
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.journal import part_in_a_sentence

if TYPE_CHECKING:
    from torch import Tensor

FILE = "student.safetensors"
LOAD = "load"
"""Key of the lines in the header of the file."""


@dataclass(frozen=True)
class Student:
    """A trained student.

    Attributes:
        tensors: By name, as in the network's ``state_dict``.
        spec: Plain data of its model, as the experiment names it.
        architecture: What rebuilds the network; None for a user's own module, and for a run that
            was not trained to its end.
        step: Optimiser steps it was trained for.
        facts: Accuracy on test and names of the classes; None if the run did not come so far.
    """

    tensors: Mapping[str, Tensor]
    spec: Mapping[str, Any]
    architecture: Architecture | None
    step: int
    facts: Mapping[str, Any] | None = None


def student_of(store: Store, row: RunRow) -> Student:
    """The student's last weights: final ones, else those of the newest checkpoint.

    Raises:
        RefusedCommand: If the run has none that stay.
        BadFile: If a file is damaged, or is not what the run recorded.
    """
    from workbench.models.weights import read_description, read_tensors, weights_hash
    from workbench.training.checkpoint import read_state

    if row.role != "student":
        raise RefusedCommand(
            f"Run {row.id} is {part_in_a_sentence(row.role)}; export the whole run, {row.group}."
        )
    model = row.experiment["student"]
    spec = {"use": model} if isinstance(model, str) else model
    folder = store.runs.folder(row.id)
    final = folder / FILE
    if final.is_file():
        tensors = read_tensors(final)
        known = (row.result or {}).get("weights")
        if known is not None and weights_hash(tensors) != known:
            raise BadFile(
                f"{final}: these are not the weights that run {row.id} recorded. "
                f"`workbench replay {row.id}` trains them again."
            )
        described = read_description(final) or {}
        built = described.get("architecture")
        architecture = None if built is None else Architecture.parse(built, source=str(final))
        steps = (row.result or {}).get("steps", row.step)
        return Student(tensors, spec, architecture, steps, described.get("facts"))
    if row.active:
        raise RefusedCommand(
            f"Run {row.id} is {row.status} at step {row.step} of {row.steps}; its weights are "
            "final when the student has trained. Export them then, or stop it first."
        )
    kept = [item for item in store.checkpoints(row.id) if (folder / item.file).is_file()]
    if not kept:
        raise RefusedCommand(f"Run {row.id} is {row.status} and left no weights.")
    state = read_state(folder / kept[0].file)
    return Student(state["network"], spec, None, int(kept[0].step))


def file_bytes(student: Student, name: str) -> bytes:
    """Content of the safetensors file, with what rebuilds the network in its header.

    Args:
        student: What to write.
        name: File name, as the lines in the header give it.
    """
    from safetensors.torch import save

    from workbench.models.weights import HEADER

    architecture = student.architecture
    description = {
        "spec": dict(student.spec),
        "architecture": architecture.plain() if architecture is not None else None,
        **({} if student.facts is None else {"facts": dict(student.facts)}),
    }
    text = json.dumps(description, allow_nan=False, sort_keys=True)
    lines = "\n".join(load_lines(student, name))
    tensors = {key: tensor.contiguous() for key, tensor in student.tensors.items()}
    written: bytes = save(tensors, metadata={"format": "pt", HEADER: text, LOAD: lines})
    return written


def load_lines(student: Student, path: str | Path) -> list[str]:
    """Three lines of Python that rebuild the student; ``path`` travels as data.

    Where the network is a user's own module, the second line says so.
    """
    imports, network = "import safetensors.torch", "student = ...  # the network that was trained"
    built = student.architecture
    if built is not None and built.family == "timm":
        imports += ", timm"
        arguments = {name: _tuple(value) for name, value in built.arguments.items()}
        network = f"student = {call('timm.create_model', built.name, named=arguments)}"
    elif built is not None and built.family == "own":
        imports += ", workbench.models.nets"
        given = built.name, tuple(built.input_size), built.num_classes
        arguments = {name: _tuple(value) for name, value in built.arguments.items()}
        made = call("workbench.models.nets.make", *given, named=arguments)
        network = f"student = {made}"
    elif built is not None:
        imports += ", transformers as tf"
        config = call("tf.AutoConfig.for_model", built.name, named=built.arguments)
        network = f"student = tf.AutoModelForImageClassification.from_config({config})"
    load = f"student.load_state_dict(safetensors.torch.load_file({inline(str(path))}))"
    return [imports, network, load]


def expects(student: Student) -> str | None:
    """What it must be given, in words; None where that is not known."""
    built = student.architecture
    if built is None:
        return None
    if len(built.input_size) == 1:
        return (
            f"It takes table rows of {built.input_size[0]} features in their own units, each "
            "standardised: (feature - mean) / std; mean and std stand in the header of the file."
        )
    size = " x ".join(str(length) for length in built.input_size)
    return (
        f"It takes images of {size} (channels, rows, columns) in [0, 1], standardised: "
        f"(image - mean) / std, mean {list(built.mean)}, std {list(built.std)}."
    )


def _tuple(value: Any) -> Any:
    """Sizes come from JSON as lists; the libraries' signatures say tuples."""
    return tuple(value) if isinstance(value, (list, tuple)) else value
