"""Conditions: CEL expressions that a grant's `when` holds, checked at load and evaluated at each call.

The language is CEL (https://github.com/google/cel-spec) with its standard functions and macros. Variables:

    args              the call's arguments as sent, map(string, dyn); `args.x` or `args["x"]`, `has(args.x)`;
                      a prompt's arguments; of a resource `args.uri`
    tool.name         string, `upstream/tool`, `prompt:upstream/name`, `resource:upstream/uri`; tool.upstream: string
    identity.name     string; identity.groups: list(string); identity.claims: map(string, dyn)
    run.name          string, the run that the call belongs to
    client.name       string, client.version: string; what the client program says of itself, "" where it says nothing.
                      Whoever writes the program chooses it: it is no proof of anything
    now               timestamp at which the call began

Any other member is refused at load. The type must be bool: an argument alone has none, write `args.flag == true`.

A condition holds only when it evaluates to `true`. Everything else that can come of it is an error, and an error never
lets a call through. Only the arguments that the expression names are looked at, and these must be such that evaluating
is exact and cheap; beyond these bounds the condition is an error, not an answer:

- integers from -2^63 to 2^64-1 (CEL has no others);
- no NUL and no lone surrogate in text or keys: the evaluator would see the text only up to the NUL;
- at most 1,000 elements in a list or map, 10,000 values in all, 128 levels;
- where the expression has a comprehension, at most 2^24 characters looked at: those of all texts times the elements of
  the longest list or map, for each comprehension inside another;
- where it calls `contains` with anything but a literal, whose cost is the product of both lengths, at most 2^33: the
  square of those characters, times the elements as above.

The pattern of `matches` (RE2, hence linear) must be a literal, as a caller's own pattern could take seconds to compile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from cel_expr_python import cel

from shim.model import Client, Identity, Json, JsonObject
from shim.policy import tree
from shim.policy.patterns import upstream_of
from shim.policy.sound import NOT_CEL_TEXT, Extent, Unsound, measure

Verdict: TypeAlias = bool | str
"""What a condition says: true, false, or `error: …`."""

MAX_CHARACTERS = 10_000
# Both are 50 to 200 ms at worst, of expressions that are made to be slow; what people write is far below.
_MAX_LOOKED_AT = 2**24
_MAX_SEARCHED = 2**33
_MAX_STEPS = 10_000
"""The evaluator's own bound on the steps of all comprehensions."""
_LITERAL_ELEMENTS = 16
"""Lists that the expression itself holds are taken to have as many elements, at least."""


_T = cel.Type
ARGS_TYPE = _T.Map(_T.STRING, _T.DYN)

VARIABLES: Mapping[str, Any] = {
    "args": ARGS_TYPE,
    "tool.name": _T.STRING,
    "tool.upstream": _T.STRING,
    "identity.name": _T.STRING,
    "identity.groups": _T.List(_T.STRING),
    "identity.claims": _T.Map(_T.STRING, _T.DYN),
    "run.name": _T.STRING,
    "client.name": _T.STRING,
    "client.version": _T.STRING,
    "now": _T.TIMESTAMP,
}
_ROOTS = {name.partition(".")[0] for name in VARIABLES}
_LATER = {"run.labels"}
_ENV = cel.NewEnv(variables=dict(VARIABLES))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision may look at, beside the identity and the tool. `now` has a time zone.

    `scopes` are those of the caller's access token; other credentials carry none.
    """

    args: JsonObject
    run: str
    client: Client | None
    now: datetime
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that conditions see of one call."""

    identity: Identity
    ref: str
    facts: Facts


_VALUES: Mapping[str, Callable[[Scope], Json]] = {
    "tool.name": lambda scope: scope.ref,
    "tool.upstream": lambda scope: upstream_of(scope.ref),
    "identity.name": lambda scope: scope.identity.name,
    "identity.groups": lambda scope: list(scope.identity.groups),
    "identity.claims": lambda scope: dict(scope.identity.claims),
    "run.name": lambda scope: scope.facts.run,
    "client.name": lambda scope: scope.facts.client.name if scope.facts.client is not None else "",
    "client.version": lambda scope: scope.facts.client.version if scope.facts.client is not None else "",
}


@dataclass(frozen=True, slots=True)
class ConditionFault:
    """What is wrong with an expression; `offset` counts its characters, None where no place can be named."""

    offset: int | None
    message: str


class ConditionError(ValueError):
    """An expression that cannot be a condition: all its faults at once."""

    def __init__(self, *faults: ConditionFault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class Condition:
    """One checked expression. `of` is the only way to make one; `uses` tells what it looks at."""

    __slots__ = ("_args", "_others", "_program", "text", "uses")

    def __init__(self, text: str, program: Any, uses: tree.Uses) -> None:
        self.text = text
        self.uses = uses
        self._program = program
        # None: all arguments are looked at; a tuple: those, where they are given.
        self._args = None if uses.whole_args else tuple(sorted({use.name for use in uses.args}))
        self._others = tuple((name, _VALUES[name]) for name in sorted(uses.variables) if name in _VALUES)

    @classmethod
    def of(cls, text: str) -> Condition:
        """The condition that `text` writes. Raises ConditionError."""
        program = _compile(text)
        try:
            uses = tree.read(program.serialize())
        except tree.TreeError as error:
            raise ConditionError(ConditionFault(None, f"the expression cannot be analysed: {error}")) from None
        faults = [*_shadowing(uses), *_patterns(uses)]
        if program.return_type() != _T.BOOL:
            hint = f"it is {program.return_type()}; compare it with something, as in `args.flag == true`"
            faults.append(ConditionFault(0, f"a condition must be boolean by type: {hint}"))
        if faults:
            raise ConditionError(*faults)
        return cls(text, program, uses)

    def test(self, scope: Scope) -> Verdict:
        """What the condition says of one call. Never raises."""
        try:
            value = self._program.eval(data=self._bindings(scope))
            # The evaluator returns its errors as values; anything but a boolean of type BOOL is one of them.
            if value.type() == _T.BOOL:
                return value.value() is True
            return f"error: {value.value()}"
        except Unsound as error:
            return f"error: {error}"
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            return f"error: {error}"

    def _bindings(self, scope: Scope) -> dict[str, Json]:
        bindings: dict[str, Json] = {name: of(scope) for name, of in self._others}
        args = scope.facts.args
        if self._args is None:
            bindings["args"] = args
        elif self._args:
            bindings["args"] = {name: args[name] for name in self._args if name in args}
        self._check_cost(measure(list(bindings.values())))
        if "now" in self.uses.variables:
            bindings["now"] = scope.facts.now
        return bindings

    def _check_cost(self, extent: Extent) -> None:
        loops, searches = self.uses.loops, self.uses.open_contains
        if not loops and not searches:
            return
        steps = min(max(extent.elements, _LITERAL_ELEMENTS) ** loops, _MAX_STEPS)
        length = extent.characters
        if length * steps > _MAX_LOOKED_AT or (searches and length * length * steps > _MAX_SEARCHED):
            raise Unsound(f"{length:,} characters and lists of {extent.elements:,} are too much for this expression")


def compile_in(env: Any, text: str) -> Any:
    """`text` compiled in one environment. Raises ConditionError with the places that the compiler names."""
    try:
        return env.compile(text)
    except RuntimeError as error:
        raise ConditionError(*_faults_of(str(error), text)) from None


def _compile(text: str) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise ConditionError(ConditionFault(0, f"a condition has at most {MAX_CHARACTERS:,} characters"))
    if NOT_CEL_TEXT.search(text):
        raise ConditionError(ConditionFault(0, "a condition holds no NUL and no lone surrogate"))
    return compile_in(_ENV, text)


_COMPILER_ERROR = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_CODE = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
_TOO_DEEP = ConditionFault(0, "nested deeper than 32, or more than 32 operators in a row; use parentheses or lists")


def _faults_of(message: str, text: str) -> list[ConditionFault]:
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    faults: list[ConditionFault] = []
    for line, column, what in _COMPILER_ERROR.findall(message):
        at = int(line) - 1
        if at < 0 or at >= len(starts):
            fault = _TOO_DEEP
        else:
            fault = _explained(min(starts[at] + max(int(column) - 1, 0), len(text)), _CODE.sub("", what), text)
        if fault not in faults:
            faults.append(fault)
    if faults:
        return faults
    if "recursion" in message:
        return [_TOO_DEEP]
    return [ConditionFault(None, _CODE.sub("", message.partition("\n")[0]))]


def _explained(offset: int, what: str, text: str) -> ConditionFault:
    match = _UNDECLARED.search(what)
    if match is None:
        return ConditionFault(offset, f"the condition is not CEL ({what})" if what.startswith("Syntax") else what)
    name = match[1]
    root = name.partition(".")[0]
    # The compiler points behind the name; people look at its beginning.
    start = text.rfind(root, 0, offset + len(root))
    offset = start if start >= 0 else offset
    if name in _LATER:
        return ConditionFault(offset, f"not supported by this version: {name}")
    if root in _ROOTS:
        members = ", ".join(variable for variable in VARIABLES if variable.partition(".")[0] == root)
        return ConditionFault(offset, f"there is no {name}; of {root} there is {members}")
    known = ", ".join(VARIABLES)
    return ConditionFault(offset, f"there is no variable or function {name}; the variables are {known}")


def _shadowing(uses: tree.Uses) -> list[ConditionFault]:
    return [
        ConditionFault(offset, f"the loop variable {name} hides the variable of that name; call it otherwise")
        for name, offset in uses.bound
        if name in _ROOTS
    ]


def _patterns(uses: tree.Uses) -> list[ConditionFault]:
    faults = []
    for use in uses.patterns:
        if use.pattern is None:
            faults.append(ConditionFault(use.offset, "the pattern of `matches` must be a literal text"))
            continue
        # RE2 says only when it is asked to match whether it takes the pattern.
        tried = _PATTERN_TRIAL.eval(data={"pattern": use.pattern})
        if tried.type() != _T.BOOL:
            faults.append(ConditionFault(use.offset, _CODE.sub("", str(tried.value()))))
    return faults


_PATTERN_TRIAL = cel.NewEnv(variables={"pattern": _T.STRING}).compile("''.matches(pattern)")
