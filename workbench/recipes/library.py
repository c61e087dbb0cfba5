"""Finding recipes by name and experiments by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import BadFile, UnknownName
from workbench.registry import look_in
from workbench.specs.experiment import LONGEST_NAME, ExperimentSpec
from workbench.specs.files import read_yaml

FOLDER = Path(__file__).parent
USUAL_PROBES = ("cka", "trilateral", "calibration", "loyalty")
"""What is measured where an experiment of one's own does not say: views of nothing help nobody."""


def names() -> list[str]:
    """All recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a recipe; UnknownName with the nearest name otherwise."""
    if name not in names():
        raise UnknownName("recipe", name, names())
    return FOLDER / f"{name}.yaml"


def open_experiment(name_or_path: str) -> tuple[ExperimentSpec, str | None, Path]:
    """An experiment by recipe name or file path.

    Returns:
        The experiment, the recipe's name (None for a file), and the folder its paths start from.

    Raises:
        BadFile: If the file cannot be read as an experiment.
        UnknownName: If it looks like a recipe's name and is none.
        InvalidExperiment: If fields are wrong.
    """
    if name_or_path in names():
        path = path_of(name_or_path)
        return ExperimentSpec.parse(read_yaml(path), source=name_or_path), name_or_path, Path.cwd()
    data, path = read_file(name_or_path)
    return ExperimentSpec.parse(data, source=str(path)), None, path.resolve().parent


def read_file(name_or_path: str) -> tuple[dict[str, Any], Path]:
    """An experiment file as it is written, and its path; modules beside it can be imported then.

    Where it has no ``name``, that is the file's; where it has no ``probes``, those are the usual.

    Raises:
        BadFile: If the file cannot be read as an experiment.
        UnknownName: If it looks like a recipe's name and is none.
    """
    if not name_or_path.strip():
        raise BadFile(
            "The experiment is empty text; give a recipe's name or the path of a YAML file."
        )
    try:
        path = Path(name_or_path).expanduser()
        there = path.exists()
    except (OSError, RuntimeError) as error:  # a name too long for a file, a home of nobody
        raise BadFile(
            f"{name_or_path[:80]!r} is no path of a file here ({error.args[-1]}). "
            f"Give a recipe ({', '.join(names())}) or the path of a YAML file."
        ) from None
    if path.suffix == "" and len(path.parts) == 1 and not there:
        raise UnknownName("recipe", name_or_path, names(), hint="A file needs its path.")
    data, folder = read_yaml(path), path.resolve().parent
    if data.get("modules"):
        look_in(folder)
    data.setdefault("name", path.stem[:LONGEST_NAME])
    data.setdefault("probes", list(USUAL_PROBES))
    return data, path
