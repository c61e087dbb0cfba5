"""A run as files that stand alone: script, notebook, experiment, weights."""

from workbench.export.kinds import KINDS, export_run

__all__ = ["KINDS", "export_run"]
