"""What `init` says when it is done: what became what, what was left out and why, where keys went, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from shim.cli import output
from shim.cli.options import DEFAULT_CONFIG
from shim.cli.text import visible
from shim.clients.listing import Keys, Listing
from shim.clients.plan import Adopted, Plan
from shim.clients.writing import IDENTITY, MOST_SHOWN
from shim.model import JsonObject

if TYPE_CHECKING:
    from shim.cli.keeping import Keeping


@dataclass(frozen=True, slots=True)
class Summary:
    """One run of `init`. `config` is the file that was written, `allowed` the number of tools that it allows.

    `environ` has the names of the variables that are set.
    """

    config: str
    plan: Plan
    listings: Mapping[str, Listing]
    keeping: Keeping
    keys: Keys
    environ: Container[str]
    allowed: int

    def as_json(self) -> JsonObject:
        """For machines: `{config, upstreams, left_out, secrets, allowed}`, and never a key."""
        return {
            "config": self.config,
            "upstreams": [self._upstream(one) for one in self.plan.upstreams],
            "left_out": [{**asdict(out.place), "why": self.keys.hide(out.why)} for out in self.plan.left_out],
            "secrets": [*self._secrets()],
            "allowed": self.allowed,
        }

    def _secrets(self) -> Iterator[JsonObject]:
        for name in (*self.plan.secrets, *self.plan.awaited):
            yield {"name": name, **self.keeping.source(name), "awaited": name in self.plan.awaited}
        for name, variable in self.plan.variables.items():
            yield {"name": name, "source": "env", "variable": variable, "awaited": variable not in self.environ}

    def _upstream(self, one: Adopted) -> JsonObject:
        state, error, tools = self._state(one)
        return {
            "name": one.name,
            "state": state,
            "error": error,
            "tools": tools,
            "secrets": list(one.secrets),
            "remarks": [self.keys.hide(remark) for remark in one.remarks],
            "from": [asdict(place) for place in one.places],
        }

    def _state(self, one: Adopted) -> tuple[str, str | None, int | None]:
        if one.missing is not None:
            return "unused", self.keys.hide(one.missing), None
        if one.needs:
            return "down", self.keys.hide("; ".join(one.needs)), None
        listing = self.listings[one.name]
        if listing.problem is not None:
            return "down", self.keys.hide(listing.problem), None
        return "up", None, len(listing.tools)

    def tell(self) -> None:
        """For people."""
        output.line(f"{visible(self.config)} is written.")
        rows = []
        for one in self.plan.upstreams:
            state, _, tools = self._state(one)
            rows.append((one.name, state, "-" if tools is None else str(tools), "; ".join(map(str, one.places))))
        none = "No server was found in any client, neither in your home nor in this folder."
        output.table(("upstream", "state", "tools", "found in"), rows, none)
        for one in self.plan.upstreams:
            state, error, _ = self._state(one)
            for text in (*([f"{state}: {error}"] if error else []), *one.remarks):
                output.line(visible(f"{one.name}: {self.keys.hide(text)}"))
        more = len(self.plan.left_out) - MOST_SHOWN
        for out in self.plan.left_out[:MOST_SHOWN]:
            output.line(visible(f"left out: {out.place}: {self.keys.hide(out.why)}"))
        if more > 0:
            output.line(f"left out: {more:,} more")
        for name in self.plan.secrets:
            output.line(
                visible(f"a key is now in {self.keeping.where(name)}; the file that it was found in still holds it too")
            )
        for name, variable in self.plan.variables.items():
            if variable in self.environ:
                where = "set it for whatever starts mcp-shim, a client too"
                output.line(visible(f"the secret {name} is the variable {variable}: {where}"))
        self._tell_next()

    def _tell_next(self) -> None:
        at = "" if self.config == str(DEFAULT_CONFIG) else f" --config {shlex.quote(self.config)}"
        if self.allowed:
            tools = "1 tool is" if self.allowed == 1 else f"{self.allowed} tools are"
            output.line(f"{tools} allowed: what its server says only reads.")
        else:
            output.line("Nothing is allowed yet.")
        first = f"open {self.config}, and below `grants:` take `# ` away before each tool that you allow"
        if not self.plan.upstreams:
            first = f"open {self.config}, and add a server as its example shows; or delete it, and name a client's file"
            first += " that has servers, such as a project's: mcp-shim init --from FILE"
        output.line(
            visible(
                f"\nNext:\n"
                f"  1. {first}\n"
                f"  2. mcp-shim check{at}\n"
                f"  3. mcp-shim connect CLIENT --identity {IDENTITY} --write --replace{at}",
                lines=True,
            )
        )
