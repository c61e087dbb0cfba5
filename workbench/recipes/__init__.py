"""Recipes: one readable file for each paper."""

from workbench.recipes.library import names, open_experiment, path_of, read_file

__all__ = ["names", "open_experiment", "path_of", "read_file"]
