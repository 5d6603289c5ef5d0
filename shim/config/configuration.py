"""A configuration that was read and found sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from yaml import Node, ScalarNode

from shim import yamltext
from shim.config import placeholders
from shim.config.faults import printable
from shim.config.listening import faults_of
from shim.curating import Idle, Misfit, ToolBlock, Unmatched
from shim.errors import ConfigurationError
from shim.identity.config import IdentityBlock
from shim.model import Problem
from shim.policy.config import GrantBlock
from shim.record.config import RecordBlock
from shim.secrets.config import SecretBlock, SourceBlock
from shim.server.config import ServerBlock
from shim.store.config import StoreUrl
from shim.upstream.config import UpstreamBlock


class Finding(Protocol):
    """What policy finds in one grant: where in its block, at which character of a condition, and what."""

    @property
    def path(self) -> tuple[str | int, ...]: ...

    @property
    def offset(self) -> int | None: ...

    @property
    def message(self) -> str: ...

    @property
    def level(self) -> Literal["error", "warning"]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the file as messages name it, and the line, counted from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class GrantPlace:
    """Where a grant stands: the number of its text in `texts`, and its position among that text's grants."""

    file: str
    text: int
    position: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """The composed blocks, their paths absolute, their values expanded.

    `digest` names the texts as read; `texts` are pairs of a name, relative to the folder, and the text to be
    kept, without the secrets that stand in it. `tokens` is where `token new` writes. `warnings` were found on reading
    and stop nothing.
    """

    path: Path
    folder: Path
    digest: str
    texts: tuple[tuple[str, str], ...]
    server: ServerBlock
    store: StoreUrl
    record: RecordBlock
    upstreams: Mapping[str, UpstreamBlock]
    identities: Mapping[str, IdentityBlock]
    grants: tuple[GrantBlock, ...]
    sources: Mapping[str, SourceBlock]
    secrets: Mapping[str, SecretBlock]
    tokens: Path
    warnings: tuple[Problem, ...]
    upstream_places: Mapping[str, Place]
    grant_places: Mapping[str, GrantPlace]
    secret_places: Mapping[str, Place]
    tools: Mapping[str, ToolBlock]
    tool_places: Mapping[str, Place]

    def problem(self, grant: str, finding: Finding) -> Problem:
        """A finding of policy in a grant, with its file and line."""
        return self.problems([(grant, finding)])[0]

    def problems(self, findings: Iterable[tuple[str, Finding]]) -> list[Problem]:
        """Findings of policy with their files and lines. Each text is read again once: nodes are not kept."""
        roots: dict[int, Node | None] = {}
        result = []
        for grant, finding in findings:
            place = self.grant_places[grant]
            text = self.texts[place.text][1].removeprefix("\ufeff")
            if place.text not in roots:
                roots[place.text] = yamltext.compose(text)
            line = finding_line(text, roots[place.text], place.position, finding)
            result.append(Problem(place.file, line, finding.level, printable(finding.message)))
        return result

    def curated(self, found: Iterable[Unmatched | Idle | Misfit]) -> list[Problem]:
        """What is said of tools in vain, with its file and line."""
        places = [(self.tool_places[one.pattern], one) for one in found]
        return [Problem(place.file, place.line, "warning", printable(str(one))) for place, one in places]

    @property
    def url(self) -> str:
        """How clients reach the server, as configured or by where it listens."""
        if self.server.url is not None:
            return self.server.url
        return f"{'https' if self.server.tls is not None else 'http'}://{self.server.listen}/mcp"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that its values take, in the order in which they stand."""
        found: dict[str, None] = {}

        def note(node: ScalarNode) -> str:
            found.update(dict.fromkeys(placeholders.variables(node.value)))
            return str(node.value)

        for _, text in self.texts:
            bare = text.removeprefix("\ufeff")
            yamltext.plain(bare, yamltext.compose(bare), note)
        return tuple(found)

    def listening_on(self, listen: str) -> Configuration:
        """This configuration with another address to listen on. Raises ConfigurationError where it may not."""
        server = self.server.model_copy(update={"listen": listen})
        is_open = any(block.anonymous for block in self.identities.values())
        is_secured = server.tls is not None or server.behind_proxy
        faults = faults_of(server, is_secured=is_secured, is_open=is_open)
        if found := [Problem("--listen", 1, "error", message) for key, message in faults if key == "listen"]:
            raise ConfigurationError(found)
        return replace(self, server=server)


def finding_line(text: str, root: Node | None, position: int, finding: Finding) -> int:
    """The line of a finding in the grant at a position of a text."""
    point, value = yamltext.locate(root, ("grants", position, *finding.path))
    if finding.offset is not None and isinstance(value, ScalarNode) and not placeholders.from_environment(value.value):
        return yamltext.line_in(text, value, finding.offset)
    return yamltext.line_of(text, point.start_mark.index) if point is not None else 1
