"""The stage loop names no method: neither its words nor its branches know one."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.registries import DATA, MODELS, POLICIES, RATIOS, TARGETS, TERMS
from workbench.training import loop, part

PAPERS = (
    "tgeo", "tgeo-kd", "tgeokd", "ps-kd", "pskd", "kd3", "diswot", "further-pretraining",
    "self-distillation", "dkd", "fitnets", "reviewkd", "crd",
)  # fmt: skip
NAMES = sorted(
    {name.rstrip("/:") for registry in (TERMS, TARGETS, POLICIES, RATIOS, DATA, MODELS)
     for name in registry.names()} | set(PAPERS)
)  # fmt: skip
ENGLISH = {"at", "run", "stage", "teacher"}
"""Registered names that are words the loop needs to speak of itself; none is a text in its code."""
LONGEST = 60


def words_of(text: str) -> set[str]:
    """Words in lower case; hyphens and underscores join."""
    return {word.replace("_", "-") for word in re.findall(r"[a-z0-9][a-z0-9_-]*", text.lower())}


def branches(module: object) -> Iterator[ast.expr]:
    """Every condition in a module: of ``if``, ``while``, a conditional expression, ``match``."""
    tree = ast.parse(Path(inspect.getfile(module)).read_text("utf-8"))  # type: ignore[arg-type]
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.While, ast.IfExp)):
            yield node.test
        elif isinstance(node, ast.Match):
            yield node.subject
        elif isinstance(node, ast.comprehension):
            yield from node.ifs


def test_a_method_would_be_found():
    """The search itself: names of more than one word, and as part of an identifier's words."""
    assert {"ps-kd", "random-rows", "past", "geometry"} <= set(NAMES)
    assert "ps-kd" in words_of("if self.ps_kd: ...")
    assert "kd" in words_of("the term kd, softened")


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_names_no_method(name):
    source = Path(inspect.getfile(loop)).read_text("utf-8")
    if name in ENGLISH:
        code = ast.unparse(_without_docstrings(ast.parse(source)))
        texts = [node.value for node in ast.walk(ast.parse(code)) if _is_text(node)]
        assert name not in texts
    else:
        assert name not in words_of(source)


def test_the_loop_can_be_read_at_a_glance():
    lines, _ = inspect.getsourcelines(loop.train)
    assert len(lines) <= LONGEST


@pytest.mark.parametrize("module", [loop, part], ids=["loop", "part"])
def test_no_branch_asks_for_the_name_or_the_type_of_a_method(module):
    """No ``isinstance``, no ``type``, no ``.use``, no text among what is decided upon."""
    for test in branches(module):
        shown = ast.unparse(test)
        for node in ast.walk(test):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            assert not (called and node.func.id in ("isinstance", "issubclass", "type")), shown
            assert not (isinstance(node, ast.Attribute) and node.attr in ("use", "__class__")), (
                shown
            )
            assert not (_is_text(node) and node.value in NAMES), shown


def test_the_loop_imports_no_kind_of_method():
    """It knows parts, boundaries and recorders; targets, terms and policies reach it as a part."""
    tree = ast.parse(Path(inspect.getfile(loop)).read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in modules if module and module.startswith("workbench.")}
    assert ours and all(module.startswith("workbench.training.") for module in ours)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and _is_text(first.value):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return tree
