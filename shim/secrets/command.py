"""`type: command`: a program of the operator's that prints a secret, or a JSON object with some. Never a shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Mapping
from functools import partial
from typing import IO, Annotated, Final

from pydantic import Field, StringConstraints, field_validator

from shim import jsontext
from shim.errors import InvalidText
from shim.model import Json, JsonObject
from shim.secrets.aside import Aside
from shim.secrets.filling import filled
from shim.secrets.source import MAX_BYTES, PATIENCE, Around, Issued, Purpose, Unavailable
from shim.units import Block, Duration

_PLACE = re.compile(r"\{(?:identity|tool|invocation|(?:claims|arguments)\.[^{}]+)\}")
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TICK: Final = 0.02
"""Seconds between two looks at what no file descriptor tells: that it has ended, or that nobody waits for it."""

_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=4096)]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


# `json` is the contract's name for it, and that of an old method of pydantic's models, of which it warns.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", 'Field name "json"')

    class Keys(Block):
        """What such a secret is asked for by: the program and its arguments, and whether it prints a JSON object."""

        run: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=100)] | None = None
        json: bool | None = None  # type: ignore[assignment]

        @field_validator("run")
        @classmethod
        def _one_program(cls, run: tuple[str, ...] | None) -> tuple[str, ...] | None:
            if run is None:
                return None
            if not run[0] or run[0].startswith("-") or _PLACE.search(run[0]):
                raise ValueError("`run` begins with no program; write its name or its absolute path first")
            if "/" in run[0] and not run[0].startswith("/"):
                raise ValueError(
                    "`run` begins with a relative path; write the program's absolute path, or its name alone"
                )
            for text in run[1:]:
                if "{arguments." in text:
                    raise ValueError("`run` may hold no {arguments.NAME}: what a model writes does not choose a secret")
                found = _PLACE.search(text)
                if found and found.start() and not text[: found.start()].strip("-"):
                    raise ValueError(f"`run` lets {found[0]} name an option; write the option's name before it")
            return run


class Where(Block):
    """What all its programs get besides PATH, HOME and LANG, and how long each has."""

    env: Annotated[Mapping[_Variable, _Text], Field(repr=False)] = {}
    timeout: Annotated[Duration, Field(gt=0, lt=PATIENCE)] = PATIENCE - 1
    """A call waits 10 s for its secret, whoever has it."""


class Command:
    """Programs are run anew for each lease. What they print on stdout is the value; what on stderr, nobody reads."""

    def __init__(self, name: str, where: Where, around: Around) -> None:  # noqa: ARG002 (see `Source`)
        ours = around.environment
        given = {key: ours[key] for key in ("PATH", "HOME", "LANG") if key in ours} | dict(where.env)
        self._environment = {"PATH": os.defpath, **given}
        self._timeout = where.timeout
        self._aside: Aside[bytes] = Aside("the command")

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:  # noqa: ARG002 (see `Source`)
        """See `Source`. How what a program printed could be revoked, nobody knows but the operator."""
        return None

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. Cancelling ends the program and its process group at once."""
        run = secret.run or ("",)
        argv = (run[0], *(_element(text, purpose) for text in run[1:]))
        if secret.json and None in fields:
            raise Unavailable("it is a JSON object, which has fields; name one: ${secret:NAME.FIELD}")
        if not secret.json and fields - {None}:
            raise Unavailable("it is one text, which has no fields; write `json: true` if the command prints an object")
        left = threading.Event()
        try:
            data = await self._aside.run(partial(self._printed, argv, left))
        except asyncio.CancelledError:
            left.set()
            raise
        if not secret.json:
            return Issued(dict.fromkeys(fields, _text(data)))
        content = _object(data)
        if content is None:
            raise Unavailable(f"{run[0]} did not print one JSON object; see what it prints, or leave out `json`")
        return Issued({field: _member(run[0], content, str(field)) for field in fields})

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """See `Source`. There is nothing to revoke."""

    async def close(self) -> None:
        """See `Source`. Each program ends with the lease that it was started for."""

    def _printed(self, argv: tuple[str, ...], left: threading.Event) -> bytes:
        """What the program writes to its stdout until it ends. To be run in a thread of its own."""
        path = os.pathsep.join(one for one in self._environment["PATH"].split(os.pathsep) if one.startswith("/"))
        found = shutil.which(argv[0], path=path)
        if found is None:
            raise Unavailable(f"the program {argv[0]} was not found, or may not be executed; see the source's PATH")
        try:
            process = subprocess.Popen(
                (found, *argv[1:]),
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "an argument or a variable is no text for programs"
            raise Unavailable(f"{argv[0]} could not be started: {why}") from None
        assert process.stdout is not None
        try:
            with process.stdout as stdout:
                data = self._heard(argv[0], process, stdout, left)
        finally:
            _end(process)
        code = process.returncode
        if code:
            why = f"exited with status {code}" if code > 0 else f"was ended by signal {-code}"
            raise Unavailable(f"{argv[0]} {why}; run it by hand to see why")
        return data

    def _heard(self, program: str, process: subprocess.Popen[bytes], stdout: IO[bytes], left: threading.Event) -> bytes:
        heard = bytearray()
        deadline = time.monotonic() + self._timeout
        is_open = True
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            # What it leaves behind may hold its stdout open for ever; what it wrote itself is there when it has ended.
            while process.poll() is None or (is_open and selector.select(0)):
                if left.is_set():
                    raise Unavailable("nobody waits for it any more")
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"{program} did not end within {self._timeout:g} s; see `timeout`, and that it asks nobody"
                    )
                if not is_open:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_TICK)
                elif selector.select(_TICK):
                    piece = os.read(stdout.fileno(), MAX_BYTES)
                    heard += piece
                    is_open = bool(piece)
                if len(heard) > MAX_BYTES:
                    raise Unavailable(f"{program} printed more than {MAX_BYTES // 1024} KiB; a secret is not as long")
        return bytes(heard)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill all of its group, also where it has ended itself, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _element(text: str, purpose: Purpose) -> str:
    """One argument. Whatever a value holds, it stays one, and is no option where none was written."""
    element = filled(text, purpose, _value)
    if element.startswith("-") and not text.startswith("-"):
        raise Unavailable("an argument would begin with `-` by what it is filled with, and be taken for an option")
    return element


def _value(value: str) -> str:
    if not value or _UNFIT.search(value):
        raise Unavailable("an argument would be filled with what is empty or holds control characters")
    return value


def _text(data: bytes) -> str:
    # What is not UTF-8 becomes what no UTF-8 holds: the error of a decoder would hold the whole secret.
    text = data.decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _object(data: bytes) -> JsonObject | None:
    # What the reader says may quote what was printed, and what it raises holds it: neither goes further.
    try:
        return jsontext.parse_object(data)
    except InvalidText:
        return None


def _member(program: str, content: JsonObject, name: str) -> str:
    value: Json = content.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unavailable(f"the JSON object that {program} prints has no text or number under {name}")
    return str(value)
