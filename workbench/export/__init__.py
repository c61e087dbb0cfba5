"""A run as files that stand alone (script, notebook, experiment, weights); a comparison as one."""

from workbench.export.kinds import KINDS, export_comparison, export_run

__all__ = ["KINDS", "export_comparison", "export_run"]
