"""The experiment in Python: made from words, mappings or objects, run here or in a worker."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.recipes import USUAL_PROBES, open_experiment
from workbench.runs.estimate import estimate_here, estimate_in_fresh_process
from workbench.runs.expression import Sum, TermExpression, as_mapping
from workbench.runs.follow import Progress
from workbench.runs.launch import FreshStarter, accept
from workbench.runs.objects import data_spec, holds_objects, model_spec, refuse_objects
from workbench.runs.own_code import with_modules
from workbench.runs.run import Run, check_ended_well, was_refused
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml
from workbench.store.files import write_text
from workbench.store.store import Store

STAGE = ("terms", "optimiser", "schedule", "batch_size", "epochs", "steps")
"""Fields of the one stage that may be given to :class:`Experiment` directly."""


class Experiment:
    """What to train, as one value; nothing happens before :meth:`run` or :meth:`start`.

    Args:
        name: Any text; a label.
        data: A name, a mapping with ``use``, or a map-style data set of (image, label).
        teacher: A name, a mapping, or a trained ``nn.Module``.
        student: A name, a mapping, or an ``nn.Module``.
        terms: ``0.9 * KD(temperature=4) + 0.1 * CE()``, or a mapping as in a file.
        store: A store, its path, or None for the default.
        fields: Everything else of an experiment file: ``epochs``, ``optimiser``, ``probes``, ...

    Raises:
        InvalidExperiment: Names every wrong field.

    Example:
        >>> from workbench import CE, KD
        >>> experiment = Experiment(
        ...     data={"use": "digits", "labels_per_class": 10},
        ...     teacher={"use": "cnn-small", "train": {"epochs": 6}},
        ...     student="cnn-tiny",
        ...     terms=0.9 * KD(temperature=4) + 0.1 * CE(),
        ...     epochs=30,
        ... )
        >>> experiment.spec.stage.terms["kd"].weight
        0.9
    """

    def __init__(
        self,
        *,
        name: str = "experiment",
        data: Any,
        teacher: Any,
        student: Any,
        terms: Sum | TermExpression | Mapping[str, Any] | None = None,
        store: Store | str | None = None,
        **fields: Any,
    ) -> None:
        self._store = store
        self._recipe: str | None = None
        self._base = Path.cwd()
        stage = {key: fields.pop(key) for key in STAGE if key in fields}
        if terms is not None:
            stage["terms"] = as_mapping(terms)
        if stage:
            stage.setdefault("optimiser", {"use": "adamw", "lr": 5e-3})
            fields.setdefault("stages", {"main": stage})
        fields.setdefault("probes", list(USUAL_PROBES))
        self.spec = ExperimentSpec.parse(
            {
                "name": name,
                "data": data_spec(data, lambda: self.store.folder / "data"),
                "teacher": model_spec(teacher),
                "student": model_spec(student),
                **fields,
            }
        )

    @classmethod
    def load(cls, name_or_path: str | Path, *, store: Store | str | None = None) -> Experiment:
        """A recipe by name, or an experiment file."""
        spec, recipe, base = open_experiment(str(name_or_path))
        return cls._of(spec, store=store, recipe=recipe, base=base)

    @property
    def store(self) -> Store:
        """Where runs go; opened at first use."""
        if not isinstance(self._store, Store):
            self._store = Store(self._store)
        return self._store

    def save(self, path: str | Path) -> None:
        """Write the experiment file.

        Raises:
            NotSendable: If it holds a Python object.
        """
        refuse_objects(self.spec, "written to a file")
        write_text(Path(path), dump_yaml(with_modules(self.spec).given()))

    def replace(self, changes: Mapping[str, Any] | None = None, **fields: Any) -> Experiment:
        """The same with fields changed; dotted addresses go in a mapping.

        Example:
            >>> Experiment.load("quickstart").replace({"stages.main.epochs": 5}, seed=1).spec.seed
            1
        """
        spec = self.spec.replace({**(changes or {}), **fields})
        return self._of(spec, store=self._store, recipe=self._recipe, base=self._base)

    def diff(self, other: Experiment) -> str:
        """Readable difference, line by line; empty when both are the same."""
        return self.spec.diff(other.spec)

    def start(self, *, pace: float | None = None, pause_at: int | None = None) -> Run:
        """Start training and return at once.

        Args:
            pace: Seconds to stretch a step to (slow motion), None for full speed.
            pause_at: Step at which the run pauses by itself.
        """
        run = accept(
            self.store,
            self.spec,
            recipe=self._recipe,
            base=self._base,
            pace=pace,
            pause_at=pause_at,
        )
        if holds_objects(self.spec):
            print(
                "Training in this process: a Python object cannot be sent to a worker. "
                "The run ends with this process."
            )
            self._start_here(run)
        else:
            FreshStarter().start(self.store, run)
        return Run(run, self.store)

    def run(self, *, progress: bool = True, **options: Any) -> Run:
        """Train to the end, with a progress bar.

        An experiment of several seeds trains them one after the other; the first run is returned,
        with the others as ``run.group`` and their means and differences as ``run.summary``.

        Raises:
            BadInput: If the experiment cannot be carried out as asked; no run is left of it.
            WorkerDied: If it failed or its worker is gone.
        """
        run = self.start(**options)
        group = run.group
        with Progress(enabled=progress) as bar:
            for one in group:
                if one.wait(bar.told).status == "paused":
                    break
        rows = [one.row for one in group]
        for row in rows:
            if was_refused(row):
                self.store.runs.remove(row.id)
        for row in rows:
            check_ended_well(row)
        return run

    def estimate(self) -> dict[str, Any]:
        """What a run would cost, from a few real steps, and the checks that need no teacher.

        In a fresh process, so that this one keeps its threads and settings; in this one where the
        experiment holds a Python object.

        Returns:
            ``estimate`` (``seconds``, ``memory_bytes``, ``disk_bytes``, seconds by part) and
            ``checks``.

        Raises:
            FailedChecks: If a check would stop the run.
        """
        if holds_objects(self.spec):
            return estimate_here(self.store, self.spec, self._base, settle_here=False)
        return estimate_in_fresh_process(self.store, with_modules(self.spec), self._base)

    def __repr__(self) -> str:
        return f"Experiment({self.spec.name!r}, seed={self.spec.seed})"

    def _start_here(self, run: str) -> None:
        from workbench.runs.worker import work

        runs = [row.id for row in self.store.runs.cohort(run)]

        def each() -> None:
            for one, spec in zip(runs, self.spec.each_seed(), strict=True):
                if self.store.runs.get(one).active:  # not withdrawn meanwhile
                    work(str(self.store.path), one, spec)

        threading.Thread(target=each, name=run, daemon=True).start()

    @classmethod
    def _of(cls, spec: ExperimentSpec, *, store: Any, recipe: str | None, base: Path) -> Experiment:
        experiment = cls.__new__(cls)
        experiment.spec = spec
        experiment._store = store
        experiment._recipe = recipe
        experiment._base = base
        return experiment
