"""Taking servers over: what stands in clients' files becomes upstreams, and the keys in it become secrets."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from shim.clients import argv, credentials, naming, values
from shim.clients.drafts import Draft, of_command, of_server
from shim.clients.plan import Adopted, LeftOut, Place, Plan
from shim.clients.registry import CLIENTS
from shim.clients.secrets import Secrets
from shim.clients.server import Found, Origin
from shim.clients.values import Asked, Inexpressible, Key, Part, Text, Value, Variable
from shim.clients.wrapping import Wrapped, wrapped
from shim.upstream.config import UpstreamBlock

MOST_SERVERS = 200
_LONGEST_NAME = 120
"""Characters of a server's name that are shown."""

_ARGV = (
    "UNSAFE: a key stands in its command line, where every user of this machine can read it while it runs. If the "
    "server also takes the key from a variable or a file, hand it over there and take it out of `command`"
)
_GIVEN = Place("--command", None, None)
_ID = "An id stands in its address, and here as well. If whoever knows it may use the server, it is a key: keep it safe"


@dataclass(frozen=True, slots=True)
class Around:
    """Where servers are taken over: where init runs, the person's home, the configuration's folder, the environment.

    `standing` is as `Secrets` has it. `kept_in` says where a secret of a name is, for people: `config/secrets/NAME`;
    `to_give` how somebody puts its value there: "put it into …".
    """

    folder: Path
    home: Path
    config: Path
    environ: Mapping[str, str] = field(repr=False)
    standing: Callable[[str], str | None]
    kept_in: Callable[[str], str]
    to_give: Callable[[str], str]


def adopt(
    found: Found, around: Around, *, commands: Sequence[Sequence[str]] = (), other_projects: bool = False
) -> Plan:
    """What becomes of the servers that were found, and of command lines that a person gave.

    A server that was found several times is one upstream. `other_projects`: also take what speaks for another folder.
    """
    left_out = [LeftOut(place(one.origin, one.name, around), one.why) for one in found.unusable]
    here = os.path.realpath(around.folder)
    found_once = _Drafts()
    for server in found.servers:
        spot = place(server.origin, server.name, around)
        try:
            draft = of_server(
                server,
                spot,
                around.folder,
                around.environ,
                lambda folder: not other_projects and os.path.realpath(folder) != here,
            )
        except Inexpressible as error:
            left_out.append(LeftOut(spot, str(error)))
        else:
            found_once.add(draft)
    programs: list[Wrapped] = []
    for words in commands:
        try:
            program = wrapped(words, around.environ.get("PATH", os.defpath))
        except Inexpressible as error:
            left_out.append(LeftOut(_GIVEN, f"{words[0][:_LONGEST_NAME]}: {error}"))
            continue
        if program is not None:
            programs.append(program)
        else:
            found_once.add(of_command(tuple(words), around.folder))
    drafts = found_once.all
    left_out += [
        LeftOut(spot, f"more than {MOST_SERVERS} servers") for one in drafts[MOST_SERVERS:] for spot in one.places
    ]
    del drafts[MOST_SERVERS:]
    _name(drafts)
    _find_keys(drafts)
    secrets = Secrets(around.standing)
    upstreams: list[Adopted] = []
    for draft in drafts:
        before = secrets.mark()
        try:
            upstreams.append(_Writing(draft, secrets, around).adopted())
        except Inexpressible as error:
            secrets.back_to(before)
            left_out += [LeftOut(spot, str(error)) for spot in draft.places]
    taken = {draft.name for draft in drafts}
    cwd = os.path.relpath(around.folder, around.config)
    for program in programs:
        name = naming.distinct(naming.upstream(program.program), taken.__contains__)
        taken.add(name)
        upstreams.append(Adopted(name, (_GIVEN,), cwd=cwd, wrapped=program, remarks=(program.remark,)))
    return Plan(tuple(upstreams), tuple(left_out), secrets.kept, secrets.awaited, secrets.variables)


def place(origin: Origin, name: str | None, around: Around) -> Place:
    """Where an entry stands, as a person would say it."""
    title, name = CLIENTS[origin.client].title, name[:_LONGEST_NAME] if name is not None else None
    for base, short in ((around.folder, ""), (around.home, "~/")):
        if origin.file.is_relative_to(base):
            return Place(title, short + str(origin.file.relative_to(base)), name)
    return Place(title, str(origin.file), name)


class _Drafts:
    """Servers in the order in which they were found, each once."""

    def __init__(self) -> None:
        self.all: list[Draft] = []
        self._by: dict[Hashable, list[Draft]] = {}

    def add(self, draft: Draft) -> None:
        """Add a server, or to what is known of it."""
        alike = self._by.setdefault(draft.says(), [])
        like = next((one for one in alike if one.may_be(draft)), None)
        if like is not None:
            like.merge(draft)
        else:
            alike.append(draft)
            self.all.append(draft)


def _name(drafts: Sequence[Draft]) -> None:
    taken: set[str] = set()
    for draft in drafts:
        draft.name = naming.distinct(draft.name, taken.__contains__)
        taken.add(draft.name)


def _find_keys(drafts: Sequence[Draft]) -> None:
    # Twice: a key that its name gave away in one place is then known where nothing does.
    known: frozenset[str] = frozenset()
    for _ in range(2):
        for draft in drafts:
            used = credentials.used_as_keys(draft.words or ())
            draft.words = credentials.in_words(draft.words, draft.name, known=known) if draft.words else None
            draft.env = {
                name: credentials.in_member(value, name, name, known=known, used=used)
                for name, value in draft.env.items()
            }
            draft.headers = {
                name: credentials.in_member(value, name, draft.name, known=known)
                for name, value in draft.headers.items()
            }
            draft.url = credentials.in_url(draft.url, draft.name, known=known) if draft.url is not None else None
        known = frozenset(
            part.text for draft in drafts for value in draft.all_values() for part in value if isinstance(part, Key)
        )


class _Writing:
    """Writes one draft down as the configuration has it."""

    def __init__(self, draft: Draft, secrets: Secrets, around: Around) -> None:
        self._draft = draft
        self._secrets = secrets
        self._around = around
        self._missing: dict[str, None] = {}
        self._needs: dict[str, None] = {}
        self._used: dict[str, None] = {}

    def adopted(self) -> Adopted:
        """Raises Inexpressible."""
        draft = self._draft
        words, env = draft.words, draft.env
        remarks = list(draft.remarks)
        parts = [part for word in words or () for part in word]
        if words is not None and any(map(self._is_secret, parts)):
            words, put_in = argv.through_shell(words, env.__contains__)
            env = {**env, **put_in}
            if any(map(_is_key, parts)):
                remarks.append(_ARGV)
        if draft.url is not None and any(
            isinstance(part, Text) and credentials.holds_id(part.text) for part in draft.url
        ):
            remarks.append(_ID)
        result = Adopted(
            draft.name,
            tuple(draft.places),
            command=tuple(values.written(word, self._plain) for word in words) if words is not None else None,
            env={name: values.written(value, self._member) for name, value in env.items()},
            cwd=self._cwd(),
            url=values.written(draft.url, self._in_url) if draft.url is not None else None,
            headers={name: values.written(value, self._member) for name, value in draft.headers.items()},
            secrets=tuple(self._used),
            remarks=tuple(remarks),
            needs=tuple(self._needs),
            missing="; ".join((*self._missing, *self._needs)) if self._missing else None,
        )
        self._check(words, env)
        return result

    def _cwd(self) -> str | None:
        if self._draft.cwd is None:
            return None
        text = values.literal(self._draft.cwd)
        if text is None:
            return values.written(self._draft.cwd, self._plain)
        relative = os.path.relpath(text, self._around.config)
        # A folder above the configuration moves with it; any other is where it is.
        is_above = set(relative.split("/")) <= {".", ".."}
        if is_above and os.path.realpath(self._around.config / relative) == os.path.realpath(text):
            return None if relative == "." else relative
        return values.written((Text(text),), self._plain)

    def _is_secret(self, part: Part) -> bool:
        """Whether a part is handed over call by call. What is not there yet is too: it stops its server alone so."""
        if isinstance(part, Variable):
            return part.secret or part.name not in self._around.environ
        return not isinstance(part, Text)

    def _plain(self, part: Part) -> str:
        """The placeholder of what stands where no secret can."""
        if isinstance(part, Variable):
            if part.name not in self._around.environ:
                self._missing[f"the variable {part.name} is not set; set it where mcp-shim is started"] = None
            return f"${{env:{part.name}}}"
        if isinstance(part, Asked):
            name = naming.variable(part.id)
            self._missing[f"its client asks for {part.id[:80]!r}; set the variable {name}, or write the value"] = None
            return f"${{env:{name}}}"
        raise Inexpressible("a key stands where none can be handed over")

    def _member(self, part: Part) -> str:
        """The placeholder of what stands in a variable or a header."""
        if not self._is_secret(part):
            return self._plain(part)
        if isinstance(part, Key):
            name = self._secrets.of_key(part)
        elif isinstance(part, Asked):
            name = self._secrets.of_question(part)
            self._needs[f"its client asks for {part.id[:80]!r}: {self._around.to_give(name)}"] = None
        elif isinstance(part, Variable):
            name = self._secrets.of_variable(part.name)
            if part.name not in self._around.environ:
                self._needs[f"the variable {part.name} is not set: set it where mcp-shim is started"] = None
        self._used[name] = None
        return f"${{secret:{name}}}"

    def _in_url(self, part: Part) -> str:
        """The placeholder of what stands in an address, where a secret cannot stand."""
        if not isinstance(part, Key):
            return self._plain(part)
        name = self._secrets.of_key(part)
        variable = naming.variable(f"{name}-key")
        self._missing[
            f"a key stands in its address, and is now in {self._around.kept_in(name)}. If the server also takes "
            f'it in a header, write headers: {{Authorization: "Bearer ${{secret:{name}}}"}} and catalog: '
            f"{{{name}: {name}}}, and take it out of `url`; else set the variable {variable} to it where mcp-shim is "
            "started"
        ] = None
        return f"${{env:{variable}}}"

    def _check(self, words: tuple[Value, ...] | None, env: Mapping[str, Value]) -> None:
        # What the loader would refuse of one server must not cost the others.
        draft, url = self._draft, None
        if draft.url is not None:
            # An address that begins with what is not known yet can be any.
            is_open = self._missing and not isinstance(draft.url[0], Text)
            url = "https://host/" if is_open else self._filled(draft.url)
        try:
            UpstreamBlock(
                command=tuple(map(self._filled, words)) if words is not None else None,
                env={name: self._filled(value) for name, value in env.items()},
                url=url,
                headers={name: self._filled(value) for name, value in draft.headers.items()},
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step)[:60] for step in first["loc"])
            why = first["msg"].removeprefix("Value error, ")
            raise Inexpressible(f"{where}: {why}" if where else why) from None

    def _filled(self, value: Value) -> str:
        return "".join(map(self._text, value))

    def _text(self, part: Part) -> str:
        if isinstance(part, Text | Key):
            return part.text
        if isinstance(part, Variable) and not self._is_secret(part):
            return self._around.environ[part.name]
        return "x"


def _is_key(part: Part) -> bool:
    return isinstance(part, Key) or (isinstance(part, Asked | Variable) and part.secret)
