"""An inspected pair on disk: one page that stands alone, or the numbers of each view as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.atomic import write_atomically
from workbench.errors import BadFile
from workbench.runs.frames import prepared

if TYPE_CHECKING:
    from workbench.probes.probe import Measured
    from workbench.runs.pair import InspectedPair

PAGES = (".html", ".htm")
SIZE = (620, 500)
"""Width and height of a figure on the page, in pixels."""
SCORES = {
    "accuracy": ("accuracy", "%"),
    "nll": ("NLL", "nats"),
    "ece": ("ECE", "%"),
    "ece_null_p95": ("ECE null p95", "%"),
    "aurc": ("AURC", "%"),
}
"""Numbers of one model: what each is called, and its unit."""
PER_BIN = (
    "count",
    "confidence",
    "accuracy",
    "wilson_low",
    "wilson_high",
    "band_low",
    "band_high",
)
QUADRANTS = (("both right", "own discoveries"), ("still to learn", "both wrong"))
"""Rows student right, wrong; columns teacher right, wrong."""
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 0; }
.views { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; max-width: 620px; }
figcaption, .lines { color: #55585c; font-size: .85rem; }
.warnings { border-left: 4px solid #a3432b; padding-left: .8rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #d8dade; }
th:first-child { text-align: left; }
"""

Cells = Iterable[Sequence[Any]]


def write_pair(pair: InspectedPair, path: Path, *, force: bool) -> list[Path]:
    """Write a page or a folder of tables; see :meth:`InspectedPair.save`."""
    try:
        contents = _contents(pair, path)
        there = [file for file in contents if file.exists()]
        if there and not force:
            raise BadFile(
                f"{str(there[0])!r} exists. Give another name, or --force (force=True) to replace "
                "it."
            )
        odd = [file for file in there if not file.is_file()]
        if odd:
            raise BadFile(f"{str(odd[0])!r} is no regular file; give another name.")
    except (OSError, ValueError) as error:  # too long, a NUL, a folder that may not be looked into
        raise BadFile(f"{str(path)[:200]!r} cannot be used as a path ({error}).") from None
    for file, text in contents.items():
        write_atomically(file, text.encode())
    return list(contents)


def _contents(pair: InspectedPair, path: Path) -> dict[Path, str]:
    """What goes into which file."""
    if path.suffix.lower() in PAGES and not path.is_dir():
        if not path.parent.is_dir():
            raise BadFile(f"{str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
        return {path: page(pair)}
    if path.suffix and not path.is_dir():
        raise BadFile(
            f"{str(path)!r}: a page ends in .html; a name without an ending is a folder for CSV. "
            "Other kinds of file are not written."
        )
    if path.exists() and not path.is_dir():
        raise BadFile(f"{str(path)!r} is a file; give a folder, or a page that ends in .html.")
    return {path / f"{view}.csv": text for view, text in tables(pair).items()}


def page(pair: InspectedPair) -> str:
    """The four figures with their protocol as one HTML document that fetches nothing."""
    names = {who: str(pair.protocol[who]["model"]) for who in ("teacher", "student")}
    warnings = "".join(f"<p>{escape(words)}</p>" for words in pair.warnings)
    figures = "\n".join(_figure(pair, view, first=i == 0) for i, view in enumerate(pair.frames))
    lines = "<br>\n".join(map(escape, pair.lines))
    title = f"{escape(names['student'])} beside {escape(names['teacher'])}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';
  img-src data: blob:">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{f'<div class="warnings" role="note">{warnings}</div>' if warnings else ""}
{_scores(pair)}
<div class="views">
{figures}
</div>
<p class="lines">{lines}</p>
</body>
</html>
"""


def _figure(pair: InspectedPair, view: str, *, first: bool) -> str:
    """One figure with its caption; the first brings plotly.js along for all."""
    frame = pair.frames[view]
    width, height = SIZE
    drawn = frame.figure(width=width, height=height).to_html(
        full_html=False,
        include_plotlyjs=first,
        div_id=f"view-{view}",
        config={"displaylogo": False},
    )
    label = escape(f"{frame.title}. {frame.summary} {pair.caption}", quote=True)
    return (
        f'<figure><div role="img" aria-label="{label}">{drawn}</div>\n'
        f"<figcaption>{escape(frame.definition)}</figcaption></figure>"
    )


def _scores(pair: InspectedPair) -> str:
    """Numbers of both models as a table."""
    head = "".join(f"<th>{word}, {unit}</th>" for word, unit in SCORES.values())
    rows = "".join(
        f"<tr><th>{who}</th>"
        + "".join(f"<td>{in_unit(pair.numbers[who][name], name)}</td>" for name in SCORES)
        + "</tr>"
        for who in ("teacher", "student")
    )
    n = f"{pair.protocol['split']}, n = {pair.numbers['n']}"
    return f"<table><thead><tr><th>{n}</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def in_unit(value: float | None, name: str) -> str:
    """A number of a model in the unit of :data:`SCORES`."""
    if value is None:
        return "not finite"
    return f"{100 * value:.2f}" if SCORES[name][1] == "%" else f"{value:.4f}"


def tables(pair: InspectedPair) -> dict[str, str]:
    """The numbers behind each view as CSV, the protocol in a comment above."""
    return {
        view: _csv(pair.caption, ROWS[view](measured)) for view, measured in pair.measured.items()
    }


def _csv(comment: str, rows: Cells) -> str:
    text = io.StringIO()
    text.write(f"# {' '.join(comment.split())}\n")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _similarity(measured: Measured) -> Iterator[Sequence[Any]]:
    """A cell of the map a row; a cell without a value says why."""
    names = ("unbiased", "biased", "null_p95")
    arrays, facts = prepared("cka", measured.arrays, measured.facts)
    yield ("teacher_layer", "student_layer", *names, "undefined_because")
    for i, teacher in enumerate(facts["teacher_layers"]):
        for j, student in enumerate(facts["student_layers"]):
            values = (float(arrays[name][i, j]) for name in names)
            yield (teacher, student, *values, facts["reasons"].get(f"{i},{j}", ""))


def _samples(measured: Measured) -> Iterator[Sequence[Any]]:
    """A sample a row."""
    yield list(measured.arrays)
    yield from zip(*(values.tolist() for values in measured.arrays.values()), strict=True)


def _bins(measured: Measured) -> Iterator[Sequence[Any]]:
    """A bin of a model a row, raw and after temperature scaling."""
    yield ("model", "scaling", "bin", *PER_BIN)
    for who in ("teacher", "student"):
        for scaling, suffix in (("raw", ""), ("temperature", "_scaled")):
            columns = [measured.arrays[f"{who}_{name}{suffix}"].tolist() for name in PER_BIN]
            for k, values in enumerate(zip(*columns, strict=True)):
                yield (who, scaling, k, *values)


def _agreement(measured: Measured) -> Iterator[Sequence[Any]]:
    """Counts of samples: the four quadrants, then the errors of each class."""
    facts = measured.facts
    yield ("quantity", "class", "value", "unit")
    for names, counts in zip(QUADRANTS, measured.arrays["table"].tolist(), strict=True):
        yield from ((name, "", count, "samples") for name, count in zip(names, counts, strict=True))
    yield ("label loyalty", "", facts["label_loyalty"], "share")
    yield ("probability loyalty", "", facts["probability_loyalty"], "1 - sqrt(JS in bits)")
    yield ("KL(teacher || student)", "", facts["kl_nats"], "nats")
    learn, copied, number = measured.arrays["by_class"].tolist()
    for k, name in enumerate(facts["class_names"]):
        yield ("still to learn", name, learn[k], f"of {number[k]} samples")
        yield ("copied errors", name, copied[k], f"of {number[k]} samples")


ROWS: Mapping[str, Any] = {
    "cka": _similarity,
    "trilateral": _samples,
    "calibration": _bins,
    "loyalty": _agreement,
}
"""Rows of a view's table, its header first."""
