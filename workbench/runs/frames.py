"""The five frames of a run, from what the store holds of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from workbench_widgets import calibration, cka, curves, loyalty, trilateral
from workbench_widgets.frame import Frame, ViewName
from workbench_widgets.since import bases
from workbench_widgets.words import count, sampled

from workbench.errors import WorkbenchError
from workbench.runs import selected
from workbench.runs.beside import with_control
from workbench.runs.equal_mass import with_equal_mass
from workbench.runs.history import History, decimate
from workbench.runs.selected import Chosen, Untold
from workbench.runs.selected_layers import FEWEST, NOTHING, Known
from workbench.runs.train_rows import with_train_rows
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Snapshot
from workbench.store.runs import RunRow
from workbench.training.card import caption
from workbench.training.timeline import stands, timeline

CURVE_POINTS = 2000
"""Points of a term's curve that are sent at most; buckets keep their extremes."""

SNAPSHOT_VIEWS: tuple[ViewName, ...] = ("cka", "trilateral", "calibration", "loyalty")
LAYERS = ("teacher_layers", "student_layers")
"""Facts that name the axes of a map, also of one without a number."""
BUILDERS: dict[str, Callable[[Any, Any], Frame]] = {
    "cka": cka.frame,
    "trilateral": trilateral.frame,
    "calibration": calibration.frame,
    "loyalty": loyalty.frame,
}


class Frames:
    """Builds the frames of one run; knows its experiment.

    Args:
        history: What is known of the run; read anew at each call.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._stood: tuple[int, ExperimentSpec | None] = (-1, None)
        self.unread = ""
        """Why the experiment cannot be read, once somebody asked for it."""

    @cached_property
    def first(self) -> ExperimentSpec | None:
        """The experiment as it was started, or None if this workbench cannot read it any more."""
        try:
            return ExperimentSpec.parse(self._history.row.experiment)
        except WorkbenchError as error:
            self.unread = str(error)
            return None

    @property
    def spec(self) -> ExperimentSpec | None:
        """The experiment as it stands, or None if this workbench cannot read it any more."""
        changes = len(self._history.marks)
        if self._stood[0] != changes:
            self._stood = (changes, self._read())
        return self._stood[1]

    def _read(self) -> ExperimentSpec | None:
        if self.first is None:
            return None
        done = [item for item in timeline(self.first, self._history.events) if item.journalled]
        return stands(self.first, done)

    def of_snapshot(
        self,
        waits_for: str | None,
        ids: Sequence[int] = (),
        layers: Known | None = None,
        views: Sequence[ViewName] = SNAPSHOT_VIEWS,
    ) -> dict[str, Frame]:
        """Four views of the newest snapshot; before the first they say what they wait for.

        Args:
            waits_for: What that is, in words.
            ids: Samples whose numbers are asked for; empty: all. A view that has none of them
                alone says why instead.
            layers: What is known of the layer similarity of these; None: nothing was asked.
            views: Those that are wanted.
        """
        history = self._history
        made: dict[str, Frame] = {}
        chosen = Chosen.among(ids, history.latest.arrays) if history.latest is not None else None
        for view in views:
            if history.latest is None or view not in history.latest.facts:
                made[view] = self._waiting(view, waits_for)
            elif chosen is None:
                made[view] = BUILDERS[view](*self._given(view))
            else:
                made[view] = self._of(view, chosen, layers or NOTHING)
        return {view: captioned(frame, history.row, chosen) for view, frame in made.items()}

    def _of(self, view: ViewName, chosen: Chosen, layers: Known) -> Frame:
        """A view of some samples; where there are no such numbers, the reason in their place."""
        told = {"selected": chosen.facts()}
        try:
            if view == "cka":
                return self._layers(chosen, layers)
            frame = BUILDERS[view](*self._given(view, chosen))
            return replace(frame, facts={**frame.facts, **told})
        except Untold as reason:
            measured = self._history.latest.facts[view] if self._history.latest else {}
            axes = {name: measured[name] for name in LAYERS if name in measured}
            axes["steps_total"] = max(self._history.row.steps, 1)
            frame = BUILDERS[view]({}, {**told, **axes})
            return replace(
                frame,
                step=self._history.steps[-1],
                facts={**frame.facts, **told},
                waiting=str(reason),
                summary=str(reason),
                footer=(sampled(chosen.n, told), " · no number"),
            )

    def _layers(self, chosen: Chosen, layers: Known) -> Frame:
        """The similarity map of some samples; until it is there, the map before it.

        Raises:
            Untold: If they are fewer than the estimator needs.
        """
        if chosen.n < FEWEST:
            raise Untold(
                f"Not defined for n = {chosen.n}. Unbiased CKA needs {FEWEST} samples or more."
            )
        arrays, facts = self._given("cka")
        works = ""
        if layers.state == "working" and layers.words:
            works = layers.words[0].lower() + layers.words[1:]
        found = layers.found
        if found is None:
            why = f"{works}." if works else layers.words or selected.WHOLE_MAP
            all_ = {"n": facts["n"], "of": chosen.of}
            frame = noted(BUILDERS["cka"](arrays, facts), unlike(chosen, why, all_["n"]))
        else:
            of = {"n": len(found.ids), "of": chosen.of}
            names = ("split", "step", "steps_total")
            own = {**{name: facts[name] for name in names if name in facts}, **found.facts}
            own |= {"selected": of, "weights_step": found.step}
            frame = BUILDERS["cka"](*prepared("cka", found.arrays, own))
            said = (
                [f"Still the {count(of['n'])} selected before."] if found.ids != chosen.ids else []
            )
            said += [layers.words] if layers.state == "refused" else []
            frame = noted(frame, " ".join([*said, selected.layer_words(found.step, facts["step"])]))
        return replace(frame, facts={**frame.facts, "pending": works} if works else frame.facts)

    def curves(self, waits_for: str | None, ids: Sequence[int] = ()) -> Frame:
        """Accuracy at each snapshot and the weighted terms of each step so far.

        Args:
            waits_for: What a run without a snapshot waits for, in words.
            ids: Samples whose accuracy is asked for as well; empty: none.
        """
        history = self._history
        names = [name for name in history.train.columns if _is_term(name)]
        names = names or list(self.spec.stage.terms if self.spec else ())
        facts: dict[str, Any] = {
            "teacher_accuracy": history.teacher_accuracy,
            "term_names": names,
            "term_targets": [self._pull(name) for name in names],
            "steps_total": max(history.row.steps, 1),
            "split": "probe",
            "step": self.curve_step,
            "control_name": control_name(history.row.experiment),
            "marks": history.marks,
            "paused": history.row.status == "paused",
        }
        if history.latest is None or not len(history.probe.steps):
            frame = curves.frame({}, facts)
            return replace(frame, waiting=waits_for) if waits_for else frame
        facts["n"] = probe_rows(history.row, history.latest)
        if per_epoch := self.steps_per_epoch:
            facts["steps_per_epoch"] = per_epoch
        facts["times"] = [list(pair) for pair in history.times]
        facts["phases"] = self._phases()
        columns = [history.train.columns.index(name) for name in names if len(history.train.steps)]
        steps, values = np.zeros(0, np.int64), np.zeros((0, len(names)))
        if columns:
            logged = history.train.values[:, columns]
            steps, values = decimate(history.train.steps, logged, CURVE_POINTS)
        arrays = {
            "steps": history.probe.steps,
            "student_accuracy": history.probe.column("accuracy"),
            "term_steps": steps,
            "terms": values.T,
        }
        if len(history.control.steps):
            arrays["control_steps"] = history.control.steps
            arrays["control_accuracy"] = history.control.column("accuracy")
        chosen = Chosen.among(ids, history.latest.arrays)
        if chosen is None:
            return captioned(curves.frame(arrays, facts), history.row)
        found = selected.accuracies(history.answered, chosen)
        if found:
            facts["selected"] = chosen.facts()
        frame = curves.frame({**arrays, **found}, facts)
        if not found:
            frame = noted(frame, unlike(chosen, selected.OLDER))
        return captioned(frame, history.row, chosen)

    @property
    def curve_step(self) -> int:
        """Last step of the student that a curve holds; -1 before the first."""
        both = (self._history.train, self._history.probe)
        return max((int(series.steps[-1]) for series in both if len(series.steps)), default=-1)

    def _waiting(self, view: ViewName, waits_for: str | None) -> Frame:
        """Axes and a sentence; says so if the experiment does not measure this at all."""
        measured = [kind.use for kind in self.spec.probes] if self.spec else list(SNAPSHOT_VIEWS)
        frame = BUILDERS[view]({}, {"steps_total": max(self._history.row.steps, 1)})
        if view not in measured:
            told = f"Not measured in this run: `probes` of the experiment does not name {view}."
            return replace(frame, waiting=told)
        return replace(frame, waiting=waits_for) if waits_for else frame

    def _given(
        self, view: ViewName, chosen: Chosen | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts of a view as its builder wants them; of some samples only, if asked."""
        history = self._history
        snapshot = history.latest
        if snapshot is None:  # the caller has looked; this keeps the types honest
            return {}, {}
        prefix = f"{view}."
        arrays = {
            name.removeprefix(prefix): values
            for name, values in snapshot.arrays.items()
            if name.startswith(prefix)
        }
        facts = {**snapshot.facts[view], "steps_total": max(history.row.steps, 1)}
        if chosen is not None:
            facts["selected"] = chosen.facts()
            arrays, facts = selected.restricted(view, arrays, facts, chosen, snapshot.arrays)
        arrays, facts = prepared(view, arrays, facts)
        arrays |= selected.each_sample(view, snapshot.arrays)
        if view == "cka":
            arrays["history"] = np.stack(history.similarity)
            arrays["steps"] = np.asarray(history.steps[-len(history.similarity) :])
            facts["marks"] = [m for m in history.marks if m["step"] >= arrays["steps"][0]]
            arrays, facts = with_control(history, self.first, arrays, facts)
        elif view == "loyalty":
            arrays["table_history"] = self._tables(chosen)
            arrays["steps"] = np.asarray(history.steps)
            now = arrays.pop("student_right") > 0
            if history.right is not None and len(history.steps) > 1:
                rows = slice(None) if chosen is None else chosen.rows
                facts["gained"] = int((now & ~history.right)[rows].sum())
                facts["lost"] = int((~now & history.right)[rows].sum())
                facts["since"] = {"step": history.steps[0]}
                if len(history.rights) == len(history.steps):
                    facts["marks"] = history.marks
                    before = [history.rights[b.place] for b in bases(history.steps, history.marks)]
                    facts["changes"] = [
                        {
                            "gained": int((now & ~right)[rows].sum()),
                            "lost": int((~now & right)[rows].sum()),
                        }
                        for right in before
                    ]
            arrays, facts = with_train_rows(
                history.learned, history.steps, history.marks, arrays, facts
            )
        return arrays, facts

    def _tables(self, chosen: Chosen | None) -> np.ndarray:
        """Who is right, of each snapshot so far, shape (S, 2, 2)."""
        history = self._history
        if chosen is None or history.latest is None:
            return np.stack(history.tables)
        labels, theirs = (
            history.latest.arrays[f"answers.{n}"] for n in ("labels", "teacher_class")
        )
        return selected.tables_of(history.rights, labels == theirs, chosen)

    def _pull(self, term: str) -> str:
        kind = self.spec.stage.terms.get(term) if self.spec else None
        return str(getattr(kind, "pull", ""))

    def _phases(self) -> list[list[Any]]:
        """Name, first and last step of each phase of the learning rate."""
        schedule = self.spec.stage.schedule if self.spec else None
        steps = self._history.row.steps
        found: Sequence[Any] = getattr(schedule, "phases", lambda _: [])(steps) if steps else []
        return [list(phase) for phase in found]

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches of one pass; None where the length is given in steps or not known yet."""
        stage, steps = (self.spec.stage if self.spec else None), self._history.row.steps
        return steps // stage.epochs if stage is not None and stage.epochs and steps else None


def probe_rows(row: RunRow, latest: Snapshot | None) -> int:
    """Rows of the probe split that a run is looked at on; 0 while nobody knows them."""
    splits = (row.protocol or {}).get("splits") or {}
    if known := (splits.get("probe") or {}).get("rows"):
        return int(known)
    facts = latest.facts if latest else {}
    others = ("cka", "balance")  # on fewer rows, and on others
    return int(next((told["n"] for view, told in facts.items() if view not in others), 0))


def captioned(frame: Frame, row: RunRow, chosen: Chosen | None = None) -> Frame:
    """The frame with its conditions in a line: the run, and the protocol of its numbers."""
    protocol = {"seed": row.experiment.get("seed", 0), **(row.protocol or {})}
    line = caption(protocol, split="probe", step=frame.step) if frame.step >= 0 else ""
    told = frame.facts.get("selected") if chosen is not None else None
    part = f"{told['n']} of {told['of']} samples selected" if told else ""
    weights = frame.facts.get("weights_step", frame.step)
    part += f", by the student's weights of step {weights}" if weights != frame.step else ""
    return replace(frame, caption="; ".join(filter(None, (f"run {row.id}", line, part))))


def unlike(chosen: Chosen, why: str, shown: int | None = None) -> str:
    """Why a view shows all samples (``shown`` of them) and not the selected ones."""
    shown = chosen.of if shown is None else shown
    all_ = f"All {count(shown)}" if shown == chosen.of else f"The first {count(shown)}"
    return f"{all_}, not the {count(chosen.n)} selected: {why}"


def noted(frame: Frame, words: str) -> Frame:
    """The frame with a sentence more below its plot."""
    return replace(frame, parts=(*frame.parts, {"kind": "note", "text": [words]}))


def prepared(
    view: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a probe measured, as the view's builder wants it; without a history."""
    if view == "cka":
        return dict(arrays), {**facts, "reasons": _reasons(facts)}
    if view == "loyalty":
        short = {name: v[:2] for name, v in arrays.items() if name.endswith("by_class")}
        return {**arrays, **short}, dict(facts)
    if view == "calibration" and "student_edges_mass" not in arrays:  # else those of a selection
        return with_equal_mass(arrays, facts)
    return dict(arrays), dict(facts)


def _reasons(facts: Mapping[str, Any]) -> dict[str, str]:
    """Why a cell is undefined, by ``"i,j"``, from the reasons of its two layers."""
    found = {}
    for i, teacher in enumerate(facts["teacher_layers"]):
        for j, student in enumerate(facts["student_layers"]):
            why = facts["teacher_reasons"].get(teacher) or facts["student_reasons"].get(student)
            if why:
                found[f"{i},{j}"] = why
    return found


def _is_term(column: str) -> bool:
    """Whether a column of a step is a weighted term: what terms and players log has a dot."""
    return column not in ("loss", "lr") and "." not in column


def control_name(experiment: Mapping[str, Any]) -> str:
    """What the control's curve is called."""
    listed = isinstance(experiment.get("control"), Mapping)
    return "control, as listed" if listed else "control, labels only"
