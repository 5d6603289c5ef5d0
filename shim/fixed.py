"""What the operator puts into calls of a tool: which secrets it needs, and where it goes, right before it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shim import templates
from shim.errors import Refusal, SecretUnavailable
from shim.lending import Leased, Need
from shim.model import Call, Json, JsonObject, Offered, Reason, Tool

_CALL = "tools/call"


def needs(call: Call, target: Offered) -> tuple[Need, ...]:
    """The secrets that this call of a tool needs besides what its upstream does."""
    return needed(_values(call, target), call.bind)


def needed(values: Iterable[Json], bind: tuple[tuple[str, str], ...] = ()) -> tuple[Need, ...]:
    """The secrets that these values need, where others stand behind some of the names."""
    bound = dict(bind)
    references = dict.fromkeys(one for value in values for one in templates.references_within(value))
    return tuple(
        Need(one, bound.get(name := templates.name_of(one), name), templates.field_of(one), travels=True)
        for one in references
    )


def filled(call: Call, target: Offered, params: JsonObject, leased: Leased) -> tuple[Offered, JsonObject]:
    """The tool as its upstream has it, and the params with what the operator puts in; the caller's stay as they are.

    Arguments go into calls alone, members of `_meta` also into what is asked of the tasks that calls left. Raises
    SecretUnavailable for a value that is no text.
    """
    fixed = target.fixed if isinstance(target, Tool) else None
    if fixed is None:
        return target, params
    sent = dict(params)
    if (fixed.arguments or fixed.defaults) and call.method == _CALL:
        theirs = params.get("arguments") or {}
        sent["arguments"] = {**fixed.defaults, **theirs, **_filled(fixed.arguments, leased.values)}
    if fixed.meta:
        members = params.get("_meta")
        sent["_meta"] = {**(members if isinstance(members, dict) else {}), **_filled(fixed.meta, leased.values)}
    return fixed.own, sent


def veiled(refusal: Refusal, target: Offered) -> Refusal:
    """What is said of arguments once all is put in, which callers neither see nor send, is not for them."""
    fixed = target.fixed if isinstance(target, Tool) else None
    if refusal.reason is not Reason.INVALID_ARGUMENTS or fixed is None or not fixed.arguments:
        return refusal
    return _PutIn(refusal.detail)


class _PutIn(Refusal):
    reason = Reason.INVALID_ARGUMENTS

    def __init__(self, detail: str) -> None:
        super().__init__("The call was not made: what whoever runs this server puts into calls of the tool is unfit.")
        self._detail = detail

    @property
    def detail(self) -> str:
        return self._detail


def _values(call: Call, target: Offered) -> Iterator[Json]:
    fixed = target.fixed if isinstance(target, Tool) else None
    if fixed is not None:
        yield from fixed.meta.values()
        if call.method == _CALL:
            yield from fixed.arguments.values()


def _filled(value: Mapping[str, Json], values: Mapping[str, str]) -> JsonObject:
    for reference in templates.references_within(value):
        _check(reference, values[reference])
    made: JsonObject = templates.filled_within(value, values)
    return made


def _check(reference: str, value: str) -> None:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        why = "it holds a NUL, or half of a surrogate pair, which no argument should"
        raise SecretUnavailable(templates.name_of(reference), why)
