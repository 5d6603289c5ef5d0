"""What annotations of a function mean, also where they are text and name what is imported for type checkers alone."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, ForwardRef, get_type_hints


def of(function: Callable[..., Any]) -> dict[str, Any]:
    """By parameter, and `return`. One that cannot be read stays the text that it is."""
    target = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = inspect.unwrap(target.func)
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = type(target).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001 (anything may stand in an annotation; each is read for itself then)
        written = getattr(target, "__annotations__", {})
    names = {**vars(sys.modules[target.__module__])}
    _complete(names, target)
    return {name: _read(annotation, names) for name, annotation in written.items()}


def _read(annotation: Any, names: dict[str, Any]) -> Any:
    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        return get_type_hints(holder, names, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 (see above)
        return annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation


def _complete(names: dict[str, Any], target: Any) -> None:
    """Add what the module defines under `if TYPE_CHECKING:`."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[target.__module__]))
    except (OSError, TypeError, SyntaxError):
        return
    for statement in tree.body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test).rpartition(".")[2] == "TYPE_CHECKING":
            for one in statement.body:
                code = compile(ast.Module([one], []), target.__module__, "exec")
                # The module's own text, which this interpreter runs anyway; what is missing then leaves text.
                with contextlib.suppress(Exception):
                    exec(code, names)  # noqa: S102
