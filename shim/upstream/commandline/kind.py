"""The kind of upstream that is a program: each call starts it anew, with the words that the tool's template gives."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from shim import templates
from shim.errors import SecretUnavailable
from shim.model import Json, JsonObject, Tool
from shim.upstream.arguments import Judge, misfit
from shim.upstream.commandline import config, finding, output
from shim.upstream.commandline.running import Run, TooMuch, private, put, run
from shim.upstream.commandline.stderr import Stderr
from shim.upstream.commandline.template import Misfit
from shim.upstream.commandline.tool import CommandTool
from shim.upstream.config import UpstreamBlock
from shim.upstream.failures import Unfitting, fault, timed_out, too_large, unavailable
from shim.upstream.handing import Handed, plain
from shim.upstream.hiding import Hiding
from shim.upstream.inbox import Watcher
from shim.upstream.local import Doing, LocalSession
from shim.upstream.making import Making
from shim.upstream.program import CannotStart, Program
from shim.upstream.session import Session

_LANG: Final = "C.UTF-8"


class CommandLine:
    """`program`. At most `pool.max` of its runs at once, whoever they are for."""

    over_http = False
    rests = True
    can_judge = True

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self.name, self.block, self.making = name, block, making
        self.slots = asyncio.Semaphore(block.pool.max)
        self.before = config.literals(block)
        self._judge = Judge()
        self._found: finding.Found | None = None
        self._why = ""
        try:
            self._found = finding.found(block.program or "", config.folders(block))
        except finding.NotFit as error:
            self._why = str(error)
        hidden: Mapping[str, Json] = {
            "program": self._found.real if self._found is not None else None,
            "args": [*self.before],
            "path": [*config.folders(block)],
            "cwd": block.cwd,
            "env": sorted(block.env),
            "files": sorted(block.files),
        }
        self.tools = {key: CommandTool.of(key, tool, hidden) for key, tool in block.tools.items()}
        making.folders.sweep()

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        self.program()
        return LocalSession(self.name, _Commands(self, handed), watcher)

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `Kind`."""
        if (why := self._judge.misfit(tool, arguments)) is not None:
            return why
        known = self.tools.get(tool.name)
        return known.misfit(self.before, arguments) if known is not None else None

    async def close(self) -> None:
        """Every call ends its own program; nothing is shared."""

    def program(self) -> str:
        """The path to start, which leads to what it led to when it was found. Raises UpstreamUnavailable."""
        if self._found is None:
            raise unavailable(self.name, self._why)
        if not self._found.is_still:
            raise unavailable(self.name, "its program is another one than when the configuration was read")
        return self._found.path


class _Commands:
    """The tools, with the secrets that were handed over."""

    def __init__(self, kind: CommandLine, handed: Handed) -> None:
        self._kind = kind
        self._handed = handed
        known = kind.making.hiding(handed.values)
        self._hide = Hiding(handed.values, {}, known)
        self._logged = Hiding(handed.values, plain(kind.block.env), known)

    async def tools(self) -> Sequence[JsonObject]:
        return [tool.definition for tool in self._kind.tools.values()]

    async def call(self, name: str, arguments: JsonObject, doing: Doing) -> JsonObject:
        kind = self._kind
        tool = kind.tools.get(name)
        if tool is None:
            raise fault(kind.name, f"has no tool {name[:100]}")
        # Once more, of all that was put in meanwhile.
        if (why := misfit(tool.judge, tool.definition["inputSchema"], arguments)) is not None:
            raise Unfitting(why)
        async with kind.slots:
            return await self._within(tool, arguments, doing)

    async def _within(self, tool: CommandTool, arguments: JsonObject, doing: Doing) -> JsonObject:
        wait = tool.block.timeout
        if wait is None:
            return await self._called(tool, arguments, doing)
        try:
            async with asyncio.timeout(wait) as clock:
                loop = asyncio.get_running_loop()

                def progress(done: float, total: float | None, message: str | None) -> None:
                    if not clock.expired():
                        clock.reschedule(loop.time() + wait)
                    doing.progress(done, total, message)

                return await self._called(tool, arguments, replace(doing, progress=progress))
        except TimeoutError:
            raise timed_out(self._kind.name, wait) from None

    async def _called(self, tool: CommandTool, arguments: JsonObject, doing: Doing) -> JsonObject:
        kind, block = self._kind, tool.block
        program, variables, contents = kind.program(), self._variables(), self._files()
        stderr = Stderr(self._hide, _counted(doing) if block.progress == "stderr" else None)
        # The rest of the result, and its text as JSON, come on top; what is exact is judged around this.
        limit = doing.limit if "/" not in block.output else doing.limit * 3 // 4
        try:
            async with private(kind.making.folders) as folder:
                try:
                    filled = tool.declaration.fill(kind.before, arguments, f"{folder}/inputs")
                except Misfit as error:
                    raise Unfitting(f"The argument `{error.name}` cannot be used: {error}.") from None
                put(folder / "inputs", filled.files)
                put(folder / "files", contents)
                variables |= {"HOME": f"{folder}/home"} | {key: f"{folder}/files/{key}" for key in contents}
                what = Program((program, *filled.words), variables, kind.block.cwd or f"{folder}/work")
                asked = Run(kind.name, what, filled.stdin, limit)
                doing.began()
                ran = await run(asked, kind.making.guards, self._logged, stderr)
        except CannotStart as error:
            raise unavailable(kind.name, str(error)) from None
        except TooMuch:
            raise too_large(kind.name, doing.limit) from None
        if ran.code not in block.ok:
            return output.failed(kind.block.program or "", ran.code, block.output, ran.output, stderr.end)
        if output.least(block.output, ran.output) > doing.limit:
            raise too_large(kind.name, doing.limit)
        return output.result(block.output, block.schema, ran.output, doing.invocation)

    def _variables(self) -> dict[str, str]:
        """All but HOME and those of files. Raises SecretUnavailable."""
        block = self._kind.block
        for name, text in block.env.items():
            if "\0" in self._handed.env.get(name, ""):
                raise SecretUnavailable(_of(text), f"it holds a NUL, which the variable {name} cannot")
        return {"PATH": ":".join(config.folders(block)), "LANG": _LANG, **plain(block.env), **self._handed.env}

    def _files(self) -> dict[str, bytes]:
        values = self._handed.values
        return {key: templates.filled(text, values).encode() for key, text in self._kind.block.files.items()}


def _of(text: str) -> str:
    return templates.name_of(templates.references(text)[0])


def _counted(doing: Doing) -> Callable[[str], None]:
    """Tells each line as one step more: how many there will be nobody knows."""
    steps = itertools.count(1)
    return lambda line: doing.progress(next(steps), None, line)
