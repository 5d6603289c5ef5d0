"""The functions that a configuration names."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Unusable(Exception):
    """Something that is configured cannot be served. `str()` says what and why, for whoever wrote the configuration."""


@dataclass(frozen=True)
class Found:
    """A function, the entry that names it alone (`module:name`), and whether `*` brought it."""

    entry: str
    name: str
    function: Callable[..., Any]
    by_star: bool

    def source(self) -> str:
        """What stands for the code of it: the digest of the file where it is defined."""
        try:
            file = inspect.getsourcefile(inspect.unwrap(self.function))
        except TypeError:
            file = getattr(sys.modules.get(self.entry.partition(":")[0]), "__file__", None)
        try:
            return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else sys.version
        except OSError:
            return sys.version


def find(entries: Iterable[str], wrong: list[str]) -> list[Found]:
    """All of them, in order. What is wrong is added to `wrong`."""
    found: dict[str, Found] = {}
    for entry in entries:
        try:
            for one in _of(entry):
                there = found.setdefault(one.name, one)
                if there.function is not one.function:
                    wrong.append(
                        f"two functions are named {one.name}: {there.entry} and {one.entry}; "
                        "put one of them into an upstream of its own"
                    )
        except Unusable as error:
            wrong.append(str(error))
    return list(found.values())


def _of(entry: str) -> Iterator[Found]:
    name = entry.partition(":")[2]
    module = _imported(entry.partition(":")[0])
    if name != "*":
        yield Found(entry, name, _function(module, name, entry), by_star=False)
        return
    names = getattr(module, "__all__", None)
    if names is None:
        raise Unusable(f"{entry}: {module.__name__} has no __all__; name its functions one by one, or give it one")
    for one in names:
        value: Any = getattr(module, one, None)
        if _is_function(value) and _LEGAL.fullmatch(one):
            yield Found(f"{module.__name__}:{one}", one, value, by_star=True)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise Unusable(
                f"there is no module {error.name}: it is looked for by {sys.executable} and then in {sys.path[-1]}; "
                "install it there, or set `interpreter` or `cwd`"
            ) from None
        traceback.print_exc()
        raise Unusable(f"{name} cannot be imported: {error}") from None
    except BaseException as error:  # noqa: BLE001 (a module may raise anything, SystemExit too)
        traceback.print_exc()
        raise Unusable(f"{name} cannot be imported: {type(error).__name__}: {error}") from None


def _function(module: ModuleType, name: str, entry: str) -> Callable[..., Any]:
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, dir(module), 1)
        raise Unusable(f"{entry}: there is no {name} in {module.__name__}" + (f"; is it {near[0]}?" if near else ""))
    value = getattr(module, name)
    if inspect.isclass(value):
        raise Unusable(f"{entry} is a class; write a function that makes one")
    if not _is_function(value):
        raise Unusable(f"{entry} is no function: it is {type(value).__name__}")
    function: Callable[..., Any] = value
    return function


def _is_function(value: Any) -> bool:
    return callable(value) and not inspect.isclass(value)
