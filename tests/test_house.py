"""The house rules of the repository, each as a claim that a careless change breaks."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("workbench", "widgets/workbench_widgets")
LONGEST_FILE = 450
FIXED_TARGETS = {"setup", "serve", "test", "lab", "bench", "lint", "soak", "clean", "help"}

# Put together here so that this file does not hold what it forbids.
MACHINE_PATH = r"(^|[^A-Za-z0-9_.])/(work|farm|root|tmp/bash)" + "/"
INDEX_HOST = "|".join(
    name + r"\." + end
    for name, end in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        (r"registry\.npmjs", "org"),
        (r"deb\.debian", "org"),
        (r"download\.pytorch", "org"),
        (r"conda\.anaconda", "org"),
    )
)
FORBIDDEN = re.compile(f"{MACHINE_PATH}|{INDEX_HOST}".encode(), re.MULTILINE)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def requirements(*extras: str) -> dict[str, Requirement]:
    """Declared dependencies by canonical name, with those of the extras named."""
    declared = list(project()["dependencies"])
    for extra in extras:
        declared += project()["optional-dependencies"][extra]
    parsed = [Requirement(text) for text in declared]
    return {canonicalize_name(item.name): item for item in parsed}


def pins() -> dict[str, str]:
    """Versions of constraints.txt by canonical name."""
    found = {}
    for line in pin_lines():
        name, _, version = line.partition("==")
        found[canonicalize_name(name)] = version
    return found


def pin_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def repository_files() -> list[Path]:
    """What a commit of everything would hold: tracked files and new ones that are not ignored."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def source_files() -> list[Path]:
    return sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))


def readme_commands(program: str) -> list[list[str]]:
    """Words of every line of a README code block that starts with ``program``."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return [line.split() for line in lines if line.split()[:1] == [program]]


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


# Dependencies


def test_conda_file_names_the_dependencies_and_bounds_of_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    named = next(item["pip"] for item in conda if isinstance(item, dict))
    listed = [Requirement(text) for text in named if not text.startswith("-")]
    actual = {canonicalize_name(item.name): str(item.specifier) for item in listed}
    declared = {name: str(item.specifier) for name, item in requirements("test").items()}
    assert actual == declared
    assert {"-c constraints.txt", "-e ."} <= set(named)
    assert f"python{project()['requires-python']}" in conda


def test_every_dependency_has_a_lower_bound_that_its_pin_meets():
    pinned = pins()
    for name, item in requirements("test", "bench").items():
        assert any(part.operator == ">=" for part in item.specifier), f"{name}: no lower bound"
        assert name in pinned, f"{name} is not pinned in constraints.txt"
        assert item.specifier.contains(pinned[name], prereleases=True), f"{name}: {pinned[name]}"


def test_pins_are_plain_sorted_and_without_doubles():
    lines = pin_lines()
    crooked = [x for x in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", x)]
    assert crooked == []
    assert lines == sorted(lines, key=str.upper)  # the order of `LC_ALL=C sort -f`
    assert len(pins()) == len(lines)


def test_every_package_that_is_imported_is_declared():
    """An import that only works because another package brought it breaks with that package."""
    owners = packages_distributions()
    declared = set(requirements())
    declared |= {"pydantic-core"} if "pydantic" in declared else set()  # one release, two names
    ours = {"workbench", "workbench_widgets", *sys.stdlib_module_names}
    undeclared = {}
    for path in source_files():
        for top in top_level_imports(path) - ours:
            distributions = {canonicalize_name(name) for name in owners.get(top, [top])}
            if not distributions & declared:
                undeclared[top] = path.relative_to(ROOT).as_posix()
    assert undeclared == {}


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


# Files


def test_all_is_sorted_where_a_package_has_one():
    assert unsorted_all(*(ROOT / folder for folder in SOURCES)) == ""


def test_an_unsorted_all_is_found(tmp_path):
    (tmp_path / "__init__.py").write_text('__all__ = ["b", "a"]\n', encoding="utf-8")
    assert "`__all__` is not sorted" in unsorted_all(tmp_path)


def unsorted_all(*folders: Path) -> str:
    """What ruff says of ``__all__`` below ``folders``: constants first, then classes, functions."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "-q", "--isolated", "--select=RUF022", *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_no_source_file_is_longer_than_one_job():
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in source_files()}
    long = {p.relative_to(ROOT).as_posix(): n for p, n in lengths.items() if n > LONGEST_FILE}
    assert lengths
    assert long == {}


def test_no_file_names_this_machine_or_a_package_index():
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode(errors='replace')!r}"
        for path in repository_files()
        if (match := FORBIDDEN.search(path.read_bytes()))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        (b"see /wo" + b"rk/main", True),
        (b"x = '/ro" + b"ot/.cache'", True),
        (b"https://py" + b"pi.org/simple", True),
        (b"https://arxiv.org/abs/1503.02531", False),
        (b"a/work/b and networks/root/x", False),
    ],
)
def test_the_search_for_machine_names_finds_them(text, caught):
    assert bool(FORBIDDEN.search(text)) is caught


def test_the_top_level_is_what_the_readme_promises():
    names = {path.name for path in ROOT.iterdir()}
    assert {"workbench", "widgets", "tests", "environment.yml", "pyproject.toml"} <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "LOG.md"} <= names
    assert {"Makefile", "constraints.txt", ".ci"} <= names
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_newest_changelog_entry_is_the_version_of_pyproject():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    entries = re.findall(r"^## (\d+\.\d+\.\d+\S*)", changelog, re.MULTILINE)
    assert entries[0] == project()["version"]


# The README tells the truth


def test_makefile_has_the_promised_targets():
    assert make_targets() >= FIXED_TARGETS


def test_readme_names_only_make_targets_that_exist():
    used = {words[1] for words in readme_commands("make")}
    assert {"serve", "test"} <= used
    assert used <= make_targets()


def test_readme_names_only_workbench_commands_that_exist():
    used = {words[1] for words in readme_commands("workbench")}
    code = "from workbench.cli.main import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-400:]
    known = set(re.findall(r"^\W*([a-z][a-z-]+)\s", shown.stdout, re.MULTILINE))
    assert used
    assert used <= known


def test_readme_example_uses_names_that_exist():
    blocks = re.findall(r"^```python\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    asked = [
        (node.module, alias.name)
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert asked
    for module, name in asked:
        assert hasattr(__import__(module), name), f"README imports {name} from {module}"


# The tests' own ground


BROWSER_TEST = "import pytest\n@pytest.mark.browser\ndef test_page():\n    assert True\n"


@pytest.mark.parametrize(("ci", "code", "words"), [("", 0, "1 skipped"), ("true", 1, "1 error")])
def test_browser_tests_without_chromium_skip_here_and_fail_under_ci(tmp_path, ci, code, words):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(BROWSER_TEST, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-c", os.devnull, "--rootdir", str(tmp_path),
         "-p", "no:cacheprovider", "-o", "markers=browser", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "CI": ci, "WORKBENCH_CHROMIUM": str(tmp_path / "none")},
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert words in done.stdout.splitlines()[-1]
    assert "no Chromium found" in done.stdout
    assert ("may not be skipped under CI" in done.stdout) is (code == 1)


def test_tests_cannot_leave_the_machine():
    with (
        socket.socket() as plug,
        pytest.raises(ConnectionRefusedError, match=r"no network.*192\.0\.2\.1"),
    ):
        plug.connect(("192.0.2.1", 80))


def test_tests_keep_out_of_the_users_home():
    assert not Path(os.environ["WORKBENCH_HOME"]).is_relative_to(Path.home() / ".workbench")
    assert Path(os.environ["WORKBENCH_HOME"]).parent.is_dir()


# Set-up says what is wrong


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads, without .venv."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        ["/bin/sh", "scripts/setup.sh"],
        cwd=checkout,
        capture_output=True,
        text=True,
        env=kept | environment,
        check=False,
    )


def test_set_up_without_a_python_says_which_one_it_needs(checkout):
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("dirname", "date", "cat"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = set_up(checkout, PATH=str(tools))
    assert done.returncode == 1
    assert "Python 3.11 or later is needed and none was found" in done.stderr
    assert not (checkout / ".venv").exists()


def test_set_up_refuses_a_named_python_that_does_not_fit(checkout):
    done = set_up(checkout, PYTHON=str(checkout / "python2.7"))
    assert done.returncode == 1
    assert re.search(r"PYTHON=\S+python2\.7 is not a Python of version 3\.11", done.stderr)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine where nothing listens for as long as the test runs."""
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        yield plug.getsockname()[1]


def test_set_up_without_an_index_says_so_in_words(checkout, closed_port):
    done = set_up(
        checkout,
        PYTHON=sys.executable,
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL=f"http://127.0.0.1:{closed_port}/simple",
        PIP_RETRIES="0",
    )
    assert done.returncode == 1
    assert "pip could not reach a package index" in done.stderr
    assert "Check the network" in done.stderr
    assert not list(checkout.glob(".venv/setup-*.sha256"))


# The helpers behind make


def test_bench_reports_a_missed_budget_and_a_crash(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name, ratio in (("quick", 0.5), ("late", 2.0)):
        row = {"name": name, "ratio": ratio, "budget": 1.0, "ok": ratio <= 1.0}
        (folder / f"{name}.py").write_text(f"print({json.dumps(json.dumps(row))})")
    (folder / "broken.py").write_text("raise SystemExit('no such device')")
    done = subprocess.run(
        [sys.executable, "scripts/bench.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"broken +FAILED \(exit 1\): no such device", done.stdout)
    assert re.search(r"late +2\.000 +budget +1\.0 +MISSED", done.stdout)
    assert "1 of 3 budgets hold; missed: broken, late" in done.stdout
