"""The loss as text: what is printed is read back as the same terms, for everything registered."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.recipes import names, open_experiment
from workbench.registries import TERMS
from workbench.runs.draft.loss_text import LossError, parse_loss, print_loss

WORDS = st.text(min_size=0, max_size=12)
NUMBERS = st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(NUMBERS, st.booleans(), st.none(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def losses(draw):
    """Terms of any registered kinds, with any values in any of their fields."""
    keys = draw(st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True), min_size=1,
                         max_size=4, unique=True))  # fmt: skip
    terms = {}
    for key in keys:
        use = draw(st.sampled_from(TERMS.names()))
        fields = [name for name in TERMS.get(use).model_fields if name != "use"]
        chosen = draw(st.lists(st.sampled_from(fields), unique=True, max_size=3))
        options = {
            name: draw(st.one_of(NUMBERS, st.just({"use": "linear", "start": 0, "end": 1.5})))
            if name == "weight"
            else draw(VALUES)
            for name in chosen
        }
        terms[key] = {"use": use, **options}
    return terms


@given(losses())
def test_what_is_printed_is_read_back_as_the_same_terms(terms):
    assert parse_loss(print_loss(terms)) == terms


@pytest.mark.parametrize("recipe", names())
def test_the_loss_of_every_recipe_survives_text(recipe):
    for stage in open_experiment(recipe)[0].stages.values():
        given_terms = {key: term.given() for key, term in stage.terms.items()}
        whole = {
            key: {"use": term} if isinstance(term, str) else term
            for key, term in given_terms.items()
        }
        assert parse_loss(print_loss(given_terms)) == whole


def test_a_pair_of_layers_is_an_arrow_from_teacher_to_student():
    (term,) = parse_loss("0.5 * Hint(conv5 -> conv2)").values()
    assert (term["teacher_tap"], term["student_tap"], term["weight"]) == ("conv5", "conv2", 0.5)


def test_a_second_term_of_a_kind_gets_a_key_of_its_own_and_a_given_key_stays():
    assert list(parse_loss("KD + kd + soft: KD")) == ["kd", "kd-2", "soft"]


@pytest.mark.parametrize(
    ("text", "wrong", "says", "near"),
    [
        ("0.9*KD(T=4)+0.5*Hnt(a -> b)", "Hnt", "There is no term 'Hnt'", "hint"),
        ("KD(temp=3)", "temp", "kd has no parameter 'temp'", "temperature"),
        ("0.9 KD", "KD", "A weight stands before a term", None),
        ("KD +", "", "The loss ends where a term should follow", None),
        ("KD(T=)", ")", "A value is needed", None),
        ("KD(a -> b)", "a -> b", "kd reads no pair", None),
        ("KD(T=4", "", "the bracket is closed", None),
        ("", "", "The loss ends where a term should follow", None),
        ("KD + kd: KD", "kd:", "The key kd is there twice", None),
        ("KD(T=4, T=5)", "T", "T is given twice", None),
        ("KD $ CE", "$", "Terms are added with +", None),
        ('KD(T="\\q")', '"\\q"', "A text in quotes stands on one line", None),
        ("1e999 * KD", "1e999", "too large", None),
    ],
)
def test_a_wrong_piece_is_named_with_its_place_and_what_is_near(text, wrong, says, near):
    with pytest.raises(LossError) as caught:
        parse_loss(text)
    error = caught.value
    assert text[error.start : error.end] == wrong
    assert (says in error.message, error.nearest) == (True, near)


def test_brackets_within_brackets_end_somewhere():
    with pytest.raises(LossError, match="Too many brackets"):
        parse_loss(f"KD(T={'[' * 40}1{']' * 40})")


def test_a_number_keeps_its_last_bit():
    value = math.nextafter(0.1, 1)
    assert parse_loss(print_loss({"ce": {"use": "ce", "weight": value}}))["ce"]["weight"] == value
