"""The arguments of a function: the schema that a model sees, and the strict validation of what it sends."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError

from .context import is_wanted
from .finding import Unusable

_LEGAL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHOWN = 3
_KINDS = inspect.Parameter
_NUMBER = Annotated[int | float, WithJsonSchema({"type": "number"})]


class Unfit(Exception):
    """These arguments do not fit. `str()` says which and why, without a value of them."""


class PutIn(Exception):
    """What is put in beside the call does not fit. `str()` says which parameter and why: not for callers, who see
    none of it."""


class Schema(GenerateJsonSchema):
    """JSON Schema without titles that only repeat a name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (pydantic's signature)
        return False

    def encode_default(self, dft: Any) -> Any:
        value = super().encode_default(dft)
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            # Left out of the schema, as any other default that JSON cannot say.
            raise PydanticSerializationError(str(error)) from None
        return value


class Taking:
    """Takes what a call of one function brings. Everything about its parameters is known once this is made.

    `descriptions` are of parameters, by name, for those whose annotation has none; `injected` are the names of those
    that are filled beside the call. Raises Unusable.
    """

    def __init__(
        self,
        entry: str,
        function: Callable[..., Any],
        annotations: Mapping[str, Any],
        descriptions: Mapping[str, str],
        injected: frozenset[str],
    ) -> None:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):
            raise Unusable(f"{entry} does not say which parameters it has; wrap it in a function that does") from None
        self._contexts: list[str] = []
        self._positional: list[tuple[str, Any]] = []
        # Their default is in their field: what the function itself has there is no value.
        self._of_fields: set[str] = set()
        shown: dict[str, Any] = {}
        hidden: dict[str, Any] = {}
        for parameter in parameters:
            annotation = _annotation(entry, parameter, annotations)
            name = parameter.name
            if parameter.kind is _KINDS.POSITIONAL_ONLY:
                self._positional.append((name, parameter.default))
            if is_wanted(annotation):
                self._contexts.append(name)
            elif name in injected:
                hidden[name] = _field(entry, parameter, annotation, None)
            else:
                shown[name] = _field(entry, parameter, annotation, descriptions.get(name))
            if isinstance(parameter.default, FieldInfo):
                self._of_fields.add(name)
        self.injected = frozenset(hidden)
        self._arguments = _model(entry, shown)
        self._injected = _model(entry, hidden)
        self.schema = _schema(entry, self._arguments)

    def taken(
        self, arguments: dict[str, Any], injected: dict[str, str], context: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with. Raises Unfit and PutIn."""
        try:
            # From JSON text: strict validation of Python values would not take a date, an enum or a tuple from it.
            values = self._values(self._arguments.model_validate_json(json.dumps(arguments), strict=True))
        except ValidationError as error:
            raise Unfit("These arguments do not fit: " + _faults(error)) from None
        try:
            mine = {name: value for name, value in injected.items() if name in self.injected}
            values |= self._values(self._injected.model_validate(mine))
        except ValidationError as error:
            raise PutIn(_faults(error)) from None
        for name in self._contexts:
            values[name] = context
        return [values.pop(name, default) for name, default in self._positional], values

    def _values(self, model: BaseModel) -> dict[str, Any]:
        """By parameter, without those whose default is the function's own business."""
        return {
            str(info.alias): getattr(model, name)
            for name, info in type(model).model_fields.items()
            if name in model.model_fields_set or (info.alias in self._of_fields and not info.is_required())
        }


def _annotation(entry: str, parameter: inspect.Parameter, annotations: Mapping[str, Any]) -> Any:
    name = parameter.name
    if parameter.kind in (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD):
        stars = "*" if parameter.kind is _KINDS.VAR_POSITIONAL else "**"
        raise Unusable(
            f"{entry} takes {stars}{name}, of which a model cannot know; wrap it in a function that says all"
        )
    if not _LEGAL.fullmatch(name):
        raise Unusable(
            f"{entry}: the name of its parameter {name!r} is none for models; write ASCII letters, at most 64"
        )
    if name not in annotations:
        raise Unusable(f"{entry}: its parameter {name} has no annotation; write which type it is")
    annotation = annotations[name]
    if isinstance(annotation, str) and not is_wanted(annotation):
        raise Unusable(f"{entry}: the annotation of its parameter {name} cannot be read: {annotation}")
    return _as_given(annotation)


def _as_given(annotation: Any) -> Any:
    """With whole numbers left as they are in a union such as `float | str`: `float` means `int` as well (PEP 484).

    Who takes that looks at what it is given: `1234567` is not `1234567.0`, and what is larger than 2**53 would be
    another number.
    """
    of = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    if float not in of or int in of or not {*of} - {float, type(None)}:
        return annotation
    return Union[tuple(_NUMBER if one is float else one for one in of)]  # noqa: UP007 (of a tuple)


def _field(entry: str, parameter: inspect.Parameter, annotation: Any, description: str | None) -> tuple[Any, FieldInfo]:
    name, default = parameter.name, parameter.default
    if isinstance(default, FieldInfo):
        annotation, default = Annotated[annotation, default], inspect.Parameter.empty
    extra: dict[str, Any] = {"alias": name}
    if default is not inspect.Parameter.empty:
        extra["default"] = default
    try:
        # Alone first, so that it is known which one it is.
        made = create_model("Arguments", it=(annotation, Field(**extra)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.model_json_schema(schema_generator=Schema)
    except Exception as error:  # noqa: BLE001 (a type may make its own schema, and raise what it likes)
        raise Unusable(f"{entry}: the annotation of its parameter {name} has no schema: {first_line(error)}") from None
    if description is not None and made.model_fields["it"].description is None:
        extra["description"] = description
    return annotation, Field(**extra)


def _model(entry: str, fields: dict[str, Any]) -> type[BaseModel]:
    # By position: a parameter may have a name that a model has for something else.
    by_position: dict[str, Any] = {f"p{position}": field for position, field in enumerate(fields.values())}
    try:
        return create_model("Arguments", __config__=ConfigDict(extra="forbid"), **by_position)
    except Exception as error:  # noqa: BLE001 (see above)
        raise Unusable(f"{entry}: its parameters have no schema: {first_line(error)}") from None


def _schema(entry: str, model: type[BaseModel]) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Such as a default that JSON cannot say: it is left out of the schema then.
        warnings.simplefilter("ignore")
        try:
            schema = model.model_json_schema(schema_generator=Schema)
            json.dumps(schema, allow_nan=False)
        except Exception as error:  # noqa: BLE001 (see above)
            raise Unusable(f"{entry}: its parameters have no schema: {first_line(error)}") from None
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return schema


def first_line(error: Exception) -> str:
    """What is wrong with a schema, without the advice for whoever writes models."""
    return " ".join(str(error).partition(". Set `arb")[0].split())[:300] or type(error).__name__


def _faults(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"`{'.'.join(map(str, one['loc']))}`: {one['msg']}" if one["loc"] else one["msg"] for one in found[:_SHOWN]]
    more = len(found) - _SHOWN
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "") + "."
