"""The result of a function: what its return annotation promises, and how it is answered."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from .finding import Unusable
from .taking import Schema, first_line

_UNSAID = object()


class Unsayable(Exception):
    """The function ran, but what it returned cannot be answered. `str()` says why."""


class Giving:
    """Answers for one function. `schema` is its outputSchema, None where it has none. Raises Unusable.

    `-> Annotated[bytes, "image/png"]` is a picture, other media types are sound or an embedded resource. Everything
    else is JSON: an object as it is, all else as `{"result": ...}`.
    """

    def __init__(self, entry: str, name: str, annotations: dict[str, Any], description: str | None) -> None:
        annotation = annotations.get("return", _UNSAID)
        self._name = name
        self._media: str | None = None
        self._adapter: TypeAdapter[Any] | None = None
        self._is_wrapped = False
        self.schema: dict[str, Any] | None = None
        if get_origin(annotation) is Annotated and get_args(annotation)[0] is bytes:
            types = [one for one in get_args(annotation)[1:] if isinstance(one, str) and "/" in one]
            self._media = types[0] if types else None
        if annotation is bytes or (get_origin(annotation) is Annotated and annotation.__origin__ is bytes):
            if self._media is None:
                raise Unusable(f'{entry} returns bytes; say which: -> Annotated[bytes, "image/png"]')
        elif annotation not in (_UNSAID, Any, object):
            self._promise(entry, annotation, description)

    def _promise(self, entry: str, annotation: Any, description: str | None) -> None:
        if isinstance(annotation, str):
            raise Unusable(f"{entry}: its return annotation cannot be read: {annotation}")
        try:
            self._adapter = TypeAdapter(annotation)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schema = self._adapter.json_schema(mode="serialization", schema_generator=Schema)
            json.dumps(schema, allow_nan=False)
        except Exception as error:  # noqa: BLE001 (a type may make its own schema, and raise what it likes)
            raise Unusable(f"{entry}: its return annotation has no schema: {first_line(error)}") from None
        definitions = schema.pop("$defs", None)
        if set(schema) == {"$ref"} and definitions is not None:
            named = definitions.get(schema["$ref"].rpartition("/")[2], {})
            schema = named if named.get("type") == "object" else schema
        self._is_wrapped = schema.get("type") != "object"
        if self._is_wrapped:
            described = {"description": description} if description is not None else {}
            schema = {"type": "object", "properties": {"result": {**schema, **described}}, "required": ["result"]}
        self.schema = {**schema, "$defs": definitions} if definitions else schema

    def given(self, value: Any) -> dict[str, Any]:
        """The result as MCP has it. Raises Unsayable."""
        if self._media is not None:
            return {"content": [self._block(value, self._media)]}
        plain = self._plain(value)
        if self._adapter is None:
            wrapped = plain if isinstance(plain, dict) else {"result": plain}
        else:
            wrapped = {"result": plain} if self._is_wrapped else plain
        try:
            text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, allow_nan=False)
        except ValueError:
            raise Unsayable("its result holds NaN or an infinity, which JSON cannot say") from None
        return {"content": [{"type": "text", "text": text}], "structuredContent": wrapped}

    def _plain(self, value: Any) -> Any:
        try:
            if self._adapter is None:
                return to_jsonable_python(value, by_alias=True)
            kept = self._adapter.validate_python(value)
            return self._adapter.dump_python(kept, mode="json", by_alias=True, warnings="error")
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, found["loc"]))
            why = f"{where}: {found['msg']}" if where else found["msg"]
            raise Unsayable(f"its result is not what its return annotation says ({why})") from None
        except (PydanticSerializationError, ValueError) as error:
            raise Unsayable(f"its result cannot be written as JSON ({str(error)[:200]})") from None

    def _block(self, value: Any, media: str) -> dict[str, Any]:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise Unsayable(f"its result is {type(value).__name__} and not bytes, as its return annotation says")
        data = base64.b64encode(value).decode()
        kind = media.partition("/")[0]
        if kind in ("image", "audio"):
            return {"type": kind, "data": data, "mimeType": media}
        resource = {"uri": f"result:{self._name}", "mimeType": media, "blob": data}
        return {"type": "resource", "resource": resource}
