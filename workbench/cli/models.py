"""``models --kept``: the networks that a store keeps, as the page's place Models lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.cli.options import print_json, table
from workbench.training.card import SHORT

COLUMNS = ("model", "kind", "weights", "KiB", "accuracy, %", "ECE, %", "rows", "hash", "taught")


def print_kept(store_url: str | None, *, as_json: bool) -> None:
    """Print teachers and students with hash, size and how good each was found to be."""
    from workbench.runs.kept_models import kept_models
    from workbench.store.store import Store

    rows = [model.plain() for model in kept_models(Store(store_url))]
    print_json(rows) if as_json else table([_row(row) for row in rows], COLUMNS)


def _row(model: Mapping[str, Any]) -> dict[str, Any]:
    score = model["score"] or {}
    return {
        "model": model["use"],
        "kind": model["name"],
        "weights": model["parameters"],
        "KiB": f"{model['bytes'] / 1024:.1f}",
        "accuracy, %": _share(score.get("accuracy")),
        "ECE, %": _share(score.get("ece")),
        "rows": f"{score['split']}, n = {score['n']}" if score else None,
        "hash": model["hash"][:SHORT] or None,
        "taught": len(model["used_by"]),
    }


def _share(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f}"
