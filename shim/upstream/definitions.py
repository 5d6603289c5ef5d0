"""Definitions of tools that the shim itself makes: what they hold that callers do not see, and how much they may be."""

from __future__ import annotations

from typing import Final

from shim import jsontext
from shim.model import META_PREFIX, Json, JsonObject

HIDDEN: Final = f"{META_PREFIX}hidden"

CATALOG_LIMIT: Final = 10 * 2**20
"""Bytes of a page of a catalog that are always read, however little a call's result may be."""


def defined(definition: JsonObject, hidden: Json) -> JsonObject:
    """A tool's definition whose digest is also over what it does not show; callers do not see that."""
    return {**definition, "_meta": {**definition.get("_meta", {}), HIDDEN: jsontext.digest({"": hidden})}}
