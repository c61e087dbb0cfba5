"""The process that tries a draft: facts of data and models, checks before step 0, the estimate.

``python -m workbench.runs.draft.trial STORE`` preloads, then reads one order a line: whose it is,
its number, the experiment. It forks a child for it; a newer order of the same page ends the older
child, whose answer nobody waits for. Nothing is trained, written or kept.
"""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from workbench.errors import WorkbenchError
from workbench.registries import (
    DATA,
    MODELS,
    OPTIMISERS,
    PROBES,
    SCHEDULES,
    TARGETS,
    TASKS,
    TERMS,
)
from workbench.runs.estimate import of_all
from workbench.runs.worker import NICENESS, settle
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store

THUMBNAILS: Final = 12
LONGEST_SIDE: Final = 96
"""Pixels of a thumbnail."""
MOST_CHANNELS: Final = 4
"""Whose mean and standard deviation are told."""


def tried(store: Store, experiment: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """What is known of an experiment without starting it.

    Returns:
        ``data``, ``teacher``, ``student`` (facts, as far as they can be built), ``checks`` and
        ``estimate`` as :func:`workbench.training.before.looked_ahead` has them, and ``refused``
        where something cannot be built at all.
    """
    from workbench.runs.keeper import StoreKeeper
    from workbench.training.before import looked_ahead

    told: dict[str, Any] = {}
    try:
        seeds = ExperimentSpec.parse(experiment).each_seed()
        spec = seeds[0]
        keeper = StoreKeeper(store, "")
        _tell_facts(told, spec, keeper, base)
        told |= looked_ahead(spec, keeper, base=base, refuse=False)
        told["estimate"] = of_all(told["estimate"], len(seeds))
    except WorkbenchError as error:
        told["refused"] = error.message
    return told


def _tell_facts(told: dict[str, Any], spec: ExperimentSpec, keeper: Any, base: Path) -> None:
    from workbench.data.images import build_data
    from workbench.training.build import new_student
    from workbench.training.building import first_guess
    from workbench.training.device import choose_device, fingerprint
    from workbench.training.teacher import built_teacher

    device = choose_device(spec.device)
    kinds: Any = spec
    data = build_data(kinds.data, base=base, seed=spec.seed, device=device)
    told["data"] = _data_facts(data)
    spec, _ = first_guess(spec, data, keeper, device)
    teacher, key = built_teacher(kinds.teacher, data, keeper, device, fingerprint(device))
    kept = None if key is None else keeper.teacher(key)
    told["teacher"] = _model_facts(teacher)
    if kept is not None:
        from workbench.models.weights import load_weights

        load_weights(teacher.network, kept.path)
        told["teacher"] |= {"kept": kept.weights[:12], **_as_it_answers(teacher, data, device)}
    told["student"] = _model_facts(new_student(spec, data, keeper, device, teacher))


def _data_facts(data: Any) -> dict[str, Any]:
    examples, splits = data.examples, data.splits
    shape = list(examples.inputs.shape[1:])
    return {
        "name": data.name,
        "kind": data.kind,
        "shape": shape,
        "classes": list(examples.class_names),
        "splits": {name: len(getattr(splits, name)) for name in ("train", "val", "probe", "test")},
        "mean": [float(value) for value in data.mean[:MOST_CHANNELS]],
        "std": [float(value) for value in data.std[:MOST_CHANNELS]],
        "pictures": _thumbnails(data) if data.kind == "image" else [],
        "features": list(examples.feature_names[:THUMBNAILS]),
    }


def _thumbnails(data: Any) -> list[str]:
    """The first training images, as data addresses of small PNGs."""
    import numpy as np
    from PIL import Image

    found = []
    for row in data.splits.train[:THUMBNAILS]:
        pixels = np.asarray(data.examples.inputs[int(row)])
        if pixels.dtype != np.uint8:
            pixels = np.clip(255 * pixels, 0, 255).astype(np.uint8)
        colour = pixels.transpose(1, 2, 0)
        image = Image.fromarray(colour[..., 0] if colour.shape[2] == 1 else colour[..., :3])
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        file = io.BytesIO()
        image.save(file, "PNG")
        found.append(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")
    return found


def _model_facts(model: Any) -> dict[str, Any]:
    facts = model.facts
    shapes = model.shapes(facts.layers)
    return {
        "name": facts.name,
        "weights": facts.num_parameters,
        "macs": facts.macs,
        "classes": facts.num_classes,
        "input": list(facts.input_size),
        "stages": list(facts.stages),
        "layers": [{"name": name, "channels": int(shapes[name][0])} for name in facts.layers],
    }


def _as_it_answers(teacher: Any, data: Any, device: Any) -> dict[str, Any]:
    """A trained teacher's accuracy on the probe rows, and its logits for the first training row."""
    import torch

    teacher.eval()
    with torch.no_grad():
        probe = data.fetch_full(torch.as_tensor(data.splits.probe, device=device))
        right = teacher(probe.inputs).argmax(1) == probe.labels
        first = data.fetch_full(torch.as_tensor(data.splits.train[:1], device=device))
        logits = teacher(first.inputs)[0].tolist()
    return {"accuracy": float(right.float().mean()), "n": len(right), "logits": logits}


def serve(store_url: str) -> None:
    """Preload, then try what comes, each in a child; a newer one ends the older."""
    import timm  # noqa: F401
    import torch
    from PIL import Image

    import workbench.models.nets
    import workbench.probes.balance
    import workbench.probes.predictions
    import workbench.probes.similarity
    import workbench.runs.keeper
    import workbench.training.before
    import workbench.training.session  # noqa: F401
    from workbench.training.device import configure

    Image.init()
    for registry in (DATA, MODELS, OPTIMISERS, PROBES, SCHEDULES, TARGETS, TASKS, TERMS):
        registry.names()  # what a child would import anew at each edit

    configure(1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored children could not be waited for
    gate = tempfile.TemporaryFile()  # noqa: SIM115  (its children lock it as long as they live)
    print(json.dumps({"ready": torch.__version__}), flush=True)
    children: dict[str, int] = {}
    for line in sys.stdin:
        order = json.loads(line)
        reap(children)
        _end(children.pop(order["who"], 0))
        if "experiment" not in order:  # that page has gone
            continue
        child = os.fork()
        if child == 0:
            _answer(store_url, order, gate)
        children[order["who"]] = child
    for child in children.values():
        _end(child)


def reap(children: dict[str, int]) -> None:
    """Let the system forget children that have ended: a page that leaves says so only if it waits.

    Args:
        children: Process by page; those that have ended are taken out.
    """
    for who, child in list(children.items()):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            del children[who]


def _end(child: int) -> None:
    """Stop a child that still works, and let the system forget it."""
    if child and os.waitpid(child, os.WNOHANG) == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(store_url: str, order: Mapping[str, Any], gate: IO[bytes]) -> None:
    """In the child: try the draft, say what came of it, leave."""
    told: dict[str, Any] = {"refused": "The check ended without a word; see the server's log."}
    try:
        os.nice(NICENESS)
        base = Path(order["base"])
        settle(base)
        told = tried(Store(store_url), order["experiment"], base)
    finally:
        try:
            _say(told, {key: order[key] for key in ("who", "number")}, gate)
        finally:  # whatever happens, a child never comes to its parent's loop
            os._exit(0)


def _say(told: Mapping[str, Any], known: Mapping[str, Any], gate: IO[bytes]) -> None:
    """One whole line to the server, whatever the others say or said.

    They wait meanwhile; a child that is ended gives the lock back. The line break comes first,
    since a line before it may have been ended in its midst.
    """
    try:
        text = json.dumps({**told, **known}, allow_nan=False)
    except ValueError:
        text = json.dumps(
            {"refused": "A number of the networks or the data is not finite.", **known}
        )
    line = f"\n{text}\n".encode()
    fcntl.lockf(gate, fcntl.LOCK_EX)
    while line:
        line = line[os.write(1, line) :]


if __name__ == "__main__":
    serve(sys.argv[1])
