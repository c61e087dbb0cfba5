"""The pages of docs/: one is made from the code and current, the other's evidence holds."""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVING = ROOT / "docs" / "serving.md"
DIFFERENCES = ROOT / "docs" / "differences.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"# needs (\w+)\n")
TEST = re.compile(r"^Test: (\S+)$", re.MULTILINE)


def text() -> str:
    return DIFFERENCES.read_text("utf-8") if DIFFERENCES.exists() else ""


def evidence() -> list[tuple[str, str]]:
    """Heading and code of each block of the page of differences."""
    found = []
    for section in re.split(r"^### ", text(), flags=re.MULTILINE)[1:]:
        heading = section.splitlines()[0]
        found += [(heading, code) for code in FENCE.findall(section)]
    return found


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_losses", ROOT / "docs" / "make_losses.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_losses_is_what_the_code_says_about_itself():
    made = generator().page()
    kept = (ROOT / "docs" / "losses.md").read_text("utf-8")
    assert kept == made, "docs/losses.md is old: run `python docs/make_losses.py`"


def test_the_nginx_of_the_docs_would_start():
    """Twice one buffer may be busy: nginx refuses fewer than that and one more in all."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", SERVING.read_text("utf-8"), re.M | re.S)
    (first,) = re.findall(r"proxy_buffer_size (\d+)k;", block)
    ((count, size),) = re.findall(r"proxy_buffers (\d+) (\d+)k;", block)
    assert 2 * max(int(first), int(size)) < (int(count) - 1) * int(size)


def test_every_difference_has_evidence():
    sections = re.split(r"^### ", text(), flags=re.MULTILINE)[1:]
    assert len(sections) > 10
    bare = [s.splitlines()[0] for s in sections if not FENCE.search(s) and not TEST.search(s)]
    assert bare == []


@pytest.mark.parametrize("code", [pytest.param(code, id=head) for head, code in evidence()])
def test_evidence_holds(code):
    needed = NEEDS.match(code)
    with warnings.catch_warnings():
        if needed:  # a peer's own warnings are not ours to mend
            warnings.simplefilter("ignore")
            pytest.importorskip(needed.group(1))
        exec(compile(code, str(DIFFERENCES), "exec"), {"__name__": "evidence"})  # noqa: S102


@pytest.mark.parametrize("node", TEST.findall(text()))
def test_a_test_named_as_evidence_exists(node):
    path, _, name = node.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert name in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}
