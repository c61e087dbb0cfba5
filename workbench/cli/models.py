"""``models --kept``: the networks that a store keeps, as the page's place Models lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.cli.options import print_json, table
from workbench.training.card import SHORT

if TYPE_CHECKING:
    from workbench.runs.kept_models import KeptModel

COLUMNS = ("model", "kind", "weights", "KiB", "accuracy, %", "ECE, %", "rows", "hash", "taught")


def print_kept(store_url: str | None, *, as_json: bool) -> None:
    """Print teachers and students with hash, size and how good each was found to be."""
    from workbench.runs.kept_models import kept_models
    from workbench.store.store import Store

    models = kept_models(Store(store_url))
    if as_json:
        print_json([model.plain() for model in models])
    else:
        table([_row(model) for model in models], COLUMNS)


def _row(model: KeptModel) -> dict[str, Any]:
    score = model.score
    return {
        "model": model.use,
        "kind": model.name,
        "weights": model.parameters,
        "KiB": f"{model.bytes / 1024:.1f}",
        "accuracy, %": _share(score.accuracy if score else None),
        "ECE, %": _share(score.ece if score else None),
        "rows": score.of if score else None,
        "hash": model.hash[:SHORT] or None,
        "taught": len(model.used_by),
    }


def _share(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f}"
