"""Runs, journal, metrics, arrays and checkpoints on disk."""

from workbench.store.database import store_path
from workbench.store.runs import RunRow, Runs
from workbench.store.store import Snapshot, Store, TeacherRow

__all__ = ["RunRow", "Runs", "Snapshot", "Store", "TeacherRow", "store_path"]
