"""A table as text: CSV, TSV and the like, gzipped or not, read into columns of cells.

Unusual here: nothing is guessed but the separator. What a column means is decided in
:mod:`workbench.data.columns`, and every cell keeps the line it stood on, for messages.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from workbench.data.examples import MAX_BYTES
from workbench.errors import BadFile, nearest

SEPARATORS = (",", ";", "\t")
GZIP = b"\x1f\x8b"
MAX_TEXT = MAX_BYTES // 8
"""Characters read at most: as text a number takes some eight times its four bytes."""
LISTED = 20
"""Column names in one message; the others are counted."""


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        file: Where it was read.
        names: Of the columns; ``column 1`` and on where the file has no header.
        columns: Cells of each column without outer blanks, each of length N >= 1.
        lines: Line of the file that each row ends on, counted from 1, length N.
    """

    file: Path
    names: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int, column: int) -> str:
        """Where a cell stands, for messages."""
        return f"{self.file}, line {self.lines[row]}, column {self.names[column]!r}"

    def find(self, column: int | str, option: str) -> int:
        """Index of a column, from 0.

        Args:
            column: Its name, or its number from 1; negative numbers count from the end.
            option: Which option names it, for messages.

        Raises:
            BadFile: If there is no such column; lists those there are.
        """
        count = len(self.names)
        if isinstance(column, int):
            if 1 <= abs(column) <= count:
                return column - 1 if column > 0 else count + column
            raise BadFile(
                f"`{option}`: {self.file} has no column {column}; it has {count}. Use 1 to "
                f"{count}, or -1 for the last."
            )
        if column in self.names:
            return self.names.index(column)
        near = nearest(column, self.names)
        rest = f" and {count - LISTED} more" if count > LISTED else ""
        raise BadFile(
            f"`{option}`: {self.file} has no column {column!r}."
            f"{f' Did you mean {near!r}?' if near else ''} "
            f"It has: {', '.join(self.names[:LISTED])}{rest}. A number counts columns from 1."
        )


def read_sheet(file: Path, *, header: bool, names: Sequence[str] = ()) -> Sheet:
    """Read a table of text.

    The separator is a tab in a file that ends in .tsv or .tsv.gz; else the one of comma, semicolon
    and tab that the first line has most of. Empty lines are passed over.

    Args:
        file: UTF-8, gzipped or not, quoted as in RFC 4180.
        header: Whether the first line names the columns.
        names: Names of the columns where the format knows them; then ``header`` must be False.

    Raises:
        BadFile: If the file is damaged, empty, too large, not of one width or names a column twice;
            names the line.
    """
    with _text(file) as lines:
        first = next((line for line in lines if line.strip()), "")
        tabs = file.name.removesuffix(".gz").endswith(".tsv")
        separator = "\t" if tabs else max(SEPARATORS, key=first.count)
        skipped = lines.passed - 1
        reader = csv.reader(itertools.chain([first], lines), delimiter=separator)
        rows: list[list[str]] = []
        numbers: list[int] = []
        known: dict[str, str] = {}  # a table repeats few texts; one object of each is enough
        for raw in reader:
            cells = [known.setdefault(cell, cell) for cell in map(str.strip, raw)]
            if cells in ([], [""]):
                continue
            rows.append(cells)
            numbers.append(reader.line_num + skipped)
            if len(cells) != len(rows[0]):
                raise BadFile(
                    f"{file}, line {numbers[-1]}: has {len(cells)} cells, line {numbers[0]} has "
                    f"{len(rows[0])}, separated by {separator!r}. Correct that line, or quote "
                    "texts that hold the separator."
                )
    return _sheet(file, rows, numbers, header=header, names=tuple(names))


def _sheet(
    file: Path,
    rows: list[list[str]],
    numbers: list[int],
    *,
    header: bool,
    names: tuple[str, ...],
) -> Sheet:
    if len(rows) <= header:
        what = "no row below its header" if rows else "no row"
        raise BadFile(f"{file} has {what}. Give a file with at least one row.")
    width = len(rows[0])
    if header:
        names, rows, numbers = tuple(rows[0]), rows[1:], numbers[1:]
    names = tuple(
        name or f"column {place}" for place, name in enumerate(names or ("",) * width, start=1)
    )
    if len(names) != width:
        raise BadFile(
            f"{file} has {width} columns, the format has {len(names)}. Is it another file?"
        )
    if len(set(names)) < width:
        twice = next(name for name in names if names.count(name) > 1)
        raise BadFile(
            f"{file}: two columns are called {twice!r}. Rename one; or set `header: false` if the "
            "first line is data."
        )
    if width < 2:
        raise BadFile(
            f"{file} has one column only ({names[0]!r}); a label and a feature are needed. Columns "
            "are separated by a comma, a semicolon or a tab."
        )
    return Sheet(file, names, tuple(zip(*rows, strict=True)), tuple(numbers))


class _Lines:
    """Lines of a stream that counts what has passed, so that a small gzip cannot unpack to much."""

    def __init__(self, stream: IO[str], file: Path) -> None:
        self.passed = 0
        self._stream, self._file, self._size = stream, file, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_TEXT + 1)
        if not line:
            raise StopIteration
        self.passed += 1
        self._size += len(line)
        if self._size > MAX_TEXT:
            raise BadFile(
                f"{self._file} holds more than {MAX_TEXT // 2**20} MiB of text, too much to hold "
                "in memory. Give fewer rows or columns."
            )
        return line


@contextmanager
def _text(file: Path) -> Iterator[_Lines]:
    """The lines of a file, unpacked and decoded; what goes wrong on the way is a BadFile."""
    try:
        with file.open("rb") as probe:
            zipped = probe.read(2) == GZIP
        with (
            cast("IO[bytes]", gzip.open(file) if zipped else file.open("rb")) as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream,
        ):
            yield _Lines(stream, file)
    except UnicodeDecodeError as error:
        raise BadFile(
            f"{file} is no UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise BadFile(f"{file} cannot be read ({error}). Fetch the file again.") from None
    except csv.Error as error:
        raise BadFile(f"{file} is no table of text ({error}). Save it as CSV again.") from None
