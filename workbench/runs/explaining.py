"""The process that computes what a page may not: asked in lines of JSON, answers in JSON and bytes.

Unusual here: it keeps the pair of the last checkpoint it was asked about, so that the next sample
costs milliseconds; nothing of it lies on disk, and to stop a computation is to kill it. A fresh one
loads no torch before a map is asked for: pixels alone come within a second.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np

from workbench.data.images import load_parts
from workbench.errors import WorkbenchError
from workbench.runs.attribution import SPLIT, OpenPair
from workbench.runs.objects import spec_of
from workbench.runs.worker import settle
from workbench.store.store import Store

NICENESS: Final = 10
"""Below a training: whoever looks waits, not what learns."""
SIDE: Final = 64
"""Pixels of a picture's side that are sent at most."""
SHEET_BYTES: Final = 16 * 2**20
"""Of all pictures of a split; larger ones are shrunk further."""
SAY_SECONDS: Final = 0.2
"""Between two words of progress about layers: each is a picture on a page."""


class Left(Exception):
    """Whoever asked does not want to know any more."""


@dataclass
class Desk:
    """What the process holds between two questions.

    Attributes:
        store: Where runs lie.
        out: Where answers go.
        pair: The last one asked about, or None.
        left: Numbers of questions that were taken back; filled by the thread that reads.
    """

    store: Store
    out: BinaryIO
    pair: OpenPair | None = None
    left: set[int] = field(default_factory=set)
    _asked: int = field(default=-1)
    _said: float = field(default=0.0)

    def answer(self, asked: dict[str, Any]) -> None:
        """Answer one question; what goes wrong is an answer, too."""
        self._asked = int(asked["number"])
        try:
            does = {"pictures": self._pictures, "maps": self._maps, "layers": self._layers}
            head, body = does[asked["do"]](asked)
            self._say({"state": "done", **head}, body)
        except Left:
            self._say({"state": "cancelled"})
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
        """Samples, all of the probe split or those asked for: uint8 pixels, or float32 features."""
        run = str(asked["run"])
        base = self._base(run)
        spec = spec_of(self.store.runs.get(run))
        examples, parts = load_parts(cast(Any, spec.data), base=base)
        ids = parts.ids(SPLIT)
        if asked.get("samples"):
            known = [one for one in asked["samples"] if 0 <= one < len(examples.inputs)]
            ids = np.asarray(known, np.int64)
        rows = examples.inputs[ids]
        head = {"kind": examples.kind, "ids": ids.tolist(), "names": list(examples.class_names)}
        head["labels"] = examples.labels[ids].tolist()
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

    def _layers(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Similarity of all layers over some samples, as float32: unbiased, biased, null level."""
        self._aside(0, 0, "Opens both models")
        self._base(str(asked["run"]))
        pair = self._opened(str(asked["run"]), int(asked["step"]))
        from workbench.runs.layer_map import compare_layers

        found = compare_layers(pair, asked["samples"], self._aside)
        maps = [found.arrays[name] for name in ("unbiased", "biased", "null_p95")]
        head = {**found.facts, "step": pair.step, "shape": list(maps[0].shape)}
        return head, b"".join(one.astype("<f4").tobytes() for one in maps)

    def _aside(self, done: int, of: int, words: str) -> None:
        """Say what is done, not too often; ends the work if its question was taken back."""
        if self._asked in self.left:
            raise Left
        now = time.monotonic()
        if done == 0 or now - self._said >= SAY_SECONDS:
            self._said = now
            self._say({"state": "working", "done": done, "of": of, "words": words})

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
    # Answers have the pipe for themselves: a library that prints must not break them.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return explain(arguments[0], sys.stdin, out)


def explain(store: str, lines: Iterable[str], out: BinaryIO, *, warm: bool = False) -> int:
    """Answer until the lines end.

    Args:
        store: Path of the database.
        lines: Questions, one a line of JSON.
        out: Where answers go.
        warm: Whether torch is loaded already. Then what maps need beyond it is loaded as soon as
            somebody has looked at pictures: maps are asked for next.
    """
    os.nice(NICENESS)
    desk = Desk(Store(store), out)
    asked: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=hear, args=(lines, desk.left, asked), daemon=True).start()
    while (one := asked.get()) is not None:
        desk.answer(one)
        if warm and one["do"] == "pictures":
            threading.Thread(target=import_module, args=("captum.attr",), daemon=True).start()
            warm = False
    return 0


def hear(
    lines: Iterable[str], left: set[int], asked: queue.SimpleQueue[dict[str, Any] | None]
) -> None:
    """Pass questions on, and note which are taken back while another is worked on; None ends."""
    for line in lines:
        one = json.loads(line)
        if one["do"] == "leave":
            left.add(int(one["number"]))
        else:
            asked.put(one)
    asked.put(None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
