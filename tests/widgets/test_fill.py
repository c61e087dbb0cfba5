"""The interpreter of skeletons, one claim per kind of node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets.fill import Surroundings, fill
from workbench_widgets.tokens import TOKENS


@pytest.fixture
def around() -> Surroundings:
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return Surroundings(
        tokens=TOKENS["light"],
        arrays={"cube": cube, "z": np.array([[0.0, 1.0], [np.nan, 0.5]], dtype=np.float32)},
        facts={"names": ["a", "b", "c"]},
        state={"mode": "now", "i": 1},
        size={"w": 400.0, "h": 300.0, "W": 200.0, "H": 100.0},
    )


def test_tokens_are_replaced_inside_strings_and_other_dollars_stay(around: Surroundings) -> None:
    assert fill("<b style='color:$student'>$5 $nobody</b>", around) == (
        "<b style='color:#0B67C2'>$5 $nobody</b>"
    )


def test_data_is_sliced_by_state(around: Surroundings) -> None:
    got = fill({"$data": "cube", "at": [None, "$i", 2]}, around)
    np.testing.assert_array_equal(got, [6.0, 18.0])
    assert fill({"$data": "cube", "at": [1, "$i", 2]}, around) == 18.0


def test_nothing_selected_picks_nothing(around: Surroundings) -> None:
    assert fill({"$data": "cube", "pick": True}, around).shape[0] == 0


@pytest.mark.parametrize(
    ("test", "then"),
    [
        ({"mode": "now"}, True),
        ({"mode": ["change", "now"]}, True),
        ({"mode": "change"}, False),
        ({"w>=": 400, "H<": 101}, True),
        ({"w>=": 400, "H<": 100}, False),
    ],
)
def test_every_entry_of_a_test_must_hold(
    around: Surroundings, test: dict[str, Any], then: bool
) -> None:
    assert fill([{"$if": test, "then": 1, "else": 2}], around) == [1 if then else 2]
    assert fill({"kept": {"$if": test, "then": 1}}, around) == ({"kept": 1} if then else {})


@pytest.mark.parametrize(("low", "then"), [(80, "a"), (79, "b"), (0, "b")])
def test_what_depends_on_a_held_range_goes_by_its_low_end(
    around: Surroundings, low: int, then: str
) -> None:
    node = {"$held": "accuracy", "range": [low, 100], "from": [[80, "a"], [0, "b"]]}
    assert fill(node, around) == then


def test_pixels_become_parts_of_the_plot_area(around: Surroundings) -> None:
    assert fill({"$px": [0.5, -10, "y"]}, around) == pytest.approx(0.4)
    assert fill({"$px": [0, 10, "x"]}, around) == pytest.approx(0.05)


def test_a_scale_extended_below_zero_moves_no_colour(around: Surroundings) -> None:
    plain = fill({"$scale": "measure"}, around)
    wide = fill({"$scale": "measure", "floor": -0.2}, around)
    assert wide[0] == [0.0, plain[0][1]]
    for (at, colour), (moved, same) in zip(plain, wide[1:], strict=True):
        assert moved * 1.2 - 0.2 == pytest.approx(at)
        assert same == colour


def test_cell_text_is_black_on_pale_and_white_on_dark(around: Surroundings) -> None:
    got = fill({"$contrast": "z", "scale": "measure", "over": [0, 1]}, around)
    assert got[:3] == ["#000000", "#FFFFFF", "#000000"]


def test_facts_are_not_searched_for_tokens(around: Surroundings) -> None:
    """A layer may be called ``$ink``; a name is never markup."""
    facts = Surroundings(around.tokens, {}, {"names": ["$ink"]}, {}, {})
    assert fill({"$join": ["<", {"$fact": ["names", 0]}, ">"]}, facts) == "<$ink>"
