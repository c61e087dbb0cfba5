"""Open registries: the names a user can pick, ours, a third party's and the notebook's own.

A registry knows the module whose import registers our own names and the entry-point group
of third parties; both are loaded at the first look-up, so importing workbench stays free. Modules
of the reader's own, named in ``WORKBENCH_IMPORT``, are imported then too, in workers as well; an
experiment may name more under ``modules``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from workbench.errors import BadInput, UnknownName, WorkbenchError

T = TypeVar("T")
FAMILY_MARKS = ("/", ":")
OWN_MODULES = "WORKBENCH_IMPORT"
"""Variable with the reader's own modules, parted by commas; processes that we start inherit it."""
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
"""What can be imported: a name, never a path."""
_IMPORTERS = (__file__, importlib.__file__)
"""Files in whose lines no import of the reader's ends."""
_KNOWN_ONLY = threading.Event()


class Registry(Generic[T]):
    """Names of one kind of thing.

    Args:
        kind: What the things are, in the singular, for messages ("data set").
        builtin: Module whose import registers our own.
        group: Entry-point group of third parties, for example ``workbench.data``.
    """

    def __init__(self, kind: str, *, builtin: str, group: str) -> None:
        self.kind = kind
        self._builtin = builtin
        self._group = group
        self._entries: dict[str, T] = {}
        self._loaded = self._loading = False
        self._lock = threading.RLock()  # one that loads may look up names itself

    def register(self, name: str, *, replace: bool = False) -> Callable[[T], T]:
        """Decorator that adds a thing under ``name``.

        Raises:
            BadInput: If the name is taken and ``replace`` is false. Running a notebook cell
                again registers the same qualified name again, which is allowed.
        """

        def add(entry: T) -> T:
            old = self._entries.get(name)
            if old is not None and not replace and _origin(old) != _origin(entry):
                raise BadInput(
                    f"A {self.kind} named {name!r} exists already ({_origin(old)}). "
                    "Choose another name, or pass replace=True."
                )
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The thing called ``name``; UnknownName with the nearest name otherwise.

        A name that ends in ``/`` or ``:`` stands for a family: ``timm/`` answers ``timm/resnet18``.
        """
        self._load()
        if name in self._entries and name[-1:] not in FAMILY_MARKS:
            return self._entries[name]
        for mark in FAMILY_MARKS:
            family, found, rest = name.partition(mark)
            if found and rest and family + mark in self._entries:
                return self._entries[family + mark]
        raise UnknownName(self.kind, name, self._entries)

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """Pairs of name and thing, sorted by name."""
        self._load()
        return iter(sorted(self._entries.items()))

    def __contains__(self, name: object) -> bool:
        try:
            self.get(str(name))
        except UnknownName:
            return False
        return True

    def _load(self) -> None:
        if self._loaded:
            return
        with self._lock:
            if self._loading:
                return
            self._loading = True
            try:
                importlib.import_module(self._builtin)
                for point in entry_points(group=self._group):
                    point.load()
                import_own()
                self._loaded = True  # only now may other threads look without waiting
            finally:
                self._loading = False


def look_in(folder: Path | str) -> None:
    """Look for modules of the reader's own in a folder too, such as that of an experiment file."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: a file there never stands in for a library


def import_own() -> None:
    """Import the modules that ``WORKBENCH_IMPORT`` names, so that what they register is there.

    Raises:
        BadInput: If one cannot be imported; names it and why.
    """
    for name in filter(None, map(str.strip, os.environ.get(OWN_MODULES, "").split(","))):
        if problem := _import_named(name):
            raise BadInput(f"The module {problem}.")


def only_known() -> None:
    """From now on an experiment may name only modules that are imported: others write it here."""
    _KNOWN_ONLY.set()


def import_named(names: Iterable[str]) -> list[str]:
    """Import the modules that an experiment names; returns what is wrong, one line each."""
    problems = []
    for name in names:
        if name in sys.modules:
            continue
        if not MODULE.fullmatch(name):
            problems.append(f"modules: {name!r} is no module's name. Write it as after `import`")
        elif _KNOWN_ONLY.is_set():
            problems.append(
                f"modules: {name!r} is not imported on this server. Start it with "
                f"`workbench serve --import {name}`"
            )
        else:
            problem = _import_named(name)
            problems += [f"modules: {problem}"] if problem else []
    return problems


def _import_named(name: str) -> str:
    """Import a module of the reader's; why that could not be and the way out, or an empty text."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no part of our answers
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            way_out = "Install its package, or put its folder on PYTHONPATH"
        else:
            way_out = f"{_place(error)} needs it: install it, or leave that line out"
        return f"{name!r} could not be imported: {error}. {way_out}"
    except (Exception, SystemExit) as error:  # the reader's own code: anything may happen in it
        kind = "" if isinstance(error, WorkbenchError) else f"{type(error).__name__}: "
        said = str(error) or "(without a word)"
        return f"{name!r} could not be imported: {kind}{said}. Mend {_place(error)}"
    return ""


def _place(error: BaseException) -> str:
    """Line and file of the reader's code at which an import ended."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"line {error.lineno} of {error.filename}"
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith("<") and frame.filename not in _IMPORTERS:
            return f"line {frame.lineno} of {frame.filename}"
    return "it"


def _origin(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', repr(entry))}"
