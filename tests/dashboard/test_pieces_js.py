"""Small functions of the page's script, by themselves: names, who can edit, what is kept."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from workbench.dashboard.assets import PAGE, SCRIPTS

pytestmark = pytest.mark.browser

NAMES = ("shortly", "editorWords", "kept", "fitted", "gathered")


@pytest.fixture(scope="module")
def pieces(browser: Any) -> Any:
    """A bare page in which the functions lie as ``pieces``; the last script only exports."""
    page = browser.new_page()
    page.goto("data:text/html,<title>pieces</title>")
    source = "\n".join((PAGE / script).read_text() for script in SCRIPTS[:-1])
    page.evaluate(f"() => {{ {source}\n globalThis.pieces = {{ {', '.join(NAMES)} }}; }}")
    yield page
    page.close()


def asked(page: Page, code: str, *given: Any) -> Any:
    return page.evaluate(f"(given) => {code}", list(given))


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("quickstart", 10, "quickstart"),
        ("quickstart-long", 10, "quickstar…"),
        ("quickstart, kd.weight = 0.5", 24, "kd.weight = 0.5"),
        ("quickstart, lr = 1, T = 2", 12, "lr = 1, T =…"),
        ("q, lr = 1", 24, "q, lr = 1"),
        ("a,b without a blank is one name", 12, "a,b without…"),
        ("", 5, ""),
    ],
)
def test_a_long_name_is_cut_to_what_tells_it_apart(pieces, text, most, expected):
    assert asked(pieces, "pieces.shortly(...given)", text, most) == expected
    assert len(expected) <= most


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("cosine decay", 80, "cosine decay"),
        ("stair 1", 32, "st… 1"),
        ("stair 1", 19, "s…1"),
        ("stair 1", 18, ""),
    ],
)
def test_the_name_of_a_phase_is_cut_to_its_room_or_left_out(pieces, text, room, expected):
    assert asked(pieces, "pieces.fitted(...given)", text, room) == expected


@pytest.mark.parametrize(
    ("room", "wide", "groups"),
    [(0, 1, 5), (3, 1, 4), (3, 3, 3), (100, 1, 1)],
)
def test_flags_that_would_lie_on_each_other_become_one(pieces, room, wide, groups):
    steps = [{"step": step} for step in (9, 1, 0, 6, 20)]
    found = asked(pieces, "pieces.gathered(...given)", steps, room, wide)
    assert len(found) == groups
    assert [one["step"] for group in found for one in group] == [0, 1, 6, 9, 20]


@pytest.mark.parametrize(
    ("editors", "words"),
    [
        ([], "Nobody who looks on now can edit."),
        (["mira"], "Mira can edit."),
        (["mira", "on the page"], "Mira, somebody without a name can edit."),
        (["on the page", "on the page"], "Somebody without a name can edit."),
        (["on the page", "Jo", "ana"], "Jo, ana, somebody without a name can edit."),
    ],
)
def test_who_can_edit_is_said_in_one_sentence(pieces, editors, words):
    assert asked(pieces, "pieces.editorWords(given[0])", editors) == words


def test_snapshots_kept_before_the_control_came_are_asked_for_anew(pieces):
    found = asked(
        pieces,
        """(() => {
          const { kept } = pieces;
          const first = kept.renew(0);
          for (const view of ["cka", "trilateral", "calibration", "loyalty"])
            kept.put(38, { [view]: () => view }, {}, 10);
          const held = [kept.has(38), kept.renew(0), kept.has(38)];
          return { first, held, then: [kept.renew(13), kept.has(38), kept.bytes, kept.renew(13)] };
        })()""",
    )
    assert found == {
        "first": False,
        "held": [True, False, True],
        "then": [True, False, 0, False],
    }
