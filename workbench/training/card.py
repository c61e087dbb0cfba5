"""The protocol of a run in words: lines for a reader, one line for a figure, from one place.

Whatever prints, shows or exports a number takes its conditions from here. A run that still trains
has a protocol with less in it; a line then says what is known, and what is not is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from workbench.training.journal import part_words

SHORT = 12
"""Digits of a hash that are shown."""
CHANGES = 3
"""Interventions that are told one by one."""
WIDE = 84
"""Characters of a line: it is read in a shell, and stands in an exported script."""
AS_WORDS: Any = {
    "subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False
}  # fmt: skip


def text(protocol: Mapping[str, Any]) -> list[str]:
    """The conditions of a run's numbers, a line each.

    Args:
        protocol: As ``workbench run --json`` prints it; may be incomplete.

    Example:
        >>> text({"seed": 3, "splits": {"test": {"rows": 395, "hash": "ab"}}, "batch_size": 64})
        ['test split, n = 395, read once, weights of the last step; seed 3', 'batch size 64']
    """
    return [part for line in _lines(protocol) for part in wrap(line, WIDE, **AS_WORDS)]


def caption(protocol: Mapping[str, Any], *, split: str = "test", step: int | None = None) -> str:
    """One line under a figure: rows, step, seed, teacher, build.

    Args:
        protocol: As above.
        split: That the figure's numbers are of.
        step: That they are of; None is the last.

    Example:
        >>> caption(
        ...     {
        ...         "seed": 0,
        ...         "splits": {"test": {"rows": 395}},
        ...         "teacher": {"hash": "1f3a" + 60 * "0", "accuracy": 0.9949},
        ...     }
        ... )
        'test, n = 395, last step; seed 0; teacher 1f3a00000000, 99.5 % on test'
    """
    rows = (protocol.get("splits") or {}).get(split) or {}
    first = [split, f"n = {rows['rows']}" if rows else "", "last step" if step is None else ""]
    first += [f"step {step}"] if step is not None else []
    return "; ".join(filter(None, (", ".join(filter(None, first)), origin(protocol))))


def origin(protocol: Mapping[str, Any]) -> str:
    """What a caption says of all numbers of a run, whatever their rows: seed, teacher, build."""
    parts = (_seed(protocol), _teacher_brief(protocol), ", ".join(_build(protocol)))
    return "; ".join(filter(None, parts))


def pair_caption(protocol: Mapping[str, Any]) -> str:
    """One line under a figure of two models that nobody trained for it: rows, both, data, build.

    Args:
        protocol: ``split``, ``splits``, ``teacher`` and ``student`` (``hash``), ``data``.

    Example:
        >>> pair_caption(
        ...     {
        ...         "split": "probe",
        ...         "splits": {"probe": {"rows": 252}},
        ...         "teacher": {"hash": "1f3a" + 60 * "0"},
        ...         "student": {"hash": "9bc2" + 60 * "0"},
        ...         "data": {"name": "digits", "hash": "77aa" + 60 * "0"},
        ...     }
        ... )
        'probe, n = 252; teacher 1f3a00000000; student 9bc200000000; digits 77aa00000000'
    """
    split, data = protocol["split"], protocol["data"]
    models = [f"{who} {protocol[who]['hash'][:SHORT]}" for who in ("teacher", "student")]
    parts = [f"{split}, n = {protocol['splits'][split]['rows']}", *models]
    parts += [f"{data['name']} {data['hash'][:SHORT]}", ", ".join(_build(protocol))]
    return "; ".join(filter(None, parts))


def _lines(protocol: Mapping[str, Any]) -> Iterator[str]:
    splits = protocol.get("splits") or {}
    if "test" in splits:
        seed = _seeds(protocol)
        yield (
            f"test split, n = {splits['test']['rows']}, read once, weights of the last step"
            f"{f'; {seed}' if seed else ''}"
        )
    numbers = protocol.get("numbers")
    if isinstance(numbers, Mapping):
        yield from _numbers(numbers, "")
        for part in ("control", "plain_kd"):
            yield from _numbers(numbers.get(part) or {}, f", {part_words(part)}")
    yield from _teacher(protocol.get("teacher") or {})
    if protocol.get("stages"):
        yield f"stages before: {'; '.join(map(_stage, protocol['stages']))}"
    yield from _data(protocol.get("data") or {}, splits)
    made = [f"batch size {protocol['batch_size']}"] if "batch_size" in protocol else []
    made += _build(protocol)
    machine = protocol.get("machine") or {}
    if machine:
        kind = (machine.get(key) for key in ("machine", "device_name", "cpu_capability"))
        made.append(" ".join(str(word) for word in kind if word))
    if protocol.get("seconds") is not None:
        made.append(f"{protocol['seconds']:.1f} s")
    if made:
        yield ", ".join(made)
    probes = protocol.get("probes")
    if probes:
        yield (
            f"probes: {len(probes['steps'])} looks, {_percent(probes['share_of_time'])} of time"
            f"{' (' + probes['cadence'] + ')' if probes.get('cadence') else ''}"
        )
    if protocol.get("estimate_error"):
        yield f"taken / estimated before: {_taken(protocol['estimate_error'])}"
    if "interventions" in protocol:
        yield f"interventions: {_interventions(protocol['interventions'])}"


def _taken(error: Mapping[str, float]) -> str:
    """Time is missing where somebody paused, slowed, changed or resumed the run."""
    words = {"seconds": "time", "memory_bytes": "peak memory", "disk_bytes": "disk"}
    return ", ".join(
        f"{word} {error[name]:.2f}" for name, word in words.items() if error.get(name) is not None
    )


def _numbers(numbers: Mapping[str, Any], part: str) -> Iterator[str]:
    accuracy, nll = numbers.get("accuracy"), numbers.get("nll")
    if not accuracy:
        return
    best = accuracy["best"]
    words = [
        f"last {_percent(accuracy['last']['value'])}",
        f"best {_percent(best['value'])} at step {best['step']} (optimistic)",
        f"mean of the last {numbers['k']} grid looks {_percent(accuracy['mean_of_last_k'])}",
    ]
    line = f"probe split{part}, n = {numbers['n']}: accuracy {', '.join(words)}"
    if nll and nll["last"]["value"] is not None:
        line += f"; NLL last {nll['last']['value']:.4f} nats"
    yield line


def _teacher(teacher: Mapping[str, Any]) -> Iterator[str]:
    if not teacher.get("hash"):
        return
    line = f"teacher {teacher['hash'][:SHORT]}"
    if teacher.get("source"):
        line += f", {teacher['source']}"
    if "accuracy" in teacher:
        line += f": test accuracy {_percent(teacher['accuracy'])}, ECE {_percent(teacher['ece'])}"
    yield line


def _stage(stage: Mapping[str, Any]) -> str:
    return (
        f"{stage['name']} {stage['hash'][:SHORT]}, {stage['steps']} steps on {stage['data']} from "
        f"{stage['start']}, distance {stage['distance']:.4g}"
    )


def _data(data: Mapping[str, Any], splits: Mapping[str, Any]) -> Iterator[str]:
    if not data:
        return
    parts = [f"{name} {part['rows']} {part['hash'][:SHORT]}" for name, part in splits.items()]
    wrong = f", {data['wrong_labels']} of them wrong" if data.get("wrong_labels") else ""
    yield (
        f"data {data['name']} {data['hash'][:SHORT]}, "
        f"{data['visible_labels']} labels visible{wrong}; {', '.join(parts)}"
    )


def _seeds(protocol: Mapping[str, Any]) -> str:
    others = {
        name: seed
        for name, seed in (protocol.get("seeds") or {}).items()
        if name != "student" and seed is not None
    }
    words = ", ".join(f"{name} {seed}" for name, seed in others.items())
    return f"{_seed(protocol)}{f' ({words})' if words else ''}"


def _seed(protocol: Mapping[str, Any]) -> str:
    return f"seed {protocol['seed']}" if "seed" in protocol else ""


def _teacher_brief(protocol: Mapping[str, Any]) -> str:
    teacher = protocol.get("teacher") or {}
    if not teacher.get("hash"):
        return ""
    words = f"teacher {teacher['hash'][:SHORT]}"
    if "accuracy" in teacher:
        return f"{words}, {100 * teacher['accuracy']:.1f} % on test"
    probed = (teacher.get("probe") or {}).get("accuracy")
    return words if probed is None else f"{words}, {100 * probed:.1f} % on probe"


def _build(protocol: Mapping[str, Any]) -> list[str]:
    torch, threads = (protocol.get("versions") or {}).get("torch"), protocol.get("threads")
    words = [f"torch {torch}"] if torch else []
    return [*words, f"{threads} thread{'s' if threads != 1 else ''}"] if threads else words


def _interventions(made: Sequence[Mapping[str, Any]]) -> str:
    if not made:
        return "none"
    told = [f"{item['kind']}{_path(item)} at step {item['step']}" for item in made[:CHANGES]]
    more = len(made) - CHANGES
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _path(item: Mapping[str, Any]) -> str:
    return f" {item['path']}" if item.get("path") else ""


def _percent(share: float | None) -> str:
    return "not finite" if share is None else f"{100 * share:.2f} %"
