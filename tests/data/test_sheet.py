"""A table as text: separators, gzip, line numbers, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from workbench.data import sheet
from workbench.data.sheet import Sheet, read_sheet
from workbench.errors import BadFile


def read(folder: Path, text: str, *, name: str = "t.csv", header: bool = True) -> Sheet:
    file = folder / name
    file.write_bytes(text.encode())
    return read_sheet(file, header=header)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b,c\n1,x,2.5\n3,y,4\n"),
        ("t.csv", "\ufeffa;b;c\r\n1; x ;2.5\r\n3;y;4"),
        ("t.txt", 'a\tb\tc\n1\t"x"\t2.5\n\n3\ty\t4\n'),
        ("t.tsv", "\n\na\tb\tc\n1\tx\t2.5\n3\ty\t4\n\n"),
    ],
)
def test_separators_quotes_blanks_and_empty_lines_do_not_matter(
    tmp_path: Path, name: str, text: str
) -> None:
    found = read(tmp_path, text, name=name)
    assert found.names == ("a", "b", "c")
    assert found.columns == (("1", "3"), ("x", "y"), ("2.5", "4"))


def test_a_tab_separates_where_the_name_says_so(tmp_path: Path) -> None:
    found = read(tmp_path, "a,b,c\tlabel\n1,2,3\tx\n", name="t.tsv")
    assert found.names == ("a,b,c", "label")


def test_gzip_is_told_from_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "plain.name").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert read_sheet(tmp_path / "plain.name", header=True).columns == (("1",), ("2",))


def test_a_quoted_cell_may_hold_separator_and_line_end_and_lines_are_still_counted(
    tmp_path: Path,
) -> None:
    found = read(tmp_path, '\na,b\n"x, y\nz",1\n\nw,2\n')
    assert found.columns[0] == ("x, y\nz", "w")
    assert found.lines == (4, 6)
    assert found.place(1, 0) == f"{tmp_path / 't.csv'}, line 6, column 'a'"


def test_without_a_header_columns_are_numbered_and_the_first_line_is_data(tmp_path: Path) -> None:
    found = read(tmp_path, "1,x\n2,y\n", header=False)
    assert found.names == ("column 1", "column 2") and len(found) == 2
    assert found.lines == (1, 2)


def test_a_column_is_found_by_name_and_by_number_from_both_ends(tmp_path: Path) -> None:
    found = read(tmp_path, "size,colour,label\n1,x,2\n")
    places = [found.find(column, "drop") for column in ("colour", 2, -2, 1, -3, -1)]
    assert places == [1, 1, 1, 0, 0, 2]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("color", r"`drop`: .*no column 'color'. Did you mean 'colour'\? It has: size, colour"),
        (4, "no column 4; it has 3. Use 1 to 3, or -1"),
        (0, "no column 0"),
        (-4, "no column -4"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(
    tmp_path: Path, column: int | str, words: str
) -> None:
    found = read(tmp_path, "size,colour,label\n1,x,2\n")
    with pytest.raises(BadFile, match=f"WB104.*{words}"):
        found.find(column, "drop")


@pytest.mark.parametrize(
    ("text", "header", "words"),
    [
        ("a,b\n1,2\n3\n", True, "line 3: has 1 cells, line 1 has 2"),
        ("a,b\n1,2,3\n", True, "line 2: has 3 cells, line 1 has 2"),
        ("", True, "has no row"),
        ("\n \n", False, "has no row"),
        ("a,b\n", True, "no row below its header"),
        ("a,a\n1,2\n", True, "two columns are called 'a'.*header: false"),
        ("a\n1\n", True, r"one column only \('a'\)"),
        ("a,b\n1," + "x" * 200_000 + "\n", True, "no table of text.*field larger"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(
    tmp_path: Path, text: str, header: bool, words: str
) -> None:
    with pytest.raises(BadFile, match=rf"WB104.*t\.csv.*{words}"):
        read(tmp_path, text, header=header)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,\xff\n", "no UTF-8 text"),
        (gzip.compress(b"a,b\n1,2\n" * 200, mtime=0)[:-12], "cannot be read"),
        (b"\x1f\x8bnothing", "cannot be read"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BadFile, match=rf"WB104.*t\.csv.*{words}"):
        read_sheet(tmp_path / "t.csv", header=True)


@pytest.mark.parametrize("content", [b"a,b\n" + b"1,2\n" * 100, b"x" * 500])
def test_a_small_gzip_cannot_unpack_to_more_than_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "t.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(sheet, "MAX_TEXT", 300)
    with pytest.raises(BadFile, match=r"WB104.*too much to hold in memory"):
        read_sheet(tmp_path / "t.gz", header=True)


def test_a_format_that_knows_its_columns_refuses_a_file_with_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2,3\n")
    with pytest.raises(BadFile, match=r"has 3 columns, the format has 2\. Is it another file"):
        read_sheet(tmp_path / "t.csv", header=False, names=("a", "b"))
