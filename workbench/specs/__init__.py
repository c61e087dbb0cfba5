"""Experiments as plain, validated data; nothing here loads torch."""

from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.experiment import ExperimentSpec, RecipeSpec
from workbench.specs.files import dump_yaml, parse_scalar, parse_yaml, read_yaml
from workbench.specs.stage import OptimiserSpec, ScheduleSpec, StageSpec, TermSpec, TrainSpec
from workbench.specs.values import Bounds, Imported, Ramp, Value, value_at

__all__ = [
    "Bounds",
    "ExperimentSpec",
    "Imported",
    "Kind",
    "OptimiserSpec",
    "Pick",
    "Ramp",
    "RecipeSpec",
    "ScheduleSpec",
    "Spec",
    "StageSpec",
    "TermSpec",
    "TrainSpec",
    "Value",
    "dump_yaml",
    "parse_scalar",
    "parse_yaml",
    "read_yaml",
    "value_at",
]
