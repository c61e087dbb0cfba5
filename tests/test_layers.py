"""Imports go down only. The rules are read here, and checked on the syntax tree of every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# High to low. What stands on one line must not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli", "dashboard"),
    ("runs",),
    ("export", "recipes"),
    ("store",),
    ("training",),
    ("tasks", "data", "terms", "targets", "builders", "probes"),
    ("models",),
    ("specs",),
    ("functional",),
    ("registries", "registry", "atomic", "lazy", "randomness", "errors"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

SIDEWAYS = {
    ("cli", "dashboard"): "`workbench serve` starts the page",
    ("registries", "registry"): "the registries are instances of Registry",
    ("registries", "errors"): "every layer may raise",
    ("registry", "errors"): "every layer may raise",
    ("atomic", "errors"): "every layer may raise",
    ("lazy", "errors"): "every layer may raise",
    ("randomness", "errors"): "every layer may raise",
}
"""Imports on one line that are allowed, each with its reason."""

VIEWS_FROM = "runs"
"""Lowest layer that may show a view, that is import ``workbench_widgets``."""

ONLY_IN = {"panel": ("dashboard",), "panel_material_ui": ("dashboard",), "sqlalchemy": ("store",)}
"""Outside packages that only these layers may import."""

HEAVY = ("torch", "torchvision", "pandas", "timm", "transformers", "sklearn", "sqlalchemy")
PLAIN = ("specs", "registries", "registry", "atomic", "errors", "lazy")
"""Layers that never import anything heavy, not even inside a function."""

WIDGETS_NEVER = ("torch", "workbench", "panel", "panel_material_ui")


@dataclass(frozen=True)
class Import:
    """One import: where it stands, and the dotted module it asks for."""

    path: Path
    line: int
    module: str


def imports(path: Path, package: str) -> Iterator[Import]:
    """Every import of a file, those inside functions and under TYPE_CHECKING too.

    Args:
        path: A Python file.
        package: Dotted package it lies in, to resolve relative imports.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(base) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            for alias in node.names:  # `from workbench import specs` asks for workbench.specs
                yield Import(path, node.lineno, f"{module}.{alias.name}")
        elif isinstance(node, ast.Call) and _is_loader(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield Import(path, node.lineno, name.value)


def _is_loader(function: ast.expr) -> bool:
    name = getattr(function, "attr", getattr(function, "id", ""))
    return name in ("LazyModule", "import_module", "__import__")


def violations(root: Path) -> list[str]:
    """Every broken rule below ``root``: file, line, import, rule."""
    found = []
    for package in ("workbench", "widgets/workbench_widgets"):
        for path in sorted((root / package).rglob("*.py")):
            inside = path.relative_to(root / package)
            dotted = ".".join((Path(package).name, *inside.parts[:-1]))
            layer = inside.parts[0].removesuffix(".py")
            for item in imports(path, dotted):
                rule = _widget_rule(item) if package != "workbench" else _rule(layer, item)
                if rule:
                    where = path.relative_to(root).as_posix()
                    found.append(f"{where}:{item.line}: imports {item.module}; {rule}")
    return found


def _widget_rule(item: Import) -> str:
    top = item.module.split(".")[0]
    if top in WIDGETS_NEVER:
        return f"widgets import none of {', '.join(WIDGETS_NEVER)}"
    return ""


def _rule(layer: str, item: Import) -> str:
    """The rule that ``item`` breaks when ``layer`` asks for it; empty when it breaks none."""
    if layer in ("__init__", "__main__"):
        return ""  # names everything, lazily; the subprocess tests below see what it loads
    if layer not in RANK:
        return f"no layer is called {layer!r}: give it a place in LAYERS (tests/test_layers.py)"
    top, _, rest = item.module.partition(".")
    if top in ONLY_IN and layer not in ONLY_IN[top]:
        return f"only {', '.join(ONLY_IN[top])}/ imports {top}"
    if top in HEAVY and layer in PLAIN:
        return f"{layer} imports nothing heavy ({', '.join(HEAVY)})"
    if top == "workbench_widgets" and RANK[layer] > RANK[VIEWS_FROM]:
        return f"views are shown from {VIEWS_FROM} upwards, {layer} is below"
    if top != "workbench":
        return ""
    other = rest.split(".")[0]
    if other == layer:
        return ""
    if other not in RANK:
        return f"{layer} takes names from the module that defines them, not from the top package"
    if RANK[other] < RANK[layer]:
        return f"{layer} is below {other}: imports go down only"
    if RANK[other] == RANK[layer] and (layer, other) not in SIDEWAYS:
        return f"{layer} and {other} stand side by side: neither imports the other"
    return ""


def test_imports_go_down_only():
    broken = violations(ROOT)
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("file", "source", "words"),
    [
        ("workbench/functional/a.py", "from workbench.specs import base", "below specs"),
        ("workbench/models/a.py", "def f():\n    import workbench.data.b", "a.py:2: .* below data"),
        (
            "workbench/models/a.py",
            "from ..training import loop",
            "workbench.training.loop; .*below",
        ),
        ("workbench/terms/a.py", "from workbench.targets import x", "side by side"),
        (
            "workbench/specs/a.py",
            "if TYPE_CHECKING:\n    from workbench.runs import Run",
            "a.py:2: .*below runs",
        ),
        ("workbench/runs/a.py", "from panel import Row", "only dashboard/ imports panel"),
        ("workbench/runs/a.py", "import sqlalchemy as sa", "only store/ imports sqlalchemy"),
        ("workbench/specs/a.py", "def build():\n    import torch", "nothing heavy"),
        ("workbench/specs/a.py", "torch = LazyModule('torch')", "imports torch; .*nothing heavy"),
        ("workbench/registries.py", "import importlib\nimport pandas.io", "nothing heavy"),
        ("workbench/terms/a.py", "import workbench_widgets", "from runs upwards"),
        ("workbench/runs/a.py", "from workbench import Experiment", "module that defines them"),
        ("workbench/helpers/a.py", "import os", "no layer is called 'helpers'"),
        ("widgets/workbench_widgets/a.py", "import workbench.errors", "widgets import none of"),
        ("widgets/workbench_widgets/a/b.py", "import torch.nn", "widgets import none of"),
    ],
)
def test_checker_catches_a_broken_rule(tmp_path, file, source, words):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    broken = violations(tmp_path)
    assert len(broken) == 1
    assert broken[0].startswith(f"{file}:")
    assert re.search(words, broken[0])


def test_checker_accepts_what_the_rules_allow(tmp_path):
    allowed = {
        "workbench/__init__.py": "import workbench.runs.run",
        "workbench/cli/serve.py": "from workbench import dashboard, specs",
        "workbench/dashboard/app.py": "import panel\nfrom workbench_widgets import cka",
        "workbench/store/sql.py": "import sqlalchemy\nfrom ..errors import BadStore",
        "workbench/terms/kd.py": "from workbench.functional.logits import kd\nimport torch",
        "workbench/registries.py": "from workbench.registry import Registry",
        "widgets/workbench_widgets/view.py": "import numpy\nfrom workbench_widgets import frame",
    }
    for file, source in allowed.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(source, encoding="utf-8")
    assert violations(tmp_path) == []


LIGHT = ["workbench", "workbench.registries", "workbench.specs", "workbench.data",
         "workbench.models", "workbench.builders", "workbench.targets", "workbench.terms",
         "workbench.probes", "workbench.tasks",
         "workbench.functional", "workbench_widgets"]  # fmt: skip


@pytest.mark.parametrize("module", LIGHT)
def test_declaring_module_loads_nothing_heavy(module):
    heavy = {*HEAVY, "panel"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
