"""Recipes as cards and as facets: what each is about, by its own specs, and what it did here.

Unusual here: no recipe carries tags. What the student sees follows from what its terms need, the
kind of teacher from its target, and so on; a recipe of one's own is filed by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from workbench_widgets.words import fixed

from workbench.dashboard import wording
from workbench.runs.listing import Line, alike, gain_here, setting_of, time_here
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import StageSpec
from workbench.terms.term import TermKind

RELATIONS: Final = frozenset({"relations", "cka", "token_graph"})
"""Modules of formulas that compare pairs of samples or of positions."""
REMEMBERING: Final = frozenset({"crd", "info-nce"})
"""Terms that compare a sample with others that the teacher saw."""
QUICK_SECONDS: Final = 90.0
METHOD = re.compile(r"\(([^()]{2,20})\)")
YEAR = re.compile(r"\b(19|20)\d{2}\b")
GROUPS: Final = (
    ("modality", "Modality"),
    ("sees", "What the student sees"),
    ("teacher", "Teacher"),
    ("needs", "Needs"),
)
"""Facets in order: name and title."""
ORDER: Final[Mapping[str, Sequence[str]]] = {
    "modality": ("Image", "Text", "Table"),
    "sees": ("Logits", "Features", "Relations", "Attention", "Inputs only"),
    "teacher": ("One, frozen", "Several", "Own past", "Earlier stage", "None"),
    "needs": ("Runs offline", "≤ 90 s here, measured", "GPU for paper scale"),
}
TARGETS: Final = {
    "teacher": "One, frozen",
    "mix": "Several",
    "past": "Own past",
    "stage": "Earlier stage",
}


def cards(
    experiments: Mapping[str, tuple[ExperimentSpec, Path]], lines: Sequence[Line]
) -> list[dict[str, Any]]:
    """A card of each recipe.

    Args:
        experiments: By name, with the folder of each file.
        lines: Runs of this store: what was measured here.
    """
    return [_card(name, spec, lines) for name, (spec, _) in experiments.items()]


def facets() -> list[dict[str, Any]]:
    """Groups and their values in order; counts are made where the choice is made."""
    return [{"name": name, "title": title, "values": list(ORDER[name])} for name, title in GROUPS]


def tags_of(spec: ExperimentSpec, seconds: float | None) -> dict[str, list[str]]:
    """Values of each facet that an experiment has.

    Args:
        spec: The experiment.
        seconds: That a run of it took here, or None.
    """
    needs = ["Runs offline"] if _is_offline(spec) else []
    if seconds is not None and seconds <= QUICK_SECONDS:
        needs.append(ORDER["needs"][1])
    if spec.recipe is not None and "paper" in spec.recipe.scales:
        needs.append("GPU for paper scale")
    return {
        "modality": [_modality(spec)],
        "sees": _seen(spec),
        "teacher": _teachers(spec),
        "needs": needs,
    }


def _card(name: str, spec: ExperimentSpec, lines: Sequence[Line]) -> dict[str, Any]:
    recipe = spec.recipe
    own = alike(lines, setting_of(spec))
    spent, gain = time_here(own), gain_here(own)
    tags = tags_of(spec, None if spent is None else spent[0])
    paper = recipe.paper if recipe else ""
    year = YEAR.search(paper)
    return {
        "name": name,
        "title": title_of(name, paper),
        "file": f"{name}.yaml",
        "loss": wording.expression(spec.stage),
        "summary": recipe.summary if recipe else "",
        "short": first_sentence(recipe.summary) if recipe else "",
        "paper": paper,
        "claim": recipe.claim if recipe else "",
        "year": int(year[0]) if year else 0,
        "pair": f"{wording.model_name(spec.given()['teacher'])} → "
        f"{wording.model_name(spec.given()['student'])}",
        "way": wording.way(spec),
        "tags": tags,
        "sees": _sees_words(spec, tags["sees"]),
        "time": "" if spent is None else wording.duration(spent[0]),
        "slow": spent is not None and spent[1],
        "seconds": None if spent is None else spent[0],
        "gain": None if gain is None else gain["mean"],
        "gain_words": "" if gain is None else gain_words(gain["mean"]),
        "gain_of": "" if gain is None else _seeds(gain),
        "gain_note": "" if gain is None else _gain_note(gain),
    }


def gain_words(mean: float) -> str:
    """A difference of accuracies in percentage points: ``+1.4 pp``."""
    return f"{'+' if mean > 0 else ''}{fixed(100 * mean, 1)} pp"


def first_sentence(text: str) -> str:
    """Of a summary; all of it if it is one."""
    return re.split(r"(?<=[.:;])\s", text.strip(), maxsplit=1)[0].rstrip(":;")


def _seeds(gain: Mapping[str, Any]) -> str:
    return f"n = {gain['n']} seed{'s' if gain['n'] > 1 else ''}"


def _gain_note(gain: Mapping[str, Any]) -> str:
    """How sure one may be of a gain, in words."""
    if gain["interval"] is None:
        return "Student minus control on test, same seed. Too few seeds for an interval."
    low, high = (fixed(100 * end, 1) for end in gain["interval"])
    return (
        f"Student minus control on test, paired by seed: 95 % interval {low} to {high} percentage "
        "points."
    )


def title_of(name: str, paper: str) -> str:
    """What a card is called: as its paper calls the method, else the file's name as words.

    Example:
        >>> title_of("tgeo-kd-table", "Hu et al. 2024 (TGeo-KD), ICLR")
        'TGeo-KD, table'
    """
    method = METHOD.search(paper)
    if method and name.startswith(method[1].lower()):
        rest = name[len(method[1]) :].strip("-_").replace("-", " ")
        return f"{method[1]}, {rest}" if rest else method[1]
    return name.replace("-", " ").replace("_", " ").capitalize() if name.islower() else name


def _terms(stage: StageSpec) -> Iterable[TermKind]:
    """All terms of a stage, those inside others too."""
    for term in stage.terms.values():
        yield from _with_inner(term)


def _with_inner(term: Any) -> Iterable[TermKind]:
    yield term
    for part in ("a", "b"):
        inner = getattr(term, part, None)
        if isinstance(inner, TermKind):
            yield from _with_inner(inner)


def _seen(spec: ExperimentSpec) -> list[str]:
    found = {
        view for stage in spec.stages.values() for term in _terms(stage) for view in _views(term)
    }
    if any(stage.target.use == "past" for stage in spec.stages.values()):
        found.add("Logits")
    return [name for name in ORDER["sees"] if name in found] or ["Inputs only"]


def _views(term: TermKind) -> Iterable[str]:
    """What of its teacher a term shows the student."""
    loss = getattr(term, "loss", None)
    module = "" if loss is None else loss.function.__module__.rpartition(".")[2]
    if module == "attention" and term.use == "at":
        yield "Attention"
    elif module in RELATIONS or term.use in REMEMBERING:
        yield "Relations"
    elif any(need in ("teacher.features", "teacher.tokens") for need in term.needs):
        yield "Features"
    if "teacher.logits" in term.needs:
        yield "Logits"


def _sees_words(spec: ExperimentSpec, sees: Sequence[str]) -> str:
    words = ", ".join(name.lower() for name in sees)
    stages = len(spec.stages)
    players = len(getattr(spec.stage, "players", None) or {})
    more = [f"{stages} stages"] if stages > 1 else []
    more += [f"{1 + players} players"] if players else []
    more += ["rows chosen anew"] if spec.stage.policy is not None else []
    return ", ".join([words, *more])


def _teachers(spec: ExperimentSpec) -> list[str]:
    uses = {
        stage.target.use
        for stage in spec.stages.values()
        if any("teacher." in need for term in _terms(stage) for need in term.needs)
    }
    found = {TARGETS.get(use, use.capitalize()) for use in uses}
    return [name for name in ORDER["teacher"] if name in found] or ["None"]


def _modality(spec: ExperimentSpec) -> str:
    data: Any = spec.data
    while getattr(data, "of", None) is not None:
        data = data.of
    if type(data).__module__.endswith(".table"):
        return "Table"
    return "Text" if "text" in type(data).__module__ else "Image"


def _is_offline(spec: ExperimentSpec) -> bool:
    """Whether everything it needs is on any machine that has the workbench."""
    given = spec.given()
    models = [given["teacher"], given["student"]]
    names = [str(model.get("use", "") if isinstance(model, Mapping) else model) for model in models]
    reads = getattr(spec.data, "path", None)
    return reads is None and not any(name.startswith("hub:") for name in names)
