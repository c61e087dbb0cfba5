"""Open registries: names of ours, of a user's module, and of third parties."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from workbench import registry as registry_module
from workbench.errors import BadInput, UnknownName
from workbench.registries import DATA, MODELS, OPTIMISERS, PROBES, SCHEDULES, TASKS, TERMS
from workbench.registry import Registry

from .waiting import PATIENCE

ALL = (DATA, MODELS, TERMS, PROBES, TASKS, OPTIMISERS, SCHEDULES)


@pytest.fixture
def fruit() -> Registry[type]:
    registry: Registry[type] = Registry("fruit", builtin="json", group="workbench.no_such_group")
    registry.register("apple")(int)
    registry.register("path/")(float)
    return registry


def test_a_registered_thing_is_found_by_its_name(fruit):
    @fruit.register("pear")
    class Pear:
        pass

    assert fruit.get("pear") is Pear
    assert fruit.names() == ["apple", "path/", "pear"]
    assert [name for name, _ in fruit.items()] == fruit.names()
    assert "pear" in fruit
    assert "plum" not in fruit


def test_a_family_answers_for_all_its_members_but_not_for_itself(fruit):
    assert fruit.get("path/a/b") is float
    for name in ("path/", "path", "path:x"):
        with pytest.raises(UnknownName):
            fruit.get(name)


def test_an_unknown_name_is_told_with_the_nearest_and_all(fruit):
    with pytest.raises(
        UnknownName, match=r"WB101.*No fruit 'aple'\. Did you mean 'apple'\? Known: apple, path/"
    ):
        fruit.get("aple")  # fmt: skip


def test_a_taken_name_is_refused_unless_the_cell_runs_again(fruit):
    def cell() -> type:
        class Mine:
            pass

        fruit.register("mine")(Mine)
        return Mine

    cell()
    again = cell()
    assert fruit.get("mine") is again
    with pytest.raises(BadInput, match=r"A fruit named 'mine' exists already.*replace=True"):
        fruit.register("mine")(str)
    fruit.register("mine", replace=True)(str)
    assert fruit.get("mine") is str


def test_entry_points_of_third_parties_are_loaded_at_the_first_look(fruit, monkeypatch):
    loaded: list[str] = []
    point = SimpleNamespace(load=lambda: (loaded.append("once"), fruit.register("kiwi")(bytes)))
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [point])
    assert loaded == []
    assert fruit.get("kiwi") is bytes
    fruit.names()
    assert loaded == ["once"]


def test_a_second_thread_waits_for_the_names_of_the_first(monkeypatch):
    registry: Registry[type] = Registry("thing", builtin="slow", group="workbench.no_such_group")
    started = threading.Event()

    def slow(name: str) -> None:
        started.set()
        time.sleep(0.05)
        registry.register("late")(int)

    monkeypatch.setattr(registry_module.importlib, "import_module", slow)
    first = threading.Thread(target=registry.names)
    first.start()
    assert started.wait(timeout=PATIENCE)
    assert registry.get("late") is int
    first.join()


def test_a_failed_import_is_raised_again_at_the_next_look():
    registry: Registry[type] = Registry("thing", builtin="no_such_module_here", group="none")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
            registry.names()


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_everything_of_ours_is_documented_and_takes_the_name_it_has(registry):
    ours = [pair for pair in registry.items() if pair[1].__module__.startswith("workbench.")]
    assert ours
    for name, kind in ours:
        assert kind.__doc__, name
        assert "use" in kind.model_fields, name


def test_looking_into_every_registry_loads_no_torch():
    code = (
        "import sys, workbench.registries as r\n"
        "for name in ('DATA', 'MODELS', 'TERMS', 'PROBES', 'TASKS', 'OPTIMISERS', 'SCHEDULES'):\n"
        "    for _, kind in getattr(r, name).items(): kind.model_json_schema\n"
        "print(*{'torch', 'pandas', 'timm', 'sklearn', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
