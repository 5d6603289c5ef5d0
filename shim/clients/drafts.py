"""A server on its way to becoming an upstream: its values in parts, and what no upstream has taken out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from urllib.parse import unquote

from pydantic import ValidationError

from shim.clients import credentials, naming, values
from shim.clients.plan import Place
from shim.clients.server import Server
from shim.clients.values import Inexpressible, Key, Text, Value
from shim.upstream.config import UpstreamBlock

MOST_TEXT, MOST_VALUES = 64 * 1024, 300
"""Characters, and texts, of one server's entry. No server needs more, and all of them end up in one file."""

_ONLY_EDITORS = re.compile(
    r"\$\{(?:(?:config|command|extensionInstallFolder):[^{}]*|file\w*|relativeFile\w*|execPath|selectedText)\}"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_US = "mcp-shim"


@dataclass(slots=True)
class Draft:
    """One server that will be an upstream. `firm`: its client says which folder it runs in."""

    name: str
    places: list[Place]
    words: tuple[Value, ...] | None = None
    env: dict[str, Value] = field(default_factory=dict)
    url: Value | None = None
    headers: dict[str, Value] = field(default_factory=dict)
    cwd: Value | None = None
    firm: bool = False
    remarks: list[str] = field(default_factory=list)

    def says(self) -> Hashable:
        """What two drafts have in common that are one server found twice, their folders apart."""
        return (
            self.words,
            tuple(sorted(self.env.items(), key=_name)),
            self.url,
            tuple(sorted(self.headers.items(), key=_name)),
        )

    def may_be(self, other: Draft) -> bool:
        """Whether the folders of two drafts that say the same do not contradict each other."""
        return self.cwd == other.cwd or not (self.firm and other.firm)

    def merge(self, other: Draft) -> None:
        """Take over what the other says of the same server."""
        self.places += other.places
        self.remarks += [remark for remark in other.remarks if remark not in self.remarks]
        if other.firm and not self.firm:
            self.cwd, self.firm = other.cwd, True

    def all_values(self) -> Iterator[Value]:
        """Every value, in a fixed order."""
        yield from self.words or ()
        yield from self.env.values()
        yield from self.headers.values()
        if self.url is not None:
            yield self.url


def _name(member: tuple[str, Value]) -> str:
    return member[0]


def of_server(
    server: Server, place: Place, folder: Path, environ: Mapping[str, str], elsewhere: Callable[[Path], bool]
) -> Draft:
    """The draft of one server; `folder` is where its client is opened, `elsewhere` tells what is another project.

    Raises Inexpressible for a server that cannot be taken over.
    """
    _refuse(server, elsewhere)

    def read(text: str) -> Value:
        return values.read(text, environ, server.secret_inputs, str(server.origin.file))

    start = server.origin.folder or folder
    cwd: Value = (Text(str(start)),)
    if server.cwd is not None:
        cwd = read(server.cwd)
        if (written := values.literal(cwd)) is not None:
            cwd = (Text(str(start / written)),)
    firm = server.cwd is not None or server.origin.folder is not None
    draft = Draft(
        naming.upstream(server.name),
        [place],
        words=tuple(map(read, server.command)) if server.command is not None else None,
        env={name: read(text) for name, text in server.env.items()},
        url=read(server.url) if server.url is not None else None,
        headers={name: read(text) for name, text in server.headers.items()},
        # A desktop program starts its servers in no folder that means anything.
        cwd=cwd if server.command is not None and (firm or server.origin.client != "claude-desktop") else None,
        firm=firm,
    )
    if server.unread:
        draft.remarks.append("Not taken over from its entry: " + ", ".join(name[:60] for name in server.unread[:20]))
    if server.env_file is not None:
        file = server.env_file.relative_to(start) if server.env_file.is_relative_to(start) else server.env_file
        draft.remarks.append(f"What is in its env file {file} is copied: change it here too when that changes")
    if server.lacking:
        draft.remarks.append(f"It goes without {server.lacking}. Write them below `env:`, keys as secrets")
    _find_program(draft, start / (values.literal(cwd) or ""))
    _without_protocol(draft)
    _without_user(draft)
    return draft


def of_command(words: tuple[str, ...], folder: Path) -> Draft:
    """The draft of a command line that a person gave; nothing in it is a placeholder."""
    place = Place("--command", None, None)
    draft = Draft(naming.of_command(words), [place], cwd=(Text(str(folder)),), firm=True)
    draft.words = tuple((Text(word),) if word else () for word in words)
    _find_program(draft, folder)
    return draft


def _refuse(server: Server, elsewhere: Callable[[Path], bool]) -> None:
    """Raises Inexpressible for what is none of ours, whatever it is made of."""
    if server.disabled:
        raise Inexpressible("it is switched off there")
    if server.transport == "sse":
        raise Inexpressible("it speaks the old HTTP+SSE transport alone; use its streamable HTTP address if it has one")
    if (server.name == _US and server.command is None) or PurePath((server.command or ("",))[0]).name == _US:
        raise Inexpressible("it is mcp-shim itself")
    if server.origin.folder is not None and elsewhere(server.origin.folder):
        raise Inexpressible(f"it is of another project; run init in {server.origin.folder}")
    texts = [server.url or "", server.cwd or "", *(server.command or ())]
    texts += [text for mapping in (server.env, server.headers) for pair in mapping.items() for text in pair]
    if sum(map(len, texts)) > MOST_TEXT:
        raise Inexpressible(f"its entry is longer than {MOST_TEXT:,} characters")
    if len(texts) > 2 * MOST_VALUES:
        raise Inexpressible(f"its entry holds more than {MOST_VALUES} values")
    if server.origin.client in ("vscode", "cursor"):
        for text in texts:
            if only := _ONLY_EDITORS.search(text):
                raise Inexpressible(f"it needs {only[0][:80]}, which only the editor knows")
    for name in server.env:
        if not _VARIABLE.fullmatch(name):
            raise Inexpressible(f"an upstream has no variable called {name[:80]}")


def _find_program(draft: Draft, folder: Path) -> None:
    # The configuration would look for a relative path below its own folder.
    program = values.literal(draft.words[0]) if draft.words else None
    if draft.words and program is not None and "/" in program:
        draft.words = ((Text(str(folder / program)),), *draft.words[1:])


def _without_protocol(draft: Draft) -> None:
    for name in list(draft.headers):
        try:
            UpstreamBlock(url="https://host/", headers={name: ""})
        except ValidationError as error:
            draft.headers.pop(name)
            why = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            draft.remarks.append(f"Not taken over, the header {name[:60]}: {why}")
    seen: set[str] = set()
    for name in list(draft.headers):
        if name.lower() in seen:
            draft.headers.pop(name)
            draft.remarks.append(f"Not taken over, the header {name[:60]}: it is there twice")
        seen.add(name.lower())


def _without_user(draft: Draft) -> None:
    """Make user and password of an address what they are on the wire: basic authentication (RFC 7617)."""
    url = values.literal(draft.url) if draft.url is not None else None
    user = credentials.user_of(url) if url is not None else None
    if url is None or user is None or any(name.lower() == "authorization" for name in draft.headers):
        return
    draft.url = (Text(url.replace(f"{user}@", "", 1)),)
    name, _, password = user.partition(":")
    packed = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    draft.headers["Authorization"] = (Text("Basic "), Key(packed, draft.name))
    draft.remarks.append("User and password were in its address and are now in a header, which says the same")
