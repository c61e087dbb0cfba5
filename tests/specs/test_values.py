"""Numbers that are plain, on a schedule, or a user's function; and their bounds."""

from __future__ import annotations

import math
import sys
import types
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.errors import BadInput
from workbench.specs.base import Spec
from workbench.specs.values import Bounds, Imported, Ramp, Value, value_at


class Holder(Spec):
    """A spec with one number."""

    share: Annotated[Value, Bounds(0.0, 1.0, open_low=True)] = 1.0


def test_a_linear_ramp_is_its_line():
    ramp = Ramp(use="linear", start=1.0, end=0.0)
    assert [ramp.at(step, 5) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_cosine_ramp_is_half_a_cosine():
    ramp = Ramp(use="cosine", start=0.0, end=2.0)
    expected = [1 - math.cos(math.pi * step / 8) for step in range(9)]
    assert [ramp.at(step, 9) for step in range(9)] == pytest.approx(expected)


def test_a_step_jumps_at_until_and_a_span_waits_outside():
    jump = Ramp(use="step", start=0.0, end=0.9, until=0.5)
    assert [jump.at(step, 5) for step in range(5)] == [0.0, 0.0, 0.9, 0.9, 0.9]
    span = Ramp(use="linear", start=1.0, end=3.0, begin=0.25, until=0.75)
    assert [span.at(step, 9) for step in range(9)] == [1, 1, 1, 1.5, 2, 2.5, 3, 3, 3]


@given(
    st.sampled_from(["linear", "cosine", "step"]),
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.integers(2, 50),
)
def test_a_ramp_ends_at_its_end_and_stays_between_both(use, start, end, steps):
    ramp = Ramp(use=use, start=start, end=end)
    values = [ramp.at(step, steps) for step in range(steps)]
    assert values[-1] == end
    low, high = min(start, end) - 1e-9, max(start, end) + 1e-9
    assert all(low <= value <= high for value in values)


def test_a_plain_number_is_itself_at_every_step():
    assert {value_at(0.3, step, 10) for step in range(10)} == {0.3}


@pytest.fixture
def module():
    made = types.ModuleType("values_for_a_test")
    made.half = lambda step, steps: step / steps / 2
    made.words = lambda step, steps: "five"
    made.nothing = lambda step, steps: math.nan
    sys.modules[made.__name__] = made
    yield made.__name__
    del sys.modules[made.__name__]


def test_an_imported_function_gives_the_number_of_a_step(module):
    value = Holder.model_validate({"share": {"import": f"{module}:half"}}).share
    assert value_at(value, 3, 4) == 0.375
    assert value.given() == {"import": f"{module}:half"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("words", "returned 'five' at step 2"),
        ("nothing", "returned nan"),
        ("gone", "cannot be loaded"),
    ],
)
def test_an_imported_function_without_a_number_is_told(module, name, said):
    with pytest.raises(BadInput, match=said):
        Imported.model_validate({"import": f"{module}:{name}"}).at(2, 5)


@pytest.mark.parametrize("path", ["os.system", "os:system('x')", "a b:c", ":f", "m:", "../m:f"])
def test_what_is_no_module_and_function_is_refused(path):
    with pytest.raises(ValidationError, match="pattern"):
        Imported.model_validate({"import": path})


@pytest.mark.parametrize("good", [1.0, 1, 1e-9, "5e-4", {"use": "linear", "start": 0.1, "end": 1}])
def test_what_lies_inside_the_bounds_is_taken(good):
    assert Holder.model_validate({"share": good})


@pytest.mark.parametrize(
    "bad",
    [0, 1.01, -1, "x", None, True, [1], {"use": "linear", "start": 0, "end": 1},
     {"use": "linear", "start": 1, "end": 7}, {"use": "linear", "end": 1},
     {"use": "linear", "start": 1, "end": 1, "begin": 0.8, "until": 0.2}],
)  # fmt: skip
def test_what_lies_outside_is_refused(bad):
    with pytest.raises(ValidationError):
        Holder.model_validate({"share": bad})


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(), "any finite number"),
        (Bounds(0, 1), "≥ 0 and ≤ 1"),
        (Bounds(0, 1, open_low=True, open_high=True), "> 0 and < 1"),
        (Bounds(high=5), "≤ 5"),
    ],
)
def test_bounds_say_what_they_allow(bounds, text):
    assert str(bounds) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_bounds_allow_what_their_words_say(number):
    assert Bounds(0, 1, open_high=True).allow(number) == (0 <= number < 1)
    assert Bounds(0, 1, open_low=True).allow(number) == (0 < number <= 1)
