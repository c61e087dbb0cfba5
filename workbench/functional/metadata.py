"""What a loss says about itself; its Term, form, YAML schema and docs page derive from it.

No torch here: an experiment is validated, and `workbench terms` printed, without loading it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Pull = Literal["teacher", "labels"]
"""What a loss pulls the student towards; decides its colour and whether the control keeps it."""


@dataclass(frozen=True)
class Parameter:
    """Bounds and one line of help of one keyword of a loss.

    ``low`` and ``high`` are inclusive unless the matching ``open_*`` is set; ``None`` is unbounded.
    ``choices`` replaces bounds for words. ``live`` parameters may be set while a run trains.
    """

    help: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    unit: str = ""
    live: bool = True


@dataclass(frozen=True)
class Loss:
    """The facts of one loss.

    Attributes:
        name: Registered name, as in YAML (``use: kd``).
        function: Pure function ``(student..., teacher..., labels..., *, parameters)`` -> values.
        summary: First line of its docstring.
        paper: Author, year, arXiv id or venue.
        needs: What it reads, in the order of its arguments: ``student.logits``,
            ``teacher.logits``, ``labels``, ``student.features``, ``teacher.features``, ...
        pull: ``teacher`` or ``labels``.
        unit: Of the value ("nats", "1").
        per_sample: True when the value has one entry a sample; False for set statistics (a scalar).
        parameters: Keyword name to bounds.
        defaults: Keyword name to default, read from the signature.
        lower_bound: Smallest possible value, for axes; None if unbounded.
        upper_bound: Largest possible value, or None.
        min_samples: Fewest samples for which the value is defined (4 for unbiased CKA). A batch
            with fewer has no valid unit: the term is 0 there.
    """

    name: str
    function: Callable[..., Any]
    summary: str
    paper: str
    needs: tuple[str, ...]
    pull: Pull
    unit: str
    per_sample: bool
    parameters: Mapping[str, Parameter]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lower_bound: float | None = 0.0
    upper_bound: float | None = None
    min_samples: int = 1


LOSSES: dict[str, Loss] = {}
"""Every loss by name; filled by importing the modules of :mod:`workbench.functional`."""


def loss(
    name: str,
    *,
    paper: str,
    needs: tuple[str, ...],
    pull: Pull = "teacher",
    unit: str = "nats",
    per_sample: bool = True,
    parameters: Mapping[str, Parameter] | None = None,
    lower_bound: float | None = 0.0,
    upper_bound: float | None = None,
    min_samples: int = 1,
) -> Callable[[Function], Function]:
    """Register a stateless loss with its facts; the function itself stays as it is.

    Raises:
        TypeError: If ``parameters`` does not name exactly the keyword-only arguments.
    """

    def register(function: Function) -> Function:
        defaults = {
            key: value.default
            for key, value in inspect.signature(function).parameters.items()
            if value.kind is inspect.Parameter.KEYWORD_ONLY
        }
        described = dict(parameters or {})
        if set(described) != set(defaults):
            raise TypeError(
                f"loss {name!r}: parameters {sorted(described)} must describe "
                f"the keyword-only arguments {sorted(defaults)}"
            )
        summary = (inspect.getdoc(function) or "").splitlines()[0]
        LOSSES[name] = Loss(
            name, function, summary, paper, needs, pull, unit, per_sample,
            described, defaults, lower_bound, upper_bound, min_samples,
        )  # fmt: skip
        return function

    return register
