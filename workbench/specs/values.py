"""Numbers in an experiment file: plain, on a named schedule, or computed by a user's function.

``weight: 0.9`` · ``weight: {use: linear, start: 0, end: 1}`` · ``weight: {import: my_module:ramp}``
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from workbench.errors import BadInput, nearest
from workbench.specs.base import Spec


class Ramp(Spec):
    """A number that goes from ``start`` to ``end`` over a share of the stage, then stays."""

    use: Literal["linear", "cosine", "step"]
    start: float
    end: float
    begin: float = Field(
        0.0, ge=0, le=1, description="Share of the stage at which it leaves start."
    )
    until: float = Field(1.0, ge=0, le=1, description="Share of the stage at which it is at end.")

    @model_validator(mode="after")
    def _begin_before_until(self) -> Ramp:
        if self.begin > self.until:
            raise PydanticCustomError("ramp_order", "`begin` must not lie after `until`", {})
        return self

    def at(self, step: int, steps: int) -> float:
        """Value at a step in [0, steps)."""
        progress = step / max(steps - 1, 1)
        if progress >= self.until:
            return self.end
        if progress <= self.begin or self.use == "step":
            return self.start
        share = (progress - self.begin) / (self.until - self.begin)
        if self.use == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + (self.end - self.start) * share

    def ends(self) -> tuple[float, ...]:
        """Both ends, for a check of bounds."""
        return self.start, self.end


class Imported(Spec):
    """A number computed by ``function(step, steps) -> float`` of an importable module."""

    path: str = Field(alias="import", pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")

    def given(self) -> dict[str, str]:
        """As in the file."""
        return {"import": self.path}

    def full(self) -> dict[str, str]:
        """As in the file."""
        return {"import": self.path}

    def at(self, step: int, steps: int) -> float:
        """Value at a step.

        Raises:
            BadInput: If the function cannot be found or returns no finite number.
        """
        value = self.function()(step, steps)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise BadInput(
                f"`import: {self.path}` returned {value!r} at step {step}; "
                "a finite number is needed."
            )
        return float(value)

    def function(self) -> Callable[[int, int], Any]:
        """The named function."""
        module, _, name = self.path.partition(":")
        try:
            found: Callable[[int, int], Any] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise BadInput(
                f"`import: {self.path}` cannot be loaded ({error}). "
                "Put the module on the Python path, or write a number."
            ) from None
        return found

    def ends(self) -> tuple[float, ...]:
        """Nothing is known before the function is called."""
        return ()


Value: TypeAlias = float | Ramp | Imported


def value_at(value: Value, step: int, steps: int) -> float:
    """What a value is at a step of a stage of ``steps`` steps."""
    return value if isinstance(value, float) else value.at(step, steps)


@dataclass(frozen=True)
class Bounds:
    """Annotation of a :data:`Value` field: which numbers are allowed.

    Both ends are inclusive unless ``open_*``; ``None`` is unbounded.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def __str__(self) -> str:
        parts = []
        if self.low is not None:
            parts.append(f"{'>' if self.open_low else '≥'} {self.low:g}")
        if self.high is not None:
            parts.append(f"{'<' if self.open_high else '≤'} {self.high:g}")
        return " and ".join(parts) or "any finite number"

    def allow(self, number: float) -> bool:
        """Whether a number lies inside."""
        if self.low is not None and (number <= self.low if self.open_low else number < self.low):
            return False
        return not (
            self.high is not None
            and (number >= self.high if self.open_high else number > self.high)
        )

    def check(self, value: Any) -> Value:
        """A :data:`Value` from plain data; raises PydanticCustomError in user's words."""
        if isinstance(value, (Ramp, Imported)):
            parsed: Value = value
        elif isinstance(value, Mapping):
            parsed = _mapping(value)
        else:
            parsed = self._number(value)
        for number in (parsed,) if isinstance(parsed, float) else parsed.ends():
            if not self.allow(number):
                raise PydanticCustomError(
                    "bounds", "must be {allowed}", {"allowed": str(self), "number": number}
                )
        return parsed

    def _number(self, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise PydanticCustomError(
                "number",
                "must be a number ({allowed}), a schedule "
                "such as {use: linear, start: 0, end: 1}, or {import: module:function}",
                {"allowed": str(self)},
            )
        return number

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)


Weight = Annotated[Value, Bounds(0.0, 1e6)]
"""Weight of a term: 0 to a million."""


def _mapping(value: Mapping[str, Any]) -> Value:
    if "import" in value:
        return Imported.model_validate(value)
    use = value.get("use")
    known = ("linear", "cosine", "step")
    if use not in known:
        near = nearest(str(use), known)
        ask = f" Did you mean {near!r}?" if near else ""
        raise PydanticCustomError(
            "ramp", "`use` must be one of linear, cosine, step.{ask}", {"ask": ask}
        )
    return Ramp.model_validate(value)
