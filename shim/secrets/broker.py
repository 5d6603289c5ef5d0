"""Issues leases of secrets: asked of their sources when a call needs them, and never before; revoked when it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from shim import jsontext, templates
from shim.errors import SecretUnavailable, SecretWanted
from shim.lending import Leased, Need
from shim.model import Call, Caller, Lease
from shim.secrets.config import UNDECLARED, SecretBlock, SourceBlock
from shim.secrets.giving import Giver
from shim.secrets.held import Asked, Held
from shim.secrets.issuing import Issuer
from shim.secrets.lines import LineScrubber
from shim.secrets.scrubbing import Scrubber
from shim.secrets.source import Purpose, Unavailable, Wanted
from shim.units import Block

_NOTHING = Leased()


@dataclass(frozen=True, slots=True)
class _Known:
    """A secret of the configuration, and what its source is asked by: checked once, not with each call."""

    block: SecretBlock
    keys: Block
    alike: str
    claims: frozenset[str]
    is_by_token: bool

    @classmethod
    def of(cls, block: SecretBlock, source: SourceBlock) -> _Known:
        keys = block.keys(source.kind)
        return cls(block, keys, keys.model_dump_json(), block.claims, block.is_by_token(source))

    def of_person(self, caller: Caller) -> dict[str, str]:
        """What tells this caller from others of the same identity, which several people may be."""
        claims = caller.identity.claims
        told = {f"claim {name}": jsontext.dump(claims.get(name)).decode() for name in self.claims}
        return told | {"token": caller.credential.token or ""} if self.is_by_token else told


class Broker:
    """Knows every secret of one configuration, and no value: those it hands to whoever asked.

    Brokers of several configurations, one after the other, share one `Issuer`, which has what is alive.
    """

    def __init__(
        self,
        issuer: Issuer,
        secrets: Mapping[str, SecretBlock],
        sources: Mapping[str, SourceBlock] | None = None,
        *,
        in_force: bool = True,
    ) -> None:
        self._issuer = issuer
        blocks = {name: SourceBlock.model_construct(type=name) for name in UNDECLARED} | dict(sources or {})
        self._secrets = {name: _Known.of(block, blocks[block.source]) for name, block in secrets.items()}
        self._blocks, self._sources = blocks, issuer.sources.made(blocks)
        if in_force:
            self.put_in_force()

    def put_in_force(self) -> None:
        """Its configuration is the one from now on: sources that this has not are closed with their last lease."""
        self._issuer.know(self._blocks, self._sources)

    @property
    def are_given(self) -> bool:
        """See `shim.lending.Secrets`."""
        return any(known.block.is_given for known in self._secrets.values())

    def giver(self) -> Giver | None:
        """Who takes what people give of these secrets; None where nobody does."""
        tickets, given = self._issuer.tickets, self._issuer.given
        if tickets is None or given is None or not self.are_given:
            return None
        return Giver(
            {name: (one.block, one.keys) for name, one in self._secrets.items()}, self._issuer.source, tickets, given
        )

    def of(self, secrets: Mapping[str, SecretBlock], sources: Mapping[str, SourceBlock] | None = None) -> Broker:
        """A broker of these secrets, not in force yet, whose fingerprints can be compared with this one's."""
        return Broker(self._issuer, secrets, sources, in_force=False)

    def fingerprint(self, values: Mapping[str, str]) -> bytes:
        """See `Issuer.fingerprint`."""
        return self._issuer.fingerprint(values)

    def leased(self, needs: Sequence[Need], caller: Caller | None = None, call: Call | None = None) -> BrokersLeases:
        """See `shim.lending.Secrets`."""
        return BrokersLeases(self, self._issuer, needs, caller, call)

    def hiding(self, handed: Mapping[str, str]) -> LineScrubber:
        """See `shim.lending.Secrets`."""
        return self._issuer.hiding(handed)

    async def aclose(self) -> None:
        """For verbs that are done: see `Issuer.close`."""
        await self._issuer.close()

    async def issue(self, name: str, needs: Sequence[Need], caller: Caller | None, call: Call | None) -> Held:
        """One issue of a secret, or the one that is there. Raises SecretUnavailable."""
        try:
            return await self._issuer.have(self._asked(name, needs, caller, call))
        except Wanted as wanted:
            raise self._wanted(name, needs, caller, str(wanted)) from None
        except Unavailable as unavailable:
            raise SecretUnavailable(templates.name_of(needs[0].reference), str(unavailable)) from None

    def _wanted(self, name: str, needs: Sequence[Need], caller: Caller | None, why: str) -> SecretUnavailable:
        shown, tickets = templates.name_of(needs[0].reference), self._issuer.tickets
        url = tickets.url(caller.identity.name, name) if tickets is not None and caller is not None else None
        if url is None:
            return SecretUnavailable(shown, f"{why}, and this process knows no page where they could")
        return SecretWanted(shown, name, self._secrets[name].block.prompt, url, why)

    def _asked(self, name: str, needs: Sequence[Need], caller: Caller | None, call: Call | None) -> Asked:
        known = self._secrets.get(name)
        if known is None:
            raise Unavailable(f"the configuration has no secret {name}, and the grant binds none to that name")
        secret = known.block
        scope = secret.scope if caller is not None and call is not None else "call"
        person = known.of_person(caller) if caller is not None and scope != "call" else {}
        return Asked(
            secret=name,
            source=secret.source,
            kind=self._blocks[secret.source].type,
            of=self._sources[secret.source],
            keys=known.keys,
            alike=known.alike,
            fields=frozenset(need.field for need in needs),
            public=frozenset(secret.public),
            scope=scope,
            run=call.run if call is not None and scope == "run" else None,
            shown=templates.name_of(needs[0].reference),
            purpose=_purpose(name, caller, call if scope == "call" else None, secret.ttl),
            cause=call.id if call is not None else None,
            person=self._issuer.fingerprint(person) if person else b"",
        )


def _purpose(secret: str, caller: Caller | None, call: Call | None, ttl: float | None) -> Purpose:
    if caller is None:
        return Purpose("", ttl=ttl, secret=secret)
    identity = caller.identity
    return Purpose(
        "",
        identity.name,
        identity.claims,
        tool=call.tool if call is not None else None,
        invocation=call.id if call is not None else None,
        arguments=call.arguments if call is not None else None,
        token=caller.credential.token,
        ttl=ttl,
        secret=secret,
    )


class BrokersLeases:
    """See `shim.lending.Leases`. An async context manager, to be entered once."""

    __slots__ = ("_broker", "_call", "_caller", "_held", "_issuer", "_mark", "_needs", "_now", "scrubber")

    def __init__(
        self, broker: Broker, issuer: Issuer, needs: Sequence[Need], caller: Caller | None, call: Call | None
    ) -> None:
        self._broker = broker
        self._issuer = issuer
        self._needs = needs
        self._caller = caller
        self._call = call
        self._held: list[Held] = []
        self._now: dict[str, Held] = {}
        self._mark: int | None = None
        self.scrubber = Scrubber(lambda: issuer.alive.since(self._mark))

    @property
    def issued(self) -> tuple[Lease, ...]:
        return tuple(held.lease for held in self._held)

    async def take(self) -> Leased:
        """See `shim.lending.Leases`. What is needed of one secret is asked for at once; what is there is not again."""
        if not self._needs:
            return _NOTHING
        by_secret: dict[str, list[Need]] = {}
        for need in self._needs:
            by_secret.setdefault(need.secret, []).append(need)
        values: dict[str, str] = {}
        for name, needs in by_secret.items():
            held = self._now.get(name)
            if held is None or held.over:
                held = await self._broker.issue(name, needs, self._caller, self._call)
                self._now[name] = held
                self._held.append(held)
            values.update({need.reference: held.values[need.field] for need in needs})
        kept = {need.reference: values[need.reference] for need in self._needs if not need.travels}
        if not kept:
            return Leased(values)
        # Of what sessions have. What travels with one request is no reason to open another, or to end one.
        fingerprint = self._issuer.fingerprint(kept)
        theirs = {need.secret for need in self._needs if not need.travels}
        of_sessions = [held for name, held in self._now.items() if name in theirs]
        for held in of_sessions:
            held.fingerprints.add(fingerprint)
        return Leased(values, fingerprint, all(held.lease.long_lived for held in of_sessions))

    async def news(self, seconds: float) -> None:
        """See `shim.lending.Leases`."""
        if self._issuer.given is not None:
            await self._issuer.given.news(seconds)

    async def doubt(self) -> None:
        """See `shim.lending.Leases`."""
        await self._issuer.doubt(self._now.values())

    async def __aenter__(self) -> BrokersLeases:
        if self._call is not None:
            # Not for what listens as long as an upstream lives: nothing that ended could ever be let go.
            self._mark = self._issuer.alive.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """However the block ends."""
        if self._mark is not None:
            self._issuer.alive.end(self._mark)
        await self._issuer.release(self._held)
