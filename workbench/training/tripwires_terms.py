"""Checks of one term on the tensors of a first batch: laws that its values must obey.

Shapes: B = sample, K = class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.models.adapter import LOGITS
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.terms.term import TermValue
from workbench.training.device import reseed
from workbench.training.objective import WiredTerm
from workbench.training.rehearsal import as_found, gradients
from workbench.training.tripwires import Finding

SAME = 1e-4
"""Relative gap below which two float32 values of a loss count as equal."""
MOVED = 1e-2
"""Relative gap from which they count as different."""
SHIFT = 3.0
"""Largest number that is added to scores."""


SOFTMAXES = frozenset(
    {torch.ops.aten._softmax, torch.ops.aten._log_softmax, torch.ops.aten.logsumexp}
)
"""What a softmax over an axis comes down to."""


@dataclass(frozen=True)
class Trial:
    """One term with the tensors of a batch.

    Attributes:
        wired: The term; its memory stays as it is.
        kind: What the experiment says of it.
        values: Live parameters.
        student: Its taps.
        target: The teacher's.
        batch: The rows.
        seed: Of what the term draws.
    """

    wired: WiredTerm
    kind: Any
    values: Mapping[str, float]
    student: Taps
    target: Taps
    batch: Batch
    seed: int

    @property
    def subject(self) -> str:
        """As the findings name it."""
        return f"terms.{self.wired.name}"

    @property
    def module(self) -> nn.Module | None:
        """What the term learns."""
        return self.wired.term.module

    def value(self, **values: float) -> TermValue:
        """The term's values, without a graph, with other parameters."""
        with as_found(self.module), torch.no_grad():
            return self._value(self.student, values)

    def slopes(self, **values: float) -> tuple[Tensor, list[Tensor | None], list[Tensor | None]]:
        """Reduced value, gradient of the student's taps, and of what the term learns.

        The term has seen the batch once before: one that remembers has then something to recall.
        """
        leaves = Taps(
            {
                name: tensor.detach().clone().requires_grad_()
                for name, tensor in self.student.items()
                if tensor.is_floating_point()
            }
        )
        taps = Taps({**self.student, **leaves})
        learned = [] if self.module is None else trainable(self.module)
        with as_found(self.module), torch.enable_grad():
            self._value(taps, values)
            reduced = self._value(taps, values).reduced()
            found = gradients(reduced, [*leaves.values(), *learned])
        return reduced.detach(), found[: len(leaves)], found[len(leaves) :]

    def of_rows(self, rows: Tensor) -> Trial:
        """The same on these rows of the batch."""
        return replace(
            self,
            student=Taps({name: tensor[rows] for name, tensor in self.student.items()}),
            target=Taps({name: tensor[rows] for name, tensor in self.target.items()}),
            batch=Batch(self.batch.ids[rows], self.batch.inputs[rows], self.batch.labels[rows]),
        )

    def shifted(self, shift: Tensor) -> Trial:
        """The same with numbers added to the student's scores."""
        return replace(self, student=Taps({**self.student, LOGITS: self.student[LOGITS] + shift}))

    def _value(self, student: Taps, values: Mapping[str, float]) -> TermValue:
        reseed(self.seed, "rehearsal", 2)
        return self.wired.term(student, self.target, self.batch, {**self.values, **values})


def learned_part(trial: Trial) -> Iterator[Finding]:
    """What a term learns must be able to learn."""
    module = trial.module
    parameters = [] if module is None else list(module.named_parameters())
    if not parameters:
        return
    if not any(parameter.requires_grad for _, parameter in parameters):
        yield Finding(
            "learned-part",
            "stop",
            trial.subject,
            f"its learned part ({type(module).__name__}, {len(parameters)} weights) is frozen: "
            "every weight has requires_grad=False, so a random map stands between the networks "
            "for good. Remove `requires_grad_(False)`; a part that shall not learn belongs into "
            "buffers.",
        )
        return
    _, _, learned = trial.slopes()
    if all(slope is None for slope in learned):
        yield Finding(
            "learned-part",
            "stop",
            trial.subject,
            f"its learned part ({type(module).__name__}, {len(parameters)} weights) gets no "
            "gradient from the term: it is built but not used, or what it gives is detached. Use "
            "it in the term's value, or leave it out.",
        )
    elif not any(slope is not None and bool((slope != 0).any()) for slope in learned):
        yield Finding(
            "learned-part",
            "warn",
            trial.subject,
            f"its learned part ({type(module).__name__}, {len(parameters)} weights) gets a "
            f"gradient of exactly 0 on {len(trial.batch.ids)} images: a layer of it is probably "
            "dead from the start (every ReLU off). Another `seed` draws other initial weights.",
        )


def no_effect(trial: Trial) -> Iterator[Finding]:
    """A live setting must change the value or its gradient, if only in the last bit."""
    value, taps, learned = trial.slopes()
    if not any(slope is not None and bool((slope != 0).any()) for slope in taps):
        return  # nothing to scale: no valid unit in this batch
    for name in trial.values:
        others = _others(trial, name)
        if others and all(
            _equal((value, taps, learned), trial.slopes(**{name: other})) for other in others
        ):
            tried = " and ".join(f"{other:g}" for other in others)
            yield Finding(
                "no-effect",
                "warn",
                trial.subject,
                f"`{name}` has no effect: value and gradient have the same bits with "
                f"{trial.values[name]:g} as with {tried}. {trial.kind.use} reads "
                f"{', '.join(getattr(trial.kind, 'needs', ())) or 'other things'}; the setting "
                "probably belongs to another term.",
            )


def _others(trial: Trial, name: str) -> list[float]:
    """Two other values of a parameter, inside its bounds."""
    now = trial.values[name]
    bounds = trial.kind.bounds(name)
    chosen = [2 * now, now / 2] if now else [0.5, 1.0]
    return [value for value in chosen if value != now and bounds.allow(value)]


def _equal(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    pairs = [(before[0], now[0])]
    for mine, theirs in zip(before[1:], now[1:], strict=True):
        pairs += zip(mine, theirs, strict=True)
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def wrong_axis(trial: Trial) -> Iterator[Finding]:
    """Values are a sample each, scores are compared over classes, a batch is averaged."""
    count, classes = trial.student[LOGITS].shape
    if count == classes:  # then an axis cannot be told by its length
        trial, count = trial.of_rows(torch.arange(count - 1)), count - 1
    found = trial.value()
    shape = tuple(found.value.shape)
    reduced = _number(found)
    if len(shape) > 1 or (shape == (classes,) and classes > 1):
        unit = "a class" if shape == (classes,) else "an entry"
        yield _axis(
            trial,
            f"gives values of shape {shape} for {count} samples of {classes} classes, a number "
            f"{unit} where one a sample is needed. It is reduced over the wrong axis: sum over "
            "the last one (`dim=-1`).",
        )
        return
    per_class = torch.linspace(-SHIFT, SHIFT, classes, device=trial.batch.ids.device)
    per_sample = torch.linspace(-SHIFT, SHIFT, count, device=trial.batch.ids.device)[:, None]
    blind = _gap(reduced, _number(trial.shifted(per_class).value())) < SAME
    sees = blind and _gap(reduced, _number(trial.shifted(per_sample).value())) > MOVED
    if sees and _softmax_over_batch(trial, (count, classes)):
        yield _axis(
            trial,
            "does not change when a number is added to a class of every sample, and changes when "
            "one is added to all classes of a sample: the softmax is taken over the batch "
            "(`dim=0`), so samples compete instead of classes. Take it over the last axis "
            "(`dim=-1`).",
        )
        return
    if shape in ((), (1,)):
        twice = _number(trial.of_rows(torch.arange(count).repeat(2)).value())
        if abs(reduced) > 0 and _gap(2 * reduced, twice) < SAME:
            yield _axis(
                trial,
                f"doubles ({reduced:.4g}, {twice:.4g}) when the same {count} samples come twice: "
                "it adds up the batch, so the batch size acts as a weight. Average over samples, "
                "or return one value a sample.",
            )
        return
    if shape == (count,) and not type(trial.kind).__module__.startswith("workbench."):
        yield from _company(trial, found)


def _company(trial: Trial, found: TermValue) -> Iterator[Finding]:
    """Of a user's term: the value of a sample may depend on the others, but seldom should."""
    half = torch.arange(len(found.value) // 2)
    alone = trial.of_rows(half).value().value
    together = found.value[half]
    if alone.shape == together.shape:
        gap = float((alone - together).abs().max() / together.abs().max().clamp_min(1e-12))
        if gap > MOVED:
            yield Finding(
                "wrong-axis",
                "warn",
                trial.subject,
                f"the value of a sample depends on the others of its batch (by {gap:.0%} when half "
                "of them are left out). That is right for a contrastive or relational loss; "
                "otherwise something is normalised or averaged over axis 0.",
            )


def _softmax_over_batch(trial: Trial, shape: tuple[int, int]) -> bool:
    """Whether a softmax of scores of this shape runs along the samples."""
    with _SoftmaxWatch(shape) as watch:
        trial.value()
    return bool(watch.over_batch)


class _SoftmaxWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at the axis of every softmax: a relational loss is blind to a class's shift, too."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shape = shape
        self.over_batch = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.overloadpacket in SOFTMAXES and tuple(args[0].shape) == self._shape:
            axes = args[1] if isinstance(args[1], (list, tuple)) else [args[1]]
            self.over_batch |= any(axis in (0, -2) for axis in axes)
        return func(*args, **(kwargs or {}))


def _axis(trial: Trial, message: str) -> Finding:
    return Finding("wrong-axis", "stop", trial.subject, message)


def _number(found: TermValue) -> float:
    return float(found.reduced()) if found.value.ndim <= 1 else float("nan")


def _gap(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b), 1e-6)


def trainable(module: nn.Module) -> list[Tensor]:
    """Parameters that take gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
