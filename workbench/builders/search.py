"""Training-free search of a student: mutate, refuse what is too large, score, keep the best.

Unusual here: one fixed batch and one seed of weights for all candidates (the released code draws a
new batch for each, which is noise that the best of thousands selects); a candidate is scored once
however often it is drawn; and whatever is refused is counted. One step scores one candidate.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from workbench.builders.builder import BuildContext
from workbench.builders.latency import latency
from workbench.builders.scores import fit, signature
from workbench.builders.space import Candidate
from workbench.errors import BadFile, BadModel
from workbench.models.cell_kinds import CnnCells
from workbench.randomness import key, uniform

if TYPE_CHECKING:
    from workbench.builders.spec import SearchSpec
    from workbench.models.adapter import ModelAdapter

TRIES = 200
"""Fruitless draws in a row before the search takes the smallest candidate, or ends."""
CROWD = 10
"""A population above this changes two blocks at a time, as the released search does."""
NEEDS_SEMANTIC = ("diswot", "semantic")
FLOPS_PER_MAC = 2


@dataclass(frozen=True)
class Scored:
    """A candidate that was scored.

    Attributes:
        candidate: Number of the chosen block of each stage.
        score: What the search climbs.
        relation: DisWOT's relation score, <= 0.
        semantic: Its semantic score, <= 0; None where the penultimate widths differ.
        parameters: Of the network.
        macs: Multiply-accumulates an image.
    """

    candidate: Candidate
    score: float
    relation: float
    semantic: float | None
    parameters: int
    macs: int


class Search:
    """An evolutionary search, a candidate a step.

    Args:
        spec: Space, budget, score and length.
        context: Batch, teacher, data and seed.

    Attributes:
        space: Where candidates come from.
        head: Penultimate width of all candidates.

    Raises:
        BadModel: If not even the smallest candidate meets the budget, or the score needs a linear
            classifier of the teacher, a label or a penultimate width that is not there.

    Reference:
        Dong, Li, Wei 2023 (DisWOT), arXiv:2303.15678.
    """

    def __init__(self, spec: SearchSpec, context: BuildContext) -> None:
        self.spec, self._context = spec, context
        self.space = spec.choices()
        self._teacher = signature(context.teacher, context.batch)
        self.head = self._checked_head()
        self._sizes: dict[Candidate, tuple[int, int]] = {}
        self._latest: tuple[Candidate, ModelAdapter] | None = None
        self._refuse_budget()
        self._clear()

    @property
    def total(self) -> int:
        """Candidates that are scored, unless no new one is found before."""
        return self.spec.iterations

    @property
    def steps(self) -> int:
        """Candidates that were scored."""
        return len(self._history)

    @property
    def done(self) -> bool:
        """Whether all were scored, or no new one within the budget turns up."""
        return self._exhausted or self.steps >= self.total

    @property
    def best(self) -> Scored | None:
        """The highest score, the earliest of equal ones; None before the first step."""
        return self._population[0] if self._population else None

    @property
    def history(self) -> tuple[Scored, ...]:
        """Everything that was scored, in order."""
        return tuple(self._history)

    def step(self) -> None:
        """Score the next candidate; the search is done where no new one is found.

        Raises:
            BadModel: If no candidate at all has a finite score.
        """
        if self.done:
            return
        for _ in range(TRIES):
            candidate = self._draw()
            if candidate is None:
                break
            scored = self.evaluate(candidate)
            if scored is not None:
                self._take(scored)
                return
            self._not_finite[candidate] = None
        self._exhausted = True
        if not self._population:
            raise BadModel(
                f"search: none of {len(self._not_finite)} candidates has a finite score. Look at "
                "the data: an image with infinite or missing values is the usual cause."
            )

    def row(self) -> dict[str, float]:
        """Numbers of the last step and the best score so far; empty before the first."""
        if not self._history:
            return {}
        last, best = self._history[-1], self._population[0]
        row = {"score": last.score, "best_score": best.score, "relation": last.relation}
        if last.semantic is not None:
            row["semantic"] = last.semantic
        return row | {"parameters": float(last.parameters), "macs": float(last.macs)}

    def state(self) -> dict[str, Any]:
        """All that was found so far, as JSON values."""
        return {
            "search": self._identity(),
            "draws": self._draws,
            "history": [list(asdict(scored).values()) for scored in self._history],
            "not_finite": [list(candidate) for candidate in self._not_finite],
            "repeated": self._repeated,
            "over_budget": self._over_budget,
            "exhausted": self._exhausted,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` gave, to the bits of a search that was never stopped.

        Raises:
            BadFile: If it is damaged, or of a search with another spec, seed or data.
        """
        if state.get("search") != self._identity():
            raise BadFile(
                "The state of the search is of another one: spec, seed or data differ. "
                "Resume with the experiment it was saved by, or search anew."
            )
        try:
            history = [self._parsed(entry) for entry in state["history"]]
            not_finite = [self._known(entry) for entry in state["not_finite"]]
            counts = [int(state[name]) for name in ("draws", "repeated", "over_budget")]
            exhausted = bool(state["exhausted"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadFile(f"The state of the search is damaged: {error}. Search anew.") from None
        self._clear()
        for scored in history:
            self._take(scored)
        self._not_finite.update(dict.fromkeys(not_finite))
        self._draws, self._repeated, self._over_budget = counts
        self._exhausted = exhausted

    def result(self) -> dict[str, Any]:
        """The best candidate so far and what is true of it, as JSON values.

        Returns:
            ``student``, the mapping that builds it; ``score`` and ``scores``; ``parameters``,
            ``macs`` and ``flops`` (two a MAC) an image; ``latency_ms`` of a batch with its spread,
            measured now; ``evaluated`` and ``rejected`` counts; ``budget``; ``exhausted``, whether
            it ended because nothing new was found.

        Raises:
            BadModel: If nothing was scored yet.
        """
        best = self.best
        if best is None:
            raise BadModel("search: no candidate was scored yet. Make at least one step.")
        adapter = self._built(best.candidate)
        return {
            "student": self.mapping(best.candidate),
            "score": best.score,
            "scores": {"relation": best.relation, "semantic": best.semantic},
            "parameters": best.parameters,
            "macs": best.macs,
            "flops": FLOPS_PER_MAC * best.macs,
            **latency(adapter, self._context.model.shape, device=self._context.device),
            "evaluated": self.steps,
            "rejected": {
                "over_budget": self._over_budget,
                "repeated": self._repeated,
                "not_finite": len(self._not_finite),
            },
            "budget": {
                "max_parameters": self.spec.max_parameters,
                "max_macs": self.spec.max_macs,
            },
            "exhausted": self._exhausted,
        }

    def mapping(self, candidate: Candidate) -> dict[str, Any]:
        """The plain mapping that builds a candidate, fit for ``student:`` in an experiment."""
        return self.spec.mapping(self.space.fields(candidate), self.head)

    def evaluate(self, candidate: Candidate) -> Scored | None:
        """All numbers of one candidate, a pure function of it; None where one is not finite."""
        adapter = self._built(candidate)
        found = fit(signature(adapter, self._context.batch), self._teacher)
        parameters, macs = adapter.facts.num_parameters, adapter.facts.macs
        score = {
            "diswot": sum(found.values()),
            "parameters": float(parameters),
            "random": float(uniform([0], self._context.seed, "score", list(candidate))[0]),
            **found,
        }[self.spec.score]
        if not all(map(math.isfinite, (score, *found.values()))):
            return None
        return Scored(candidate, score, found["relation"], found.get("semantic"), parameters, macs)

    def sample(self, count: int) -> list[Candidate]:
        """Different random candidates within the budget, pure in the seed.

        Args:
            count: How many, >= 0; fewer come where so many are not found.
        """
        chosen: dict[Candidate, None] = {}
        draw = fruitless = 0
        while len(chosen) < count and fruitless < TRIES:
            candidate = self.space.random(key(self._context.seed, "sample", draw))
            draw, fruitless = draw + 1, fruitless + 1
            if candidate not in chosen and self._fits(candidate):
                chosen[candidate], fruitless = None, 0
        return list(chosen)

    def _draw(self) -> Candidate | None:
        """The next new candidate within the budget, or None where none turns up."""
        for tries in range(TRIES):
            candidate = self._proposed(key(self._context.seed, "search", self._draws), tries)
            self._draws += 1
            if candidate in self._seen or candidate in self._not_finite:
                self._repeated += 1
            elif not self._fits(candidate):
                self._over_budget += 1
            else:
                return candidate
        # where hardly anything meets the budget, the smallest does: it was checked at the start
        smallest = self.space.smallest()
        return None if smallest in self._seen or smallest in self._not_finite else smallest

    def _proposed(self, draw: int, tries: int) -> Candidate:
        if not self._population or tries >= TRIES // 2:  # around all parents everything is known
            return self.space.random(draw)
        place = int(uniform([0], draw, "parent")[0] * len(self._population))
        count = 2 if len(self._population) > CROWD else 1
        return self.space.mutate(self._population[place].candidate, count, draw)

    def _take(self, scored: Scored) -> None:
        self._history.append(scored)
        self._seen.add(scored.candidate)
        insort(self._population, scored, key=lambda other: -other.score)
        del self._population[self.spec.population :]

    def _clear(self) -> None:
        self._history: list[Scored] = []
        self._population: list[Scored] = []
        self._seen: set[Candidate] = set()
        self._not_finite: dict[Candidate, None] = {}
        self._draws = self._repeated = self._over_budget = 0
        self._exhausted = False

    def _built(self, candidate: Candidate) -> ModelAdapter:
        """Its network with initial weights; the last one is kept: it is counted, then scored."""
        if self._latest is None or self._latest[0] != candidate:
            spec = CnnCells.model_validate(self.mapping(candidate))
            self._latest = candidate, spec.build(self._context.model).to(self._context.device)
        return self._latest[1]

    def _size(self, candidate: Candidate) -> tuple[int, int]:
        """Parameters and MACs of the network itself, counted once a candidate."""
        if candidate not in self._sizes:
            facts = self._built(candidate).facts
            self._sizes[candidate] = facts.num_parameters, facts.macs
        return self._sizes[candidate]

    def _fits(self, candidate: Candidate) -> bool:
        limits = self.spec.max_parameters, self.spec.max_macs
        if limits == (None, None):
            return True
        return all(
            limit is None or size <= limit
            for size, limit in zip(self._size(candidate), limits, strict=True)
        )

    def _refuse_budget(self) -> None:
        """Parameters and MACs grow with every field, so the smallest candidate decides."""
        smallest = self.space.smallest()
        if self._fits(smallest):
            return
        parameters, macs = self._size(smallest)
        limits = {"max_parameters": self.spec.max_parameters, "max_macs": self.spec.max_macs}
        asked = " and ".join(f"{name}={value}" for name, value in limits.items() if value)
        raise BadModel(
            f"search: no candidate meets the budget {asked}. The smallest of the space has "
            f"{parameters} parameters and {macs} MACs: {self.mapping(smallest)}. Raise the budget, "
            "or add smaller widths, kernels or depths to `space`."
        )

    def _checked_head(self) -> int:
        width = self._teacher.width
        needs = self.spec.score in NEEDS_SEMANTIC
        if self.spec.head is None and width is None:
            raise BadModel(
                f"search: the teacher {self._context.teacher.facts.name} has no linear classifier, "
                "so its penultimate width is unknown. Set `head` and score by `relation`."
            )
        head = self.spec.head or width or 0
        if needs and head != width:
            raise BadModel(
                f"search: `head` is {head}, but score {self.spec.score!r} compares classifiers and "
                f"the teacher's reads {width or 'nothing linear'}. Leave `head` out, or score by "
                "`relation`."
            )
        if needs and not bool(self._context.batch.labelled.any()):
            raise BadModel(
                f"search: score {self.spec.score!r} needs labels and the batch has none. Show "
                "labels (`labels_per_class`), or score by `relation`."
            )
        return head

    def _identity(self) -> int:
        """Equal for searches that may share a state."""
        model = self._context.model
        return key(self.spec.full(), self._context.seed, model.seed, model.shape, self.head)

    def _known(self, entry: Any) -> Candidate:
        if not self.space.holds(entry):
            raise ValueError(f"{entry!r} is no candidate of the space")
        return tuple(entry)

    def _parsed(self, entry: Any) -> Scored:
        names = [field.name for field in fields(Scored)]
        values = dict(zip(names, entry, strict=True))
        return Scored(**{**values, "candidate": self._known(values["candidate"])})
