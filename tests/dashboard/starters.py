"""A stand-in for what starts workers: tests of what is asked for need no training."""

from __future__ import annotations


class Kept:
    """A starter that remembers what it was asked to start."""

    def __init__(self):
        self.runs = []

    def start(self, store, run):
        self.runs.append(run)
