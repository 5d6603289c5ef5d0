"""Functions that a test serves. Nothing here knows of the shim; `CallContext` is a class of that name."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import functools
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, ParamSpec, Protocol

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from decimal import Decimal as Amount

    Rows = list[dict[str, int]]

__all__ = ["LIMIT", "Colour", "add", "echo", "untyped"]

LIMIT = 7
P = ParamSpec("P")


class CallContext(Protocol):
    identity: str
    run: str
    invocation: str

    @property
    def cancelled(self) -> bool: ...

    def wait(self, seconds: float) -> bool: ...

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None: ...


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.5


class Row(TypedDict, total=False):
    name: str
    size: int


class Order(BaseModel):
    lines: list[Row]
    due: dt.date
    parts: list[Order] = []


def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    The sum is exact.

    Args:
        a: The first number.
        b: The second one.

    Returns:
        Their sum.
    """
    return a + b


def echo(
    point: Point,
    colour: Colour,
    mode: Literal["fast", "slow"] = "fast",
    when: Optional[dt.date] = None,  # noqa: UP045 (both ways to write it are in use)
    pair: tuple[int, str] = (1, "one"),
    note: Annotated[str | None, Field(max_length=5, description="A short one.")] = None,
) -> dict[str, Any]:
    print("printed by a function")
    os.write(1, b"written by a function\n")
    return {"point": point, "colour": colour, "mode": mode, "when": when, "pair": pair, "note": note}


def untyped(a, b=1):  # type: ignore[no-untyped-def]
    return a + b


def first(a: int, b: int = 2, /, c: int = Field(3, ge=1, description="At least one.")) -> list[int]:
    return [a, b, c]


def codes(code: Annotated[str, Field(pattern=r"^(a)?(?(1)b|c)$")]) -> str:
    return code


def marks(code: Annotated[str, Field(json_schema_extra={"pattern": "("})]) -> str:
    return code


def order(order: Order) -> Order:
    return order


def later(amount: Amount, rows: Rows) -> Amount:
    return amount * len(rows)


def anything(value: Any):  # type: ignore[no-untyped-def]
    return value


def grouped(value: float | str, ratio: float = 1, least: float | None = None) -> str:
    return f"{value} {ratio} {least}"


def lies() -> int:
    return "three"  # type: ignore[return-value]


def infinite() -> float:
    return float("inf")


def nothing() -> None:
    return None


def picture() -> Annotated[bytes, "image/png"]:
    return b"\x89PNG"


def archive() -> Annotated[bytes, "application/zip"]:
    return b"PK"


def raw() -> bytes:
    return b""


def many(*values: int) -> int:
    return sum(values)


def options(**values: int) -> int:
    return sum(values.values())


def opaque(lock: threading.Lock) -> None: ...


def returns_opaque() -> Iterator[int]:
    return iter(())


def broken(value: NoSuchType) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def fails(text: str, db: str) -> str:
    raise LookupError(f"no {text} in {db}")


def leaves() -> None:
    sys.exit(3)


def whoami(ctx: CallContext, db: str = "none") -> dict[str, str]:
    return {"identity": ctx.identity, "run": ctx.run, "invocation": ctx.invocation, "db": str(len(db))}


def process() -> int:
    return os.getpid()


async def counts(ctx: CallContext, to: int, pause: float = 0.0) -> int:
    for one in range(to):
        ctx.progress(one + 1, to, f"step {one + 1}")
        await asyncio.sleep(pause)
    return to


async def sleeps(mark: str) -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        with open(mark, "w") as file:  # noqa: ASYNC230, PTH123
            file.write("cancelled")
        raise


def logged(function: Callable[P, Awaitable[int]]) -> Callable[P, Awaitable[int]]:
    @functools.wraps(function)
    def wrapper(*values: P.args, **named: P.kwargs) -> Awaitable[int]:
        return function(*values, **named)

    return wrapper


@logged
async def decorated(a: int) -> int:
    await asyncio.sleep(0)
    return a + 1


add_ten = functools.partial(add, 10)


def in_processes(values: list[int]) -> list[int]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(add, values)


def heeds(ctx: CallContext, mark: str) -> str:
    with open(mark, "w") as file:  # noqa: PTH123
        file.write("begun")
    ctx.wait(3600)
    with open(mark, "w") as file:  # noqa: PTH123
        file.write(f"cancelled {ctx.cancelled}")
    return "over"


def stuck(mark: str) -> None:
    subprocess.Popen(["sleep", "3600"])
    with open(mark, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    while True:
        time.sleep(3600)


def hogs(mark: str) -> None:
    with open(mark, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")


def capped(value: int, most: float = float("inf")) -> float:
    return min(value, most)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit(9)


def unspeakable() -> None:
    raise Unspeakable


async def unspeakable_later() -> None:
    raise Unspeakable
