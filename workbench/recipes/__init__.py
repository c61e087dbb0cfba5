"""Recipes: one readable file for each paper."""

from workbench.recipes.library import names, open_experiment, path_of

__all__ = ["names", "open_experiment", "path_of"]
