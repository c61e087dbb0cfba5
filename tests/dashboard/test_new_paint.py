"""The text of an experiment in colours: legible in both themes, in nobody's own colour."""

from __future__ import annotations

import re

import pytest
from workbench_widgets.tokens import contrast, rgb, tokens

from workbench.dashboard import assets

USED = re.compile(r"\.paper \.(\w+) \{ color: var\(--wb-(\w+)\)")


def used() -> dict[str, str]:
    """Class of a piece to its token."""
    text = (assets.PAGE / "new_paint.js").read_text("utf-8")
    return dict(USED.findall(text))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_piece_can_be_read_on_the_paper_and_on_a_wrong_line(theme):
    table = tokens(theme)
    pieces = {*used().values(), "ink", "student", "teacher", "truth"}
    assert len(pieces) >= 7
    for piece in pieces:
        for ground in ("sunken", "error_wash"):
            assert contrast(rgb(table[piece]), rgb(table[ground])) >= 4.5, (piece, ground)


def test_keys_numbers_words_and_comments_differ_and_take_nobody_s_hue():
    found = used()
    assert set(found) == {"key", "num", "note", "sign", "str", "word"}
    assert len({found["key"], found["num"], found["str"], found["note"]}) == 4
    assert not {"student", "teacher", "truth", "error"} & set(found.values())
