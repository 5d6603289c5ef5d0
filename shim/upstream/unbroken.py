"""Work that is not left half-way, however its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Do it to its end; who was cancelled meanwhile learns of that afterwards, whatever came of the work.

    The shield of a cancel scope is none against `Task.cancel`, which is what ends the body of `asyncio.timeout`.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        # It is nobody's any more.
        task.exception()
    raise cancelled
