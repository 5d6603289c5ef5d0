"""P6 by the reference server: the same session directly and through a shim that grants everything, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.fronting import Combination, directly, fronted
from tests.conformance.session import held, steps_of
from tests.promises.wire import Era, http

ERAS: tuple[Era, ...] = ("legacy", "modern")


@pytest.mark.parametrize(
    ("era", "transport"),
    [
        ("legacy", "stdio"),
        ("modern", "http"),
        pytest.param("legacy", "http", marks=pytest.mark.soak),
        pytest.param("modern", "stdio", marks=pytest.mark.soak),
    ],
)
async def test_a_session_through_the_shim_is_that_with_the_server(era: Era, transport: str, tmp_path: Path) -> None:
    steps = steps_of(era)
    async with directly("both") as url, http(url, era) as peer:
        expected = await held(peer, steps)
    combination = Combination(era, "http" if transport == "http" else "stdio")
    async with fronted(combination, tmp_path) as url, http(url, era) as peer:
        found = await held(peer, steps)
    assert [step for step, _ in found] == [step for step, _ in expected]
    for (step, was), (_, now) in zip(expected, found, strict=True):
        assert now == was, step
