"""Which rows that are looked at a stored model was trained, or chosen, on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.data.images import build_data
from workbench.data.spec import DataSpec
from workbench.errors import WorkbenchError
from workbench.runs.objects import as_it_stands
from workbench.store.store import Store

if TYPE_CHECKING:
    from workbench.data.images import ImageData

RUN = "run:"


@dataclass(frozen=True)
class Seen:
    """What is known of a model's past with the rows that are looked at.

    Attributes:
        rows: How many of them it was trained on; None where nobody knows.
        chosen: Whether its step was chosen by its accuracy on them.
        why: What hinders, where a run should know; empty otherwise.
    """

    rows: int | None
    chosen: bool = False
    why: str = ""


def seen_by(use: str, data: ImageData, split: str, store: Store) -> Seen:
    """What a model may have learned of these rows beforehand.

    Args:
        use: Its name; only of a run's student (``run:RUN@WHICH``) the training rows are known.
        data: What it is looked at on.
        split: Which part of the data.
        store: Where the run lies.

    Returns:
        Rows are the same where input and label are, whatever their number: the run may have had
        another ``limit`` or ``split_seed``. All rows of all its stages count, labelled or not.
    """
    if not use.startswith(RUN):
        return Seen(None)
    run, _, which = use.removeprefix(RUN).partition("@")
    try:
        theirs = learned_from(run, store)
    except WorkbenchError as error:  # its data have moved, or it is of another version
        return Seen(None, why=f"the data of run {run} cannot be read any more: {error.message}")
    looked_at = data.row_keys(data.split_ids(split)).tolist()
    known: set[int] = set()
    for other in theirs:
        if not _same(other, data, split):
            known.update(other.row_keys(other.split_ids("train")).tolist())
    chosen = which == "best" and split == "probe" and _same(theirs[0], data, split)
    return Seen(sum(key in known for key in looked_at), chosen)


def _same(theirs: ImageData, data: ImageData, split: str) -> bool:
    """Whether both have the same rows in this part, so that none of them is in another."""
    return theirs.split_hashes[split] == data.split_hashes[split]


def learned_from(run: str, store: Store) -> list[ImageData]:
    """What the student of a run learned from: the data, then those that a stage has of its own.

    Raises:
        UnknownRun: If the store has no such run.
        BadData: If they cannot be read any more.
    """
    spec = as_it_stands(store, run)
    base = Path(store.runs.get(run).options.get("base") or ".")
    kinds = [spec.data, *(stage.data for stage in spec.stages.values() if stage.data is not None)]
    return [build_data(cast(DataSpec, kind), base=base, seed=spec.seed) for kind in kinds]
