"""One configuration file: from its text to checked blocks, with every fault at its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml import Node, ScalarNode

from shim import templates, yamltext
from shim.config import faults, placeholders
from shim.config.configuration import Finding, finding_line
from shim.config.document import Included, is_json, is_not_yet, json_in, kind_of, may_hold_secret, type_at
from shim.config.source import Source
from shim.model import Json, JsonObject, Problem
from shim.units import Faults
from shim.yamltext import Flaw, Malformed, Path

D = TypeVar("D", bound=Included)

MAX_PROBLEMS = 1000
_ROUNDS = 8
_SHAPES = frozenset({"extra_forbidden", "missing", "tuple_type", "dict_type", "model_type", "model_attributes_type"})
_EMPTY: dict[str, Json] = {"version": "1", "upstreams": {}}


@dataclass(slots=True)
class Variables:
    """The environment that values are taken from. Not `strict`: a variable that is not set is no fault."""

    environ: Mapping[str, str]
    strict: bool = True


@dataclass(slots=True)
class Reading(Generic[D]):
    """A file that was read.

    `document` holds the blocks that are sound; `names` has all names of each section, those of unsound blocks too;
    `grants` has, for each grant of `document`, its position in the file.
    """

    source: Source
    root: Node | None
    document: D
    problems: list[Problem]
    names: dict[str, tuple[str, ...]]
    grants: tuple[int, ...]
    unset: frozenset[int]

    def line(self, path: Path) -> int:
        """The line to mend for what stands at a path: that of its key, or of the item."""
        point, _ = yamltext.locate(self.root, path)
        return yamltext.line_of(self.source.text, point.start_mark.index) if point is not None else 1

    def has(self, path: Path) -> bool:
        """Whether something was written at a path, sound or not."""
        return yamltext.locate(self.root, path)[1] is not None

    def written(self, path: Path) -> str | None:
        """The value at a path as it was written, before expansion. None where there is no text."""
        _, value = yamltext.locate(self.root, path)
        return value.value if isinstance(value, ScalarNode) else None

    def is_unset(self, path: Path) -> bool:
        """Whether a value stays as it was written, because a variable of its is not set."""
        _, value = yamltext.locate(self.root, path)
        return isinstance(value, ScalarNode) and value.start_mark.index in self.unset

    def finding(self, position: int, finding: Finding) -> Problem:
        """A finding of policy in the grant at a position of the file."""
        line = finding_line(self.source.text, self.root, position, finding)
        return Problem(self.source.file, line, finding.level, finding.message)

    def problem(self, path: Path, message: str, level: Literal["error", "warning"] = "error") -> Problem:
        """A problem of what stands at a path."""
        return Problem(self.source.file, self.line(path), level, message)

    def report(self, path: Path, message: str, level: Literal["error", "warning"] = "error") -> None:
        """Add a problem of what stands at a path."""
        self.problems.append(self.problem(path, message, level))


def read(source: Source, model: type[D], variables: Variables) -> Reading[D]:
    """Read a file as far as it can be read. What is wrong is in the reading's `problems`; nothing is raised."""
    return _Reader(source, model, variables).read()


@dataclass(slots=True)
class _Reader(Generic[D]):
    source: Source
    model: type[D]
    variables: Variables
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    dropped: set[Path] = field(default_factory=set)
    """What was taken out, so that its absence is no second fault."""
    unset: set[int] = field(default_factory=set)
    """Where scalars begin that stay as they were written, because a variable is not set."""
    grants: list[int] = field(default_factory=list)
    """For each grant that is left, its position in the file."""

    def read(self) -> Reading[D]:
        data = self._data()
        names = {
            section: tuple(value) if isinstance(value := data.get(section), dict) else ()
            for section in ("upstreams", "identities", "secret_sources", "secrets", "tools")
        }
        self._mean(data)
        self._fill(data, ())
        document = self._validated(data)
        return Reading(
            self.source, self.root, document, self.problems, names, tuple(self.grants), frozenset(self.unset)
        )

    def _data(self) -> JsonObject:
        try:
            self.root = yamltext.compose(self.source.text)
            value, flaws = yamltext.plain(self.source.text, self.root, self._scalar)
        except Malformed as error:
            value, flaws = None, [Flaw(error.line, str(error))]
            self.dropped.update({("version",), ("upstreams",)})
        self.problems.extend(Problem(self.source.file, flaw.line, "error", flaw.message) for flaw in flaws)
        if value is None or isinstance(value, dict):
            return value or {}
        self._report((), "the file is no mapping; write `key: value` lines")
        self.dropped.update({("version",), ("upstreams",)})
        return {}

    def _report(self, path: Path, message: str) -> None:
        point, _ = yamltext.locate(self.root, path)
        line = yamltext.line_of(self.source.text, point.start_mark.index) if point is not None else 1
        self.problems.append(Problem(self.source.file, line, "error", message))

    def _scalar(self, node: ScalarNode) -> str:
        if "${" not in node.value and "\0" not in node.value:
            return str(node.value)
        expanded = placeholders.expand(node.value, self.variables.environ)
        messages = list(expanded.wrong)
        if self.variables.strict:
            messages += [
                f"the environment variable {name} is not set; set it, or write the value" for name in expanded.unset
            ]
        if expanded.unset or expanded.wrong:
            self.unset.add(node.start_mark.index)
        line = yamltext.line_of(self.source.text, node.start_mark.index) if messages else 1
        self.problems.extend(Problem(self.source.file, line, "error", message) for message in messages)
        return expanded.text

    def _mean(self, data: JsonObject) -> None:
        """Where any JSON may stand, plain scalars are what YAML says of them; everywhere else the key says it."""
        for path in [*json_in(data)]:
            _, node = yamltext.locate(self.root, path)
            holder: Json = data
            for step in path[:-1]:
                holder = holder[step]
            if isinstance(holder, dict) and isinstance(holder.get(str(path[-1])), dict) and node is not None:
                holder[str(path[-1])] = yamltext.meant(holder[str(path[-1])], node)

    def _fill(self, value: Json, path: Path) -> None:
        """Give what was left empty the empty value of its type, or report it and take it out; find secrets astray."""
        steps: list[tuple[str | int, Json]] = [*(value.items() if isinstance(value, dict) else enumerate(value))]
        for step, member in steps:
            if isinstance(member, dict | list):
                self._fill(member, (*path, step))
            elif isinstance(member, str):
                if templates.MARK in member and not may_hold_secret((*path, step)):
                    value[step] = self._astray((*path, step))
            elif is_json((*path, step)):
                continue
            elif member is None and (expected := type_at(self.model, (*path, step))) is not None:
                kind = kind_of(expected)
                if kind != "scalar":
                    value[step] = [] if kind == "list" else {}
                elif isinstance(value, dict):
                    self._report(
                        (*path, step), f"`{step}` has no value; write one (text in quotes), or leave the key out"
                    )
                    self.dropped.add((*path, step))
                    del value[step]

    def _astray(self, path: Path) -> str:
        """Report a secret where none may stand. The value as it was written, which is no second fault."""
        if not any(is_not_yet(path[:length]) for length in range(1, len(path) + 1)):
            self._report(path, faults.astray(path))
        _, node = yamltext.locate(self.root, path)
        if not isinstance(node, ScalarNode):
            return ""
        self.unset.add(node.start_mark.index)
        return str(node.value)

    def _validated(self, data: JsonObject) -> D:
        grants = data.get("grants")
        self.grants = list(range(len(grants))) if isinstance(grants, list) else []
        context = {"unset": not self.variables.strict}
        for _ in range(_ROUNDS):
            try:
                return self.model.model_validate(data, context=context)
            except ValidationError as error:
                # What is at fault is taken out until the rest is sound, so that the rest can be checked as well.
                found = error.errors(include_url=False)
                for fault in found[:MAX_PROBLEMS]:
                    self._judge(data, fault)
                if len(found) > MAX_PROBLEMS:
                    break
                self._without_gaps(data)
        self.grants = []
        return self.model.model_validate(self._required())

    def _required(self) -> JsonObject:
        return {key: _EMPTY[key] for key, field in self.model.model_fields.items() if field.is_required()}

    def _judge(self, data: JsonObject, fault: ErrorDetails) -> None:
        steps = tuple(step for step in fault["loc"] if step != "[key]")
        place = self._original(steps)
        follows = fault["type"] in ("missing", "value_error") and any(
            gone[: len(place)] == place for gone in self.dropped
        )
        if not follows and not (fault["type"] not in _SHAPES and self._holds_unset(place)):
            for path, message in self._told(place, fault):
                self._report(path, message)
        self.dropped.add(place)
        if len(steps) == 1 and steps[0] in self._required():
            data[str(steps[0])] = self._required()[str(steps[0])]
        else:
            _take_out(data, steps[:-1] if fault["type"] == "missing" else steps)

    def _told(self, place: Path, fault: ErrorDetails) -> Iterator[tuple[Path, str]]:
        several = fault.get("ctx", {}).get("error")
        if isinstance(several, Faults):
            yield from (((*place, *steps), message) for steps, message in several.found)
        else:
            yield self._named(place, fault), faults.explain(self.model, place, fault)

    def _holds_unset(self, path: Path) -> bool:
        _, node = yamltext.locate(self.root, path)
        return node is not None and any(node.start_mark.index <= at < node.end_mark.index for at in self.unset)

    def _named(self, path: Path, fault: ErrorDetails) -> Path:
        # A fault between the keys of a block begins with the key that it is about.
        key = faults.key_of(fault["msg"]) if fault["type"] == "value_error" else None
        if key is not None and yamltext.locate(self.root, (*path, key))[1] is not None:
            return (*path, key)
        return path

    def _original(self, steps: Path) -> Path:
        if len(steps) > 1 and steps[0] == "grants" and isinstance(steps[1], int):
            return ("grants", self.grants[steps[1]], *steps[2:])
        return steps

    def _without_gaps(self, data: JsonObject) -> None:
        grants = data.get("grants")
        if not isinstance(grants, list):
            self.grants = []
            return
        self.grants = [place for place, grant in zip(self.grants, grants, strict=True) if grant is not None]
        data["grants"] = [grant for grant in grants if grant is not None]


def _take_out(data: JsonObject, steps: Path) -> None:
    """Take the nearest thing out that can be absent: a member of a mapping, or a whole grant (None stands for it)."""
    while isinstance(steps[-1], int) and not (len(steps) == 2 and steps[0] == "grants"):
        steps = steps[:-1]
    holder: Json = data
    for step in steps[:-1]:
        holder = holder[int(step)] if isinstance(holder, list) else (holder or {}).get(step)
    if isinstance(holder, list):
        holder[int(steps[-1])] = None
    elif holder is not None:
        holder.pop(steps[-1], None)
