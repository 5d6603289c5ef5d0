"""What a value must be like to be handed on, whatever its source."""

from __future__ import annotations

import re

from shim.secrets.source import MAX_BYTES, Unavailable

SHORTEST = 8
_SURROGATE = re.compile("[\ud800-\udfff]")


def check(value: str, *, is_public: bool) -> None:
    """Raises Unavailable for a value that cannot be handed on, or that could not be scrubbed honestly."""
    if not value:
        raise Unavailable("it is empty")
    if "\0" in value:
        raise Unavailable("it holds a NUL character, which neither a header nor a variable can")
    # Looked for rather than tried: the error of an encoder holds all that it was given.
    if _SURROGATE.search(value):
        raise Unavailable("it is not text in UTF-8")
    if len(value) > MAX_BYTES or len(value.encode("utf-8")) > MAX_BYTES:
        raise Unavailable(f"it is longer than {MAX_BYTES // 1024} KiB")
    if len(value) < SHORTEST and not is_public:
        raise Unavailable(
            f"it is shorter than {SHORTEST} characters, so it could not be told from ordinary text where an upstream "
            "repeats it; use a longer one, or name its field under `public` if it is no secret"
        )
