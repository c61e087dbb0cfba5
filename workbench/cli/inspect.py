"""``inspect``: two trained models side by side, without a training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.options import AsJson, StoreUrl, print_json, table

if TYPE_CHECKING:
    from workbench.runs.pair import InspectedPair

MODEL = "run:RUN@last|best|STEP, path:FILE or hub:ORG/NAME; '{use: NAME, ...}' with options."
CORNER = "teacher x student"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "inspect",
        epilog="Example: workbench inspect --teacher path:teacher.safetensors "
        "--student run:quickstart-7k2p9x@last --data quickstart -o pair.html",
    )(inspect)


def inspect(
    teacher: Annotated[str, typer.Option("--teacher", metavar="MODEL", help=MODEL)],
    student: Annotated[str, typer.Option("--student", metavar="MODEL", help=MODEL)],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="DATA",
            help="A data set's name, '{use: NAME, ...}' with options, or a recipe or experiment "
            "file (its data).",
        ),
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="probe or val.")] = "probe",
    device: Annotated[
        str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Also write a page (NAME.html, stands alone), or a folder of CSV files.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Look at two trained models on the same rows: similarity, calibration, loyalty, accuracy.

    Nothing is trained. Rows that a model was trained on are said.
    """
    from workbench.runs.pair import inspect_pair  # loads torch

    pair = inspect_pair(
        teacher=teacher, student=student, data=data, split=split, device=device, store=store_url
    )
    files = [str(file) for file in pair.save(output, force=force)] if output is not None else []
    for words in pair.warnings:
        print(f"Warning: {words}", file=sys.stderr)
    if as_json:
        print_json(
            {
                "numbers": pair.numbers,
                "protocol": pair.protocol,
                "warnings": pair.warnings,
                "files": files,
            }
        )
        return
    for line in pair_words(pair):
        print(line)
    table(*_similarity(pair.numbers["cka"]))
    for line in [*pair.lines, *(f"Written: {file}" for file in files)]:
        print(line)


def pair_words(pair: InspectedPair) -> Iterator[str]:
    """The numbers of both models and what they have in common, a line each."""
    from workbench.runs.pair_files import SCORES, in_unit

    numbers = pair.numbers
    yield f"{pair.protocol['split']} split, n = {numbers['n']}"
    for who in ("teacher", "student"):
        told = (
            f"{word} {in_unit(numbers[who][name], name)} {unit}"
            for name, (word, unit) in SCORES.items()
        )
        yield f"  {who}: {', '.join(told)}"
    loyalty = numbers["loyalty"]
    yield (
        f"  label loyalty {_number(loyalty['label'])}, probability loyalty "
        f"{_number(loyalty['probability'])} of 1, KL(teacher || student) "
        f"{_number(numbers['fidelity_kl'])} nats, copied errors {numbers['copied_errors']} of "
        f"{numbers['teacher_wrong']}"
    )
    yield (
        f"  CKA (unbiased, n = {numbers['cka']['n']}), teacher layers x student layers; n.s.: "
        "below the 95th percentile of its null"
    )


def _similarity(cka: dict[str, Any]) -> tuple[list[dict[str, str]], list[str]]:
    """The map as rows of a table, a teacher layer each."""
    rows = []
    for i, layer in enumerate(cka["teacher_layers"]):
        row = {CORNER: layer}
        for j, name in enumerate(cka["student_layers"]):
            value, null = cka["unbiased"][i][j], cka["null_p95"][i][j]
            row[name] = _number(value)
            if value is not None and null is not None and value < null:
                row[name] = f"{value:.3f} n.s."
        rows.append(row)
    return rows, [CORNER, *cka["student_layers"]]


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
