"""What a checked CEL expression looks at, read from its serialised form.

`Expression.serialize()` yields a `google.protobuf.Any` around `cel.expr.CheckedExpr` (cel-spec, proto/cel/expr:
checked.proto and syntax.proto). Only the few fields named below are needed, so the wire format (varints and
length-delimited fields) is read here, without the protobuf runtime. Unknown fields are passed over, as the format
asks; bytes that are not that format raise TreeError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


class TreeError(ValueError):
    """The serialised expression is not what this version of the reader understands."""


@dataclass(frozen=True, slots=True)
class ArgUse:
    """One mention of an argument: `args.name`, `has(args.name)`, `args["name"]` or `"name" in args`.

    `dot` is the offset of the `.` where the value is read by selection (else None), `offset` where to point at.
    """

    name: str
    offset: int
    dot: int | None


@dataclass(frozen=True, slots=True)
class PatternUse:
    """One call of `matches`; `pattern` is None when it is not a literal."""

    pattern: str | None
    offset: int


@dataclass(slots=True)
class Uses:
    """What an expression looks at. Offsets are in characters of the expression's text.

    `variables` are the free names (dotted ones whole); `whole_args` tells whether `args` is used otherwise than by a
    literal name; `loops` how many comprehensions are inside one another at most; `open_contains` whether `contains` is
    given something else than a literal; `bound` the names of loop variables.
    """

    variables: set[str] = field(default_factory=set)
    args: list[ArgUse] = field(default_factory=list)
    patterns: list[PatternUse] = field(default_factory=list)
    bound: list[tuple[str, int]] = field(default_factory=list)
    whole_args: bool = False
    loops: int = 0
    open_contains: bool = False


_Value = int | bytes
_Fields = dict[int, list[_Value]]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of cel.expr.Expr and the messages inside it.
_ID, _CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = 2, 3, 4, 5, 6, 7, 8, 9
_CONST_STRING = 6


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise TreeError("a number in the serialised expression is cut off")


def _pairs(data: bytes) -> Iterator[tuple[int, _Value]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise TreeError(f"wire type {kind} in the serialised expression")
        if at + length > len(data):
            raise TreeError("the serialised expression is cut off")
        yield key >> 3, data[at : at + length]
        at += length


def _fields(data: bytes) -> _Fields:
    fields: _Fields = {}
    for number, value in _pairs(data):
        fields.setdefault(number, []).append(value)
    return fields


def _message(fields: _Fields, number: int) -> bytes | None:
    values = fields.get(number)
    if values is None:
        return None
    value = values[-1]
    if not isinstance(value, bytes):
        raise TreeError(f"field {number} of the serialised expression is not a message")
    return value


def _messages(fields: _Fields, number: int) -> list[bytes]:
    return [value for value in fields.get(number, ()) if isinstance(value, bytes)]


def _text(fields: _Fields, number: int) -> str:
    try:
        return (_message(fields, number) or b"").decode("utf-8")
    except UnicodeDecodeError:
        raise TreeError(f"field {number} of the serialised expression is not text") from None


def _number(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _literal(expression: bytes) -> str | None:
    constant = _message(_fields(expression), _CONST)
    if constant is None:
        return None
    fields = _fields(constant)
    return _text(fields, _CONST_STRING) if _CONST_STRING in fields else None


def _name(expression: bytes) -> str | None:
    ident = _message(_fields(expression), _IDENT)
    return None if ident is None else _text(_fields(ident), 1)


class _Reader:
    def __init__(self, positions: dict[int, int]) -> None:
        self.uses = Uses()
        self._positions = positions
        self._loops = 0

    def _offset(self, fields: _Fields) -> int:
        return self._positions.get(_number(fields, _ID), 0)

    def visit(self, expression: bytes) -> None:
        fields = _fields(expression)
        if (ident := _message(fields, _IDENT)) is not None:
            name = _text(_fields(ident), 1)
            self.uses.variables.add(name)
            self.uses.whole_args |= name == "args"
        elif (select := _message(fields, _SELECT)) is not None:
            self._select(_fields(select), self._offset(fields))
        elif (call := _message(fields, _CALL)) is not None:
            self._call(_fields(call), self._offset(fields))
        elif (elements := _message(fields, _LIST)) is not None:
            self._each(_messages(_fields(elements), 1))
        elif (struct := _message(fields, _STRUCT)) is not None:
            for entry in map(_fields, _messages(_fields(struct), 2)):
                self._each(_messages(entry, 3) + _messages(entry, 4))
        elif (loop := _message(fields, _LOOP)) is not None:
            self._loop(_fields(loop), self._offset(fields))
        elif _CONST not in fields:
            raise TreeError("an unknown kind of node in the serialised expression")

    def _each(self, expressions: list[bytes]) -> None:
        for expression in expressions:
            self.visit(expression)

    def _argument(self, operand: bytes, name: str, dot: int | None) -> None:
        self.uses.variables.add("args")
        self.uses.args.append(ArgUse(name, self._offset(_fields(operand)), dot))

    def _select(self, select: _Fields, offset: int) -> None:
        operand = _message(select, 1) or b""
        if _name(operand) == "args":
            tested = _number(select, 3) != 0
            self._argument(operand, _text(select, 2), None if tested else offset)
        else:
            self.visit(operand)

    def _call(self, call: _Fields, offset: int) -> None:
        function = _text(call, 2)
        given = _messages(call, 1) + _messages(call, 3)
        if function in ("_[_]", "@in") and len(given) == 2:
            holder, key = given if function == "_[_]" else given[::-1]
            name = _literal(key)
            if _name(holder) == "args" and name is not None:
                self._argument(holder, name, None)
                return
        if function == "matches" and given:
            self.uses.patterns.append(PatternUse(_literal(given[-1]), offset))
        if function == "contains" and given and _literal(given[-1]) is None:
            self.uses.open_contains = True
        self._each(given)

    def _loop(self, loop: _Fields, offset: int) -> None:
        self.uses.bound += [(_text(loop, number), offset) for number in (1, 8) if number in loop]
        self._each(_messages(loop, 2) + _messages(loop, 4))
        self._loops += 1
        self.uses.loops = max(self.uses.loops, self._loops)
        for number in (5, 6, 7):
            self._each(_messages(loop, number))
        self._loops -= 1


def read(serialised: bytes) -> Uses:
    """What the checked expression looks at. Raises TreeError where it cannot be told."""
    checked = _message(_fields(serialised), 2)
    if checked is None:
        raise TreeError("the serialised expression is empty")
    fields = _fields(checked)
    source = _fields(_message(fields, 5) or b"")
    positions = {_number(entry, 1): _number(entry, 2) for entry in map(_fields, _messages(source, 4))}
    expression = _message(fields, 4)
    if expression is None:
        raise TreeError("the serialised expression has no expression")
    reader = _Reader(positions)
    reader.visit(expression)
    return reader.uses
