"""Two trained models side by side on fixed rows: the four views and their numbers, no training.

Unusual here: the temperature of a scaled reliability diagram is fitted on the split that is *not*
looked at, and what a model may have learned of the rows beforehand is said with the numbers.
Shapes: n = rows looked at, K = classes, Lt, Ls = layers of teacher, student.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.data.images import ImageData, build_data
from workbench.errors import UnknownName
from workbench.lazy import LazyModule
from workbench.probes.probe import Measured, Pair
from workbench.registries import PROBES
from workbench.runs.frames import BUILDERS, SNAPSHOT_VIEWS, prepared
from workbench.runs.keeper import StoreKeeper
from workbench.runs.opening import named
from workbench.runs.pair_views import PairViews
from workbench.runs.seen import Seen, seen_by
from workbench.store.store import Store
from workbench.training.card import SHORT, pair_caption

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch
    from workbench_widgets import Frame

    from workbench.probes.view import Look, Rows
    from workbench.training.teacher import Teacher
else:
    torch = LazyModule("torch")

OTHER = {"probe": "val", "val": "probe"}
"""Splits that may be looked at, each with the one that a temperature is fitted on then. Test is
read once, at the end of a training."""
ROLES = ("teacher", "student")


@dataclass(frozen=True)
class InspectedPair:
    """What two models say about the same rows; made by :func:`inspect_pair`.

    Attributes:
        numbers: ``n``; ``teacher`` and ``student``, each with ``accuracy``, ``nll`` in nats,
            ``ece`` with ``ece_null_p95``, ``aurc``; ``loyalty`` (``label`` and ``probability`` in
            [0, 1]); ``fidelity_kl`` in nats; ``copied_errors`` of ``teacher_wrong``; ``cka`` with
            ``teacher_layers``, ``student_layers`` and, by layer, ``unbiased`` and ``null_p95``,
            (Lt, Ls). None where a number is not finite.
        protocol: Under which conditions: ``split``, ``splits``, ``data``, both models with their
            hash and how many of the rows they were trained on (None: not known), versions.
        warnings: What makes a number say less than it seems to, a sentence each.
        frames: The views by name, as plain data.
        measured: What each probe found, by view.
    """

    numbers: Mapping[str, Any]
    protocol: Mapping[str, Any]
    warnings: tuple[str, ...]
    frames: Mapping[str, Frame]
    measured: Mapping[str, Measured]

    @cached_property
    def figures(self) -> dict[str, go.Figure]:
        """Each view as a static figure with its protocol in a line under it."""
        return {name: self.figure(name) for name in self.frames}

    def figure(self, view: str, **options: Any) -> go.Figure:
        """One view as a static figure (``theme``, ``width``, ``height``, toggles).

        Raises:
            UnknownName: For a view that a pair does not have.
        """
        if view not in self.frames:
            raise UnknownName("view of a pair", view, self.frames)
        return self.frames[view].figure(**options)

    @property
    def caption(self) -> str:
        """The conditions in one line, as it stands under each figure."""
        return pair_caption(self.protocol)

    @property
    def lines(self) -> list[str]:
        """The conditions, a line each."""
        data = self.protocol["data"]
        told = [f"data {data['name']} {data['hash'][:SHORT]}, samples of {_by(data['shape'])}"]
        for who in ROLES:
            one = self.protocol[who]
            seen = "not known" if one["seen"] is None else one["seen"]
            told.append(
                f"{who} {one['model']} {one['hash'][:SHORT]}: {one['parameters']} parameters, "
                f"sees samples of {_by(one['input_size'])}; rows looked at that it was trained on: "
                f"{seen}"
            )
        return [self.caption, *told, f"temperature scaling fitted on {self.protocol['fitted_on']}"]

    def show(self, view: str | None = None) -> PairViews:
        """The views for a notebook as ``run.show()`` draws them: all four, or one by name.

        Raises:
            UnknownName: For a view that a pair does not have.
        """
        if view is not None and view not in self.frames:
            raise UnknownName("view of a pair", view, self.frames)
        frames = {name: frame for name, frame in self.frames.items() if view in (None, name)}
        return PairViews(frames, [*self.warnings, self.caption])

    def save(self, path: str | Path, *, force: bool = False) -> list[Path]:
        """Write a page (``NAME.html``, stands alone) or a folder with the views' numbers as CSV.

        Args:
            path: A file that ends in .html, or a folder.
            force: Replace files that are there.

        Returns:
            The files that were written.

        Raises:
            BadFile: If nothing may be written there.
        """
        from workbench.runs.pair_files import write_pair

        return write_pair(self, Path(path), force=force)

    def __repr__(self) -> str:
        return f"InspectedPair({self.caption})"


def inspect_pair(
    *,
    teacher: Any,
    student: Any,
    data: Any,
    split: str = "probe",
    device: str = "auto",
    store: Store | str | None = None,
    told: Callable[[str], None] = lambda words: None,
) -> InspectedPair:
    """Look at two models that exist, without a training.

    Args:
        teacher: ``run:RUN@last|best|STEP``, ``path:FILE``, ``hub:ORG/NAME``, a mapping with
            ``use``, or a trained ``nn.Module``.
        student: The same.
        data: A data set's name, a mapping with ``use``, a recipe's name, an experiment file, or a
            map-style data set of (image, label).
        split: ``probe``, or ``val``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        store: Where runs lie; the default store if not given.
        told: Called with what is done next, in words.

    Raises:
        UnknownRun: If the store has no such run.
        BadModel: If a model has random weights, other classes than the data, or does not take
            samples of its shape.
        BadInput: If anything else cannot be as named.

    Example:
        >>> pair = inspect_pair(
        ...     teacher="path:teacher.safetensors", student="run:dkd-4m8s2w@last", data="digits"
        ... )  # doctest: +SKIP
        >>> pair.numbers["loyalty"]["label"]  # doctest: +SKIP
        0.948
    """
    from workbench.training.device import choose_device, fingerprint
    from workbench.training.teacher import trained_teacher

    if split not in OTHER:
        raise UnknownName("split to look at", split, OTHER, hint="Test is read by a training only.")
    store = store if isinstance(store, Store) else Store(store)
    names, data_spec, base = named(teacher=teacher, student=student, data=data, store=store)
    place = choose_device(device)
    told("reading the data")
    shown = build_data(data_spec, base=base, seed=0, device=place)
    told("opening both models")
    # a stored model is opened as a teacher is, also the student: frozen, with what its file says
    models = {
        who: trained_teacher(spec, shown, StoreKeeper(store, ""), place, {})
        for who, spec in names.models.items()
    }
    seen = {who: seen_by(spec.use, shown, split, store) for who, spec in names.models.items()}
    rows = _rows(shown, split)
    told(f"asking both about {len(rows.labels)} samples")
    looks = _looks(models, rows)
    told("measuring the four views")
    machine = fingerprint(place)
    measured = _measured(models, looks, rows, shown, split)
    protocol = {
        "split": split,
        "splits": {split: {"rows": len(rows.labels), "hash": shown.split_hashes[split]}},
        "data": {
            "name": shown.name,
            "hash": shown.content_hash,
            "shape": list(shown.examples.inputs.shape[1:]),
        },
        **{
            who: {
                "model": names.models[who].use,
                "hash": one.weights,
                "parameters": one.model.facts.num_parameters,
                "input_size": list(one.model.facts.input_size),
                "seen": seen[who].rows,
            }
            for who, one in models.items()
        },
        "fitted_on": measured["calibration"].facts["fitted_on"],
        "versions": machine["versions"],
        "threads": machine["threads"],
        "machine": {k: v for k, v in machine.items() if k not in ("versions", "threads")},
    }
    caption = pair_caption(protocol)
    warnings = [
        words
        for who, one in models.items()
        for words in (
            *_past(who, names.models[who].use, seen[who], protocol),
            *_doubts(who, one, looks[who], rows, shown.class_names),
        )
    ]
    return InspectedPair(
        numbers=_numbers(looks, rows, measured),
        protocol=protocol,
        warnings=tuple(warnings),
        frames={name: _frame(name, found, caption) for name, found in measured.items()},
        measured=measured,
    )


def _rows(data: ImageData, split: str) -> Rows:
    """The rows that are looked at; those of the other split are for fitting a temperature."""
    from workbench.probes.view import Rows
    from workbench.training.probing import SIMILAR_ROWS

    shown, fitted = (data.fetch_full(data.split_ids(name)) for name in (split, OTHER[split]))
    return Rows(
        ids=shown.ids.cpu(),
        inputs=shown.inputs,
        labels=shown.labels.cpu(),
        val_inputs=fitted.inputs,
        val_labels=fitted.labels.cpu(),
        num_similar=min(SIMILAR_ROWS, len(shown.ids)),
    )


def _looks(models: Mapping[str, Teacher], rows: Rows) -> dict[str, Look]:
    from workbench.probes.view import look

    return {
        who: look(one.model, rows, one.model.facts.layers, val=True) for who, one in models.items()
    }


def _measured(
    models: Mapping[str, Teacher],
    looks: Mapping[str, Look],
    rows: Rows,
    data: ImageData,
    split: str,
) -> dict[str, Measured]:
    """What the probes of a run find, by view."""
    layers = {who: one.model.facts.layers for who, one in models.items()}
    pair = Pair(rows, looks["teacher"], layers["teacher"], layers["student"], data.class_names)
    found: dict[str, Measured] = {}
    for view in SNAPSHOT_VIEWS:
        kind = PROBES.get(view).model_validate({"use": view})
        measured = kind.build(pair).measure(looks["student"])
        facts = {**measured.facts, "split": split, "step": 0}
        if "fitted_on" in facts:
            facts["fitted_on"] = f"{OTHER[split]}, n = {len(rows.val_labels)}"
        found[view] = replace(measured, facts=facts)
    return found


def _frame(view: str, measured: Measured, caption: str) -> Frame:
    frame = BUILDERS[view](*prepared(view, measured.arrays, measured.facts))
    return replace(frame, caption=caption)


def _numbers(
    looks: Mapping[str, Look], rows: Rows, measured: Mapping[str, Measured]
) -> dict[str, Any]:
    loyalty, cka = measured["loyalty"].facts, measured["cka"]
    calibration = measured["calibration"].facts
    return {
        "n": len(rows.labels),
        **{
            who: {
                **_scores(seen, rows),
                "ece_null_p95": calibration[who]["ece_null_p95"],
            }
            for who, seen in looks.items()
        },
        "loyalty": {
            "label": loyalty["label_loyalty"],
            "probability": loyalty["probability_loyalty"],
        },
        "fidelity_kl": loyalty["kl_nats"],
        "copied_errors": loyalty["copied"],
        "teacher_wrong": loyalty["teacher_wrong"],
        "cka": {
            "n": cka.facts["n"],
            "teacher_layers": cka.facts["teacher_layers"],
            "student_layers": cka.facts["student_layers"],
            **{name: _plain(cka.arrays[name]) for name in ("unbiased", "null_p95")},
        },
    }


def _scores(seen: Look, rows: Rows) -> dict[str, float | None]:
    """As a run's test split is judged; only accuracy where a score is not finite."""
    from workbench.tasks.classification import Classification

    if bool(torch.isfinite(seen.logits).all()):
        # float64, as the views count: the same ECE in both
        found = Classification().evaluate(seen.logits.double(), rows.labels)
        return {name: value if math.isfinite(value) else None for name, value in found.items()}
    right = (seen.logits.argmax(-1) == rows.labels).double()
    return {"accuracy": float(right.mean()), "nll": None, "ece": None, "aurc": None}


def _past(who: str, use: str, seen: Seen, protocol: Mapping[str, Any]) -> list[str]:
    """What it may have learned of these rows."""
    split = protocol["split"]
    n = protocol["splits"][split]["rows"]
    told = []
    if seen.rows:
        told.append(
            f"{who}: {use} was trained on {seen.rows} of the {n} {split} rows looked at, so its "
            "numbers are too good. Take the data with the `split_seed` and `limit` of that run."
        )
    if seen.chosen:
        told.append(
            f"{who}: the step of {use} was chosen by its accuracy on these rows, so its numbers "
            "are optimistic. `--split val`, or `@last`, has none of that."
        )
    if seen.why:
        told.append(f"{who}: {seen.why}, so it may have learned from the rows looked at.")
    return told


def _doubts(
    who: str, one: Teacher, seen: Look, rows: Rows, class_names: tuple[str, ...]
) -> list[str]:
    """Signs that a model is fed wrongly, or has other classes than the data."""
    from workbench.training.tripwires_teacher import SIGMAS, swapped

    recorded = one.recorded.classes if one.recorded is not None else ()
    if recorded and list(recorded) != list(class_names):
        return [
            f"{who}: its file names other classes than the data ({', '.join(recorded[:4])}, ...; "
            f"the data: {', '.join(class_names[:4])}, ...)."
        ]
    moved = swapped(seen.logits, rows.labels)
    if moved:
        listed = ", ".join(
            f"{class_names[k]} as {class_names[j]}" for k, j in list(moved.items())[:4]
        )
        return [
            f"{who}: it tells the classes apart but in another order ({listed}): its output rows "
            "are probably permuted."
        ]
    count = len(rows.labels)
    right = int((seen.logits.argmax(-1) == rows.labels).sum())
    chance = float(torch.bincount(rows.labels).max()) / count
    if right > count * chance + SIGMAS * math.sqrt(count * chance * (1 - chance)):
        return []
    return [
        f"{who}: it is right on {right} of {count} rows, no better than chance ({chance:.1%}, the "
        "commonest class). It has learned too little, or is fed wrongly: other classes, size or "
        "normalisation."
    ]


def _by(shape: Sequence[int]) -> str:
    """``1 x 8 x 8``."""
    return " x ".join(map(str, shape))


def _plain(values: np.ndarray) -> list[list[float | None]]:
    """JSON has no NaN."""
    return [[float(v) if math.isfinite(v) else None for v in row] for row in values]
