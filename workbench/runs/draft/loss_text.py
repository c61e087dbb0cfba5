"""The loss as one line of text, and back: ``0.9 * KD(T=4) + 0.1 * CE + 0.5 * hint(a -> b)``.

Text and terms are two views of one value: what is printed is read back as the same terms. Names are
those of the registry, in any case; ``T`` is the temperature, ``a -> b`` the teacher's and the
student's layer. A key that differs from the name stands before a colon (``contrast: nt-xent``).
Values are written as in JSON, words without quotes. Nothing is evaluated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import nearest
from workbench.registries import TERMS
from workbench.specs.stage import KEY

TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<arrow>->|→)|(?P<word>[A-Za-z_][\w.:/@-]*)|(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<mark>[-+*×(),=:{}\[\]])|(?P<other>\S))""",
    re.VERBOSE,
)
PLAIN = re.compile(r"[A-Za-z_][\w.:/@-]*\Z")
SHORT: Final = {"T": "temperature"}
"""Parameters by the letter that people write."""
CONSTANTS: Final = {"true": True, "false": False, "none": None}
LAYERS: Final = ("teacher_tap", "student_tap")
MOST_DEEP: Final = 12
"""Values within values."""
MOST_DIGITS: Final = 300


@dataclass(eq=False)
class LossError(Exception):
    """A text that is no loss.

    Attributes:
        start: Character at which the wrong piece begins.
        end: One behind its last.
        message: What is wrong and what is allowed.
        nearest: A name that would fit in its place, if one is near.
        known: Names that are allowed there.
    """

    start: int
    end: int
    message: str
    nearest: str | None = None
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "start": self.start,
            "end": self.end,
            "message": self.message,
            "nearest": self.nearest,
            "known": list(self.known),
        }


@dataclass(frozen=True)
class Token:
    """A piece of the text: its kind, what it says, and where it stands."""

    kind: str
    text: str
    start: int
    end: int


# Printing


def print_loss(terms: Mapping[str, Mapping[str, Any] | str]) -> str:
    """The loss as text; :func:`parse_loss` gives the same terms back.

    Args:
        terms: Key to term as an experiment file holds it: a name, or ``{use, weight, ...}``.
    """
    return " + ".join(text for _, text in printed_terms(terms))


def printed_terms(terms: Mapping[str, Mapping[str, Any] | str]) -> list[tuple[str, str]]:
    """Key and text of each term, in order."""
    used: set[str] = set()
    return [(key, _term_text(key, term, used)) for key, term in terms.items()]


def _term_text(key: str, term: Mapping[str, Any] | str, used: set[str]) -> str:
    options = {"use": term} if isinstance(term, str) else dict(term)
    use, weight = str(options.pop("use")), options.pop("weight", None)
    paired = all(isinstance(options.get(name), str) for name in LAYERS)
    pair = [options.pop(name) for name in LAYERS] if paired else []
    inside = [f"{_value(pair[0])} -> {_value(pair[1])}"] if pair else []
    names = {long: short for short, long in SHORT.items()}
    inside += [f"{names.get(name, name)}={_value(value)}" for name, value in options.items()]
    text = (use.upper() if len(use) <= 4 and use.isalpha() else use) + (
        f"({', '.join(inside)})" if inside else ""
    )
    label = "" if key == _free(use, used) else f"{key}: "
    used.add(key)
    return f"{label}{text}" if weight is None else f"{label}{_value(weight)} * {text}"


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if isinstance(value, str):
        plain = PLAIN.match(value) and value.lower() not in CONSTANTS and not value.endswith(":")
        return value if plain else json.dumps(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_value(str(key))}: {_value(item)}" for key, item in value.items())
        return f"{{{inside}}}"
    return repr(value).removesuffix(".0")


def _free(use: str, used: set[str]) -> str:
    """The key that a term of that name gets by itself: ``kd``, then ``kd-2``."""
    key, number = use, 2
    while key in used:
        key, number = f"{use}-{number}", number + 1
    return key


# Reading


def parse_loss(text: str) -> dict[str, dict[str, Any]]:
    """Key to term, as an experiment file holds them.

    Args:
        text: One line.

    Raises:
        LossError: Names the wrong piece with its place, and what is allowed there.

    Example:
        >>> parse_loss("0.9 * KD(T=4) + CE")
        {'kd': {'use': 'kd', 'weight': 0.9, 'temperature': 4}, 'ce': {'use': 'ce'}}
    """
    return _Reader(text).loss()


class _Reader:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            Token(kind, found[kind], found.start(kind), found.end(kind))
            for found in TOKEN.finditer(text)
            if (kind := found.lastgroup)
        ]
        self._end = Token("end", "", len(text), len(text))
        self._at = 0

    def loss(self) -> dict[str, dict[str, Any]]:
        terms: dict[str, dict[str, Any]] = {}
        while True:
            key, term, token = self._term(set(terms))
            if key in terms:
                raise LossError(token.start, token.end, f"The key {key} is there twice.")
            terms[key] = term
            if self._peek().kind == "end":
                return terms
            self._expect("+", "Terms are added with +.")

    def _term(self, used: set[str]) -> tuple[str, dict[str, Any], Token]:
        first = self._peek()
        key = None
        if first.kind == "word" and (first.text.endswith(":") or self._peek(1).text == ":"):
            key = self._take().text.removesuffix(":")
            if self._peek().text == ":":
                self._take()
            if not KEY.match(key):
                raise LossError(
                    first.start, first.end, f"{key}: a key is a word that starts with a letter."
                )
        weight = {}
        if self._peek().kind == "number" or self._peek().text in ("{", "-"):
            weight = {"weight": self._any(0)}
            if self._peek().text not in ("*", "×"):
                token = self._peek()
                raise LossError(
                    token.start, token.end, "A weight stands before a term: 0.9 * KD(T=4)."
                )
            self._take()
        name = self._take()
        if name.kind != "word":
            raise LossError(name.start, max(name.end, name.start), _wants_term(name))
        use = _registered(name)
        options = self._options(use) if self._peek().text == "(" else {}
        return key or _free(use, used), {"use": use, **weight, **options}, first

    def _options(self, use: str) -> dict[str, Any]:
        fields = [name for name in TERMS.get(use).model_fields if name not in ("use", "weight")]
        options: dict[str, Any] = {}
        self._take()
        while self._peek().text != ")":
            if self._peek(1).kind == "arrow":
                options |= self._pair(use, fields)
            else:
                token = self._take()
                name = SHORT.get(token.text, token.text)
                if name not in fields:
                    raise _unknown(token, f"{use} has no parameter", fields)
                if name in options:
                    raise LossError(token.start, token.end, f"{token.text} is given twice.")
                self._expect("=", f"Write {token.text}=VALUE.")
                options[name] = self._any(0)
            if self._peek().text != ")":
                self._expect(",", "Parameters are parted by commas, and the bracket is closed.")
        self._take()
        return options

    def _pair(self, use: str, fields: list[str]) -> dict[str, Any]:
        first = self._peek()
        if not set(LAYERS) <= set(fields):
            raise LossError(
                first.start, self._peek(2).end, f"{use} reads no pair of single layers."
            )
        teacher = self._any(0)
        self._take()
        return dict(zip(LAYERS, (teacher, self._any(0)), strict=True))

    def _any(self, depth: int) -> Any:
        token = self._take()
        if depth > MOST_DEEP:
            raise LossError(token.start, token.end, "Too many brackets within brackets.")
        if token.kind == "number":
            return _number(token)
        if token.text == "-" and self._peek().kind == "number":
            return -_number(self._take())
        if token.kind == "word":
            return CONSTANTS.get(token.text.lower(), token.text)
        if token.kind == "text":
            return _quoted(token)
        if token.text == "[":
            return self._listed("]", lambda: self._any(depth + 1))
        if token.text == "{":
            return dict(self._listed("}", lambda: self._entry(depth + 1)))
        raise LossError(
            token.start, token.end, "A value is needed: a number, a word, [a, b], or {use: linear}."
        )

    def _entry(self, depth: int) -> tuple[str, Any]:
        token = self._take()
        if token.kind not in ("word", "text"):
            raise LossError(token.start, token.end, "A name is needed: {use: linear, start: 0}.")
        if token.kind == "word" and token.text.endswith(":"):
            return token.text[:-1], self._any(depth)
        self._expect(":", "A colon is needed: {use: linear, start: 0}.")
        return _quoted(token) if token.kind == "text" else token.text, self._any(depth)

    def _listed(self, closing: str, read: Any) -> list[Any]:
        found: list[Any] = []
        while self._peek().text != closing:
            found.append(read())
            if self._peek().text != closing:
                self._expect(",", f"Entries are parted by commas and end with {closing}.")
        self._take()
        return found

    def _peek(self, ahead: int = 0) -> Token:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else self._end

    def _take(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, text: str, message: str) -> None:
        token = self._take()
        if token.text != text:
            raise LossError(token.start, token.end, message)


def _number(token: Token) -> float | int:
    if len(token.text) > MOST_DIGITS or not math.isfinite(float(token.text)):
        raise LossError(token.start, token.end, "This number is too large.")
    return int(token.text) if token.text.isdigit() else float(token.text)


def _quoted(token: Token) -> str:
    try:
        return str(json.loads(token.text))
    except ValueError:
        raise LossError(
            token.start,
            token.end,
            "A text in quotes stands on one line; \\ begins \\n, \\t, \\u00e9.",
        ) from None


def _registered(token: Token) -> str:
    """The registered name that somebody wrote, in any case."""
    names = TERMS.names()
    by_case = {name.lower(): name for name in names}
    found = by_case.get(token.text.lower())
    if found is None:
        raise _unknown(token, "There is no term", names)
    return found


def _unknown(token: Token, what: str, names: Any) -> LossError:
    known = tuple(names)
    near = nearest(token.text.lower(), known)
    listed = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
    return LossError(
        token.start,
        token.end,
        f"{what} {token.text!r}. {f'Did you mean {near}? ' if near else ''}There are: {listed}."
        if known
        else f"{what} {token.text!r}; it has none.",
        near,
        known,
    )


def _wants_term(token: Token) -> str:
    if token.kind == "end":
        return "The loss ends where a term should follow. Write for example 0.1 * CE."
    return f"A term is needed here, not {token.text!r}. Write for example 0.9 * KD(T=4)."
