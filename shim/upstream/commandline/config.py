"""The keys of an upstream with `program`: the program, what it is given, and its tools."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from shim import templates
from shim.paths import PATH, PROGRAM
from shim.units import Block, Duration
from shim.upstream.arguments import NoSchema, compiled
from shim.upstream.commandline import code, finding, git, template
from shim.upstream.commandline.declaration import Declaration, declaration
from shim.upstream.commandline.template import Element, Text

ToolName = Annotated[str, StringConstraints(pattern=f"^{template.NAME}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ExitCode = Annotated[int, Field(ge=0, le=255)]
Where: TypeAlias = tuple[str | int, ...]

FOLDERS: Final = ("/usr/bin", "/bin")
MEDIA: Final = r"^(?:text|lines|json|[a-z]+/[A-Za-z0-9!#$&^_.+-]{1,100})$"


# `schema` is the contract's name for it, and that of an old method of pydantic's models, of which it warns.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'Field name "schema"')

    class ProgramTool(Block):
        """One tool: the words after the program, and what becomes of its output. `timeout` in seconds."""

        description: str = ""
        read_only: bool | None = None
        destructive: bool | None = None
        idempotent: bool | None = None
        open_world: bool | None = None
        run: tuple[Any, ...]
        stdin: Any = None
        input: dict[str, Any] = Field(default_factory=dict)
        output: Annotated[str, StringConstraints(pattern=MEDIA)] = "text"
        schema: dict[str, Any] | None = None  # type: ignore[assignment]
        ok: tuple[ExitCode, ...] = (0,)
        timeout: Annotated[Duration, Field(gt=0)] | None = None
        progress: Literal["stderr"] | None = None

        @property
        def declaration(self) -> Declaration:
            """Its words and what they take. Raises ValueError."""
            return declaration(self.run, self.stdin, self.input)

        @model_validator(mode="after")
        def _fits(self) -> ProgramTool:
            try:
                made = self.declaration
                compiled(made.schema)
            except NoSchema as error:
                raise ValueError(f"`input`: this is no JSON Schema: {error}") from None
            if not self.ok:
                raise ValueError("`ok` is empty; write the exit codes that are answers, such as [0, 1]")
            if self.schema is not None:
                if self.output != "json":
                    raise ValueError("`schema` is that of an output in JSON; write `output: json`")
                try:
                    compiled(self.schema)
                except NoSchema as error:
                    raise ValueError(f"`schema`: this is no JSON Schema: {error}") from None
            return self


class ProgramKeys(Block):
    """`path`: the folders where the program is looked for, and the child's PATH. `files`: for each variable the
    content of a private file, whose path it holds. `args` come before each tool's own words.
    """

    program: Annotated[str, StringConstraints(min_length=1, max_length=4096), PROGRAM] | None = None
    path: tuple[Annotated[str, PATH], ...] = ()
    files: dict[Variable, str] = Field(default_factory=dict)
    args: tuple[str, ...] = ()
    tools: dict[ToolName, ProgramTool] = Field(default_factory=dict)


KEYS: Final = frozenset({"path", "cwd", "env", "files", "args", "tools"})


def folders(keys: ProgramKeys) -> tuple[str, ...]:
    """Where the program is looked for."""
    return keys.path or FOLDERS


def literals(keys: ProgramKeys) -> tuple[str, ...]:
    """`args`, braces written twice as single ones. Raises ValueError."""
    return tuple(template.text_of(word).begins for word in keys.args)


def absolute(tools: Mapping[str, ProgramTool], resolved: Callable[[str], str]) -> Mapping[str, ProgramTool]:
    """The tools, the folders that paths stay in as absolute ones."""
    return {
        name: tool.model_copy(update={"input": {key: _under(schema, resolved) for key, schema in tool.input.items()}})
        for name, tool in tools.items()
    }


def shown(tools: Mapping[str, ProgramTool]) -> Mapping[str, frozenset[str]]:
    """Of each tool the arguments that stand in its command line."""
    return {name: tool.declaration.shown for name, tool in tools.items()}


def _under(schema: Any, resolved: Callable[[str], str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    changed = {**schema, "items": _under(schema["items"], resolved)} if "items" in schema else schema
    return {**changed, "under": resolved(changed["under"])} if isinstance(changed.get("under"), str) else changed


def faults(keys: ProgramKeys, env: Mapping[str, str], cwd: str | None, timeout: float) -> Iterator[tuple[Where, str]]:
    """What is wrong between the keys and on this machine, and where. Paths are absolute."""
    assert keys.program is not None
    if astray := [*_places(keys, env, cwd)]:
        yield from astray
        return
    for key, names in (("env", env), ("files", keys.files)):
        for name in names:
            if (why := code.variable_fault(name)) is not None:
                yield (key, name), why
    for name in keys.files.keys() & env.keys():
        yield ("files", name), f"`env` sets {name}, too; leave one of them out"
    yield from _tools(keys, timeout)
    if cwd is not None and not Path(cwd).is_dir():
        yield ("cwd",), f"there is no folder {cwd}; make it, or name another"
    try:
        found = finding.found(keys.program, folders(keys))
    except finding.NotFit as error:
        yield ("program",), str(error)
        return
    yield from _codes(keys, found)


def _tools(keys: ProgramKeys, timeout: float) -> Iterator[tuple[Where, str]]:
    for tool in keys.tools:
        if keys.tools[tool].timeout is not None and (keys.tools[tool].timeout or 0) > timeout:
            yield (
                ("tools", tool, "timeout"),
                "a tool cannot take longer than its upstream; raise the upstream's `timeout`",
            )
        made = keys.tools[tool].declaration
        gone = {name: one.under for name, one in made.inputs.items() if one.under and not Path(one.under).is_dir()}
        for name, folder in gone.items():
            yield ("tools", tool, "input", name), f"there is no folder {folder}; make it, or name another"
        if not gone and (wrong := made.unplaced_default(literals(keys))) is not None:
            yield ("tools", tool, "input", wrong[0]), wrong[1]


def _places(keys: ProgramKeys, env: Mapping[str, str], cwd: str | None) -> Iterator[tuple[Where, str]]:
    what = "a call's values go into `run`, `stdin` and files of a tool, and nowhere else; take the place out"
    texts: list[tuple[Where, str]] = [(("program",), keys.program or ""), (("cwd",), cwd or "")]
    texts += [(("path", position), folder) for position, folder in enumerate(keys.path)]
    texts += [((key, name), text) for key, held in (("env", env), ("files", keys.files)) for name, text in held.items()]
    for where, text in texts:
        if any(template.holds_place(part) for part in text.split(templates.MARK)[::2]):
            yield where, what
    for position, word in enumerate(keys.args):
        try:
            if template.text_of(word).names:
                yield ("args", position), what
        except ValueError as error:
            yield ("args", position), str(error)


def _codes(keys: ProgramKeys, found: finding.Found) -> Iterator[tuple[Where, str]]:
    for name, made, elements in _lines(keys):
        is_fed = made.stdin is not None and not (isinstance(made.stdin, Text) and not made.stdin.names)
        if (why := code.fault(found.names, elements, is_fed)) is not None:
            yield ("tools", name, "run"), why


def doubts(keys: ProgramKeys) -> Iterator[tuple[Where, str]]:
    """What a program may do that nobody meant, and where; of keys without faults."""
    try:
        found = finding.found(keys.program or "", folders(keys))
    except finding.NotFit:
        return
    for name, made, elements in _lines(keys):
        inputs = made.inputs.values()
        taken = git.Taken(
            frozenset(one.name for one in inputs if one.shape == "array"),
            frozenset(one.name for one in inputs if one.under is not None or one.as_file),
        )
        if (why := code.doubt(found.names, elements, taken)) is not None:
            yield ("tools", name, "run"), why


def _lines(keys: ProgramKeys) -> Iterator[tuple[str, Declaration, Sequence[Element]]]:
    """Every tool, and the elements of its command line, those of `args` first."""
    try:
        before = [Text((word,)) for word in literals(keys)]
    except ValueError:
        return
    for name, tool in keys.tools.items():
        made = tool.declaration
        yield name, made, (*before, *made.elements)
