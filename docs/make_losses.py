"""Writes docs/losses.md from the registry of terms and the metadata of the losses.

usage: python docs/make_losses.py [--check]

``--check`` writes nothing and exits with 1 if the page is not current. Whether a value belongs to a
sample or to the batch is not read from a declaration: each term is built for two made-up networks
and asked about a batch and a part of it.
"""

from __future__ import annotations

import argparse
import inspect
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import torch

from workbench.functional import Loss
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.registries import TERMS
from workbench.specs.base import Kind
from workbench.specs.stage import TermSpec
from workbench.terms import LossTerm, Term, TermContext, TermKind

PAGE = Path(__file__).parent / "losses.md"
NUM_CLASSES, NUM_ROWS, ROWS, PART = 5, 40, 8, 5
IMAGE, PATCHES, KEPT, WIDTH = (1, 8, 8), 16, 4, 12
TOKENS = {"norm": (1 + PATCHES, WIDTH)}
VIEW = "masked-0.75"
STUDENT = {
    "stage1": (4, 8, 8),
    "stage2": (6, 4, 4),
    "logits": (NUM_CLASSES,),
    f"{VIEW}:tokens": (1 + KEPT, WIDTH),
    f"{VIEW}:pixels": (PATCHES, 4),
    "styled-0.1-stage2:stage2": (6, 4, 4),
    **TOKENS,
}
TEACHER = {"stage1": (3, 8, 8), "stage2": (9, 6, 6), "logits": (NUM_CLASSES,), **TOKENS}
OPTIONS: dict[str, dict[str, Any]] = {"mix": {"a": {"use": "kd"}, "b": {"use": "ce"}}}
"""Options without which a term says nothing."""
NORM_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
HEAD = """# Losses

Every distillation term that is registered, made by `python docs/make_losses.py` from what the code
says about itself; do not edit. `workbench terms` prints the same list.

- **Reads** names what a term is given. Student and teacher come as taps of one forward; `labels`
  are the truth where the student may see it.
- **Unit** says what one value is about: *each sample* (the same in any batch), *each sample within
  its batch* (a batch norm or drawn negatives let the others in), or *the batch as a set* (one
  number; its size is part of the meaning).
- A term is Σ value · validity / Σ validity over its units; the stage's loss is Σ weight · term.
- Every term has a `weight` (default 1, ≥ 0 and ≤ 1e6, live); it is not repeated below.
- Parameters marked *live* may be set, ramped, or follow an expression while a run trains.

"""


def page() -> str:
    """The whole page."""
    kinds = cast(Mapping[str, type[TermKind]], dict(TERMS.items()))
    lines = [
        "| term | one line | reads | unit | learns |",
        "| --- | --- | --- | --- | --- |",
    ]
    sections = []
    for name, kind in kinds.items():
        facts = _facts(name, kind)
        reads = ", ".join(f"`{need}`" for need in kind.needs)
        lines.append(
            f"| [{name}](#{name}) | {_cell(kind.summary)} | {reads} | {facts.unit} "
            f"| {facts.learns} |"
        )
        sections.append(_section(name, kind, facts))
    return HEAD + "\n".join(lines) + "\n\n" + "\n".join(sections)


class Facts(types.SimpleNamespace):
    """What a built term shows: its unit, what it learns, whether it remembers."""

    unit: str
    learns: str
    remembers: bool


def _section(name: str, kind: type[TermKind], facts: Facts) -> str:
    lines = [f"## {name}", "", kind.summary, ""]
    loss = getattr(kind, "loss", None) if issubclass(kind, LossTerm) else None
    more = _description(loss.function if loss else kind)
    if more:
        lines += [more, ""]
    lines += [
        f"- Paper: {kind.paper}",
        f"- Reads: {', '.join(f'`{need}`' for need in kind.needs)}; pulls towards the {kind.pull}",
        f"- Unit: {facts.unit}; value in {_range(kind, loss)}",
    ]
    if loss is not None:
        function = loss.function
        lines.append(f"- Function: `{function.__module__}.{function.__qualname__}`")
        if loss.min_samples > 1:
            lines.append(f"- Defined for batches of {loss.min_samples} or more; 0 below that")
    else:
        lines.append(f"- Class: `{kind.__module__}.{kind.__qualname__}`")
    if facts.learns != "-":
        lines.append(f"- Learns with the student: {facts.learns}")
    if facts.remembers:
        lines.append("- Remembers between steps; what it remembers is in the checkpoint")
    rows = [
        _parameter(kind, field) for field in kind.model_fields if field not in ("use", "weight")
    ]
    if rows:
        lines += [
            "",
            "| parameter | default | allowed | live | meaning |",
            "| --- " * 5 + "|",
            *rows,
        ]
    return "\n".join(lines) + "\n"


def _range(kind: type[TermKind], loss: Loss | None) -> str:
    unit = "no unit" if kind.unit == "1" else kind.unit
    if loss is None:
        return unit
    low = "-∞" if loss.lower_bound is None else f"{loss.lower_bound:g}"
    high = "∞" if loss.upper_bound is None else f"{loss.upper_bound:.4g}"
    return f"{unit}, {low} to {high}"


def _description(documented: Any) -> str:
    """The paragraphs between a docstring's first line and its arguments."""
    text = inspect.getdoc(documented) or ""
    body = re.split(r"\n(?:Args|Returns|Raises|Reference|Example|Attributes):\n", text)[0]
    paragraphs = body.split("\n\n")[1:]
    return _plain("\n\n".join(paragraph.strip() for paragraph in paragraphs))


def _plain(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r":[a-z]+:`~?\.?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def _parameter(kind: type[TermKind], name: str) -> str:
    field = kind.model_fields[name]
    live = name in kind.live
    allowed = str(kind.live[name]) if live else _allowed(field.annotation, field.metadata)
    help_text = _cell(_plain(field.description or ""))
    default = "required" if field.is_required() else _default(field.default)
    return f"| `{name}` | {default} | {allowed} | {'yes' if live else 'no'} | {help_text} |"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _allowed(annotation: Any, metadata: list[Any]) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if annotation is bool:
        return "`true`, `false`"
    chosen = next((each for each in get_args(annotation) or (annotation,) if _is_kind(each)), None)
    if chosen is not None:
        return "a term" if issubclass(chosen, TermSpec) else "a ratio network"
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = [
        f"{sign} {getattr(limit, key):g}"
        for limit in metadata
        for key, sign in signs.items()
        if getattr(limit, key, None) is not None
    ]
    kind = {str: "a tap's name", int: "whole number", float: "number"}.get(
        annotation, "taps' names"
    )
    return " ".join([kind, *limits[:1]]) + "".join(f" and {limit}" for limit in limits[1:])


def _is_kind(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _facts(name: str, kind: type[TermKind]) -> Facts:
    whole, module = _values(name, kind, torch.arange(ROWS))
    part, _ = _values(name, kind, torch.arange(PART))
    if whole.dim() == 0:
        unit = "the batch as a set"
    elif torch.allclose(whole[:PART], part, rtol=1e-4, atol=1e-5):
        unit = "each sample"
    else:
        unit = "each sample within its batch"
    parameters = [p for p in module.parameters() if p.requires_grad] if module else []
    remembers = module is not None and any(
        not key.endswith(NORM_BUFFERS) for key in _kept_buffers(module)
    )
    return Facts(unit=unit, learns="a part of its own" if parameters else "-", remembers=remembers)


def _kept_buffers(module: torch.nn.Module) -> set[str]:
    return {key for key, _ in module.named_buffers()} & set(module.state_dict())


def _values(
    name: str, kind: type[TermKind], rows: torch.Tensor
) -> tuple[torch.Tensor, torch.nn.Module | None]:
    """A fresh term's value of these rows of one made-up batch."""
    spec = kind.model_validate({"use": name, **OPTIONS.get(name, {})})
    ids = torch.arange(NUM_ROWS)
    term: Term = spec.build(
        TermContext(
            student_shapes=lambda names: {tap: STUDENT[tap] for tap in names},
            teacher_shapes=lambda names: {tap: TEACHER[tap] for tap in names},
            student_stages=("stage1", "stage2"),
            teacher_stages=("stage1", "stage2"),
            seed=0,
            train_ids=ids,
            train_labels=ids % NUM_CLASSES,
            input_size=IMAGE,
        )
    )
    student, teacher = (_taps(shapes, seed) for seed, shapes in enumerate((STUDENT, TEACHER)))
    batch = Batch(rows, torch.zeros(len(rows), 1, 8, 8), rows % NUM_CLASSES)
    values = {key: float(cast(float, value)) for key, value in spec.knobs().items()}
    torch.manual_seed(0)
    with torch.no_grad():
        found = term(_rows(student, rows), _rows(teacher, rows), batch, values)
    return found.value, term.module


def _taps(shapes: Mapping[str, tuple[int, ...]], seed: int) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    drawn = {tap: torch.randn(ROWS, *shape, generator=generator) for tap, shape in shapes.items()}
    keep = torch.arange(0, PATCHES, PATCHES // KEPT).expand(ROWS, KEPT)
    return Taps({**drawn, f"{VIEW}:keep": keep})


def _rows(taps: Taps, rows: torch.Tensor) -> Taps:
    return Taps({tap: tensor[rows] for tap, tensor in taps.items()})


def main() -> int:
    """Write the page, or say whether it is current."""
    parser = argparse.ArgumentParser(description="Write docs/losses.md from the registries.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is old")
    check = parser.parse_args().check
    text = page()
    if check:
        current = PAGE.exists() and PAGE.read_text("utf-8") == text
        print("current" if current else "old: run `python docs/make_losses.py`")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.name}: {len(TERMS.names())} terms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
