"""The process that computes attributions: asked in lines of JSON, answers in JSON and bytes.

Unusual here: it keeps the pair of the last checkpoint it was asked about, so that the next sample
costs milliseconds; nothing of it lies on disk, and to stop a computation is to kill it. It loads no
torch before a map is asked for: pixels alone come within a second.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np

from workbench.data.images import load_parts
from workbench.errors import WorkbenchError
from workbench.runs.attribution import SPLIT, OpenPair
from workbench.runs.objects import stored_spec
from workbench.runs.worker import settle
from workbench.store.store import Store

NICENESS: Final = 10
"""Below a training: whoever looks waits, not what learns."""
SIDE: Final = 64
"""Pixels of a picture's side that are sent at most."""
SHEET_BYTES: Final = 16 * 2**20
"""Of all pictures of a split; larger ones are shrunk further."""


@dataclass
class Desk:
    """What the process holds between two questions.

    Attributes:
        store: Where runs lie.
        out: Where answers go.
        pair: The last one asked about, or None.
    """

    store: Store
    out: BinaryIO
    pair: OpenPair | None = None
    _asked: int = field(default=-1)

    def answer(self, asked: dict[str, Any]) -> None:
        """Answer one question; what goes wrong is an answer, too."""
        self._asked = int(asked["number"])
        try:
            head, body = self._pictures(asked) if asked["do"] == "pictures" else self._maps(asked)
            self._say({"state": "done", **head}, body)
        except WorkbenchError as error:
            self._say({"state": "refused", "words": error.message})
        except Exception as error:  # the boundary of the process: the page has to hear of it
            words = f"{type(error).__name__}: {str(error)[:300]}"
            self._say({"state": "refused", "words": f"It could not be computed. {words}"})

    def _say(self, head: dict[str, Any], body: bytes = b"") -> None:
        told = {"number": self._asked, **head, "size": len(body)}
        self.out.write(json.dumps(told, allow_nan=False).encode() + b"\n" + body)
        self.out.flush()

    def _base(self, run: str) -> Path:
        base = Path(self.store.runs.get(run).options.get("base") or ".")
        settle(base)
        return base

    def _pictures(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """All samples of the probe split: pixels as uint8, or features as float32."""
        run = str(asked["run"])
        base = self._base(run)
        spec = stored_spec(self.store.runs.get(run).experiment, source=f"run {run}")
        examples, parts = load_parts(cast(Any, spec.data), base=base)
        ids = parts.ids(SPLIT)
        rows = examples.inputs[ids]
        head = {"kind": examples.kind, "ids": ids.tolist(), "names": list(examples.class_names)}
        if examples.kind == "row":
            rows = rows.astype("<f4")
            features = {"features": list(examples.feature_names)}
            return {**head, "shape": list(rows.shape), **features}, rows.tobytes()
        pixels = rows if rows.dtype == np.uint8 else np.rint(255 * rows).astype(np.uint8)
        size = list(pixels.shape[2:])
        pixels = shrunk(pixels, SHEET_BYTES)
        return {**head, "shape": list(pixels.shape), "full": size}, pixels.tobytes()

    def _maps(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Magnitudes of both maps, each relative to its own largest, float32, and what they say."""
        run, step = str(asked["run"]), int(asked["step"])
        self._base(run)
        self._say({"state": "working", "done": 0, "of": 0, "words": "Opens both models"})
        pair = self._opened(run, step)
        told = pair.explain(
            int(asked["sample"]), method=asked["method"], target=asked["target"], told=self._told
        )
        maps = [magnitudes(told.student_map), magnitudes(told.teacher_map)]
        tops = [float(one.max()) for one in maps]
        body = b"".join(
            (one / top if top > 0 else one).astype("<f4").tobytes()
            for one, top in zip(maps, tops, strict=True)
        )
        return {**told.plain(), "shape": list(maps[0].shape), "tops": tops}, body

    def _opened(self, run: str, step: int) -> OpenPair:
        from workbench.runs.attribution import nearest_checkpoint

        found, known = nearest_checkpoint(self.store, run, step), self.pair
        same = known is not None and known.run == run
        if known is None or not same or known.checkpoint != str(found.sha256):
            data = known.data if known is not None and same else None
            self.pair = known = OpenPair.of(self.store, run, int(found.step), data)
        return known

    def _told(self, done: int, of: int) -> None:
        self._say({"state": "working", "done": done, "of": of, "words": "Computes maps"})


def shrunk(pixels: np.ndarray, most: int) -> np.ndarray:
    """Pictures of at most :data:`SIDE` pixels and ``most`` bytes together, by averaging squares.

    Args:
        pixels: uint8, shape (N, C, H, W).
        most: Bytes.
    """
    by = max(1, -(-max(pixels.shape[2:]) // SIDE))
    while pixels.size / by**2 > most and min(pixels.shape[2:]) > by:
        by += 1
    return pixels if by == 1 else np.rint(_averaged(pixels, by)).astype(np.uint8)


def magnitudes(values: np.ndarray) -> np.ndarray:
    """Summed over channels, at most :data:`SIDE` pixels a side; of a table row each feature's.

    Args:
        values: A map, shape (C, H, W) or (F,).
    """
    sizes: np.ndarray = np.abs(values)
    if values.ndim == 1:
        return sizes
    sizes = sizes.sum(0)
    by = max(1, -(-max(sizes.shape) // SIDE))
    return sizes if by == 1 else _averaged(sizes, by)


def _averaged(values: np.ndarray, by: int) -> np.ndarray:
    """Means of squares of ``by`` pixels; what is left over at the right and below is cut off."""
    *more, height, width = values.shape
    down, along = height // by, width // by
    cut = values[..., : down * by, : along * by]
    means: np.ndarray = cut.reshape(*more, down, by, along, by).mean((-3, -1))
    return means


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.explaining STORE``: answers until its input ends."""
    os.nice(NICENESS)
    # Answers have the pipe for themselves: a library that prints must not break them.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    desk = Desk(Store(arguments[0]), out)
    for line in sys.stdin:
        desk.answer(json.loads(line))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
