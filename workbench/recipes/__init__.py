"""Recipes: one readable file for each paper."""

from workbench.recipes.library import USUAL_PROBES, names, open_experiment, path_of, read_file

__all__ = ["USUAL_PROBES", "names", "open_experiment", "path_of", "read_file"]
