"""Issues leases of secrets: asked of their sources when a call needs them, and never before."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from types import TracebackType

from shim import templates
from shim.errors import SecretUnavailable
from shim.model import Lease, Leased, Need
from shim.secrets.config import KINDS, SecretBlock
from shim.secrets.source import MAX_BYTES, PATIENCE, Unavailable

_NOTHING = Leased()
_SURROGATE = re.compile("[\ud800-\udfff]")


class Broker:
    """Knows every secret of the configuration, and no value: those it hands to whoever asked, and forgets."""

    def __init__(
        self,
        secrets: Mapping[str, SecretBlock],
        *,
        environment: Mapping[str, str],
        random: Callable[[int], bytes],
        new_id: Callable[[], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: float = PATIENCE,
    ) -> None:
        """`environment` is where the source `env` looks; `random` gives that many unpredictable bytes.

        `patience`: the seconds that the source of each secret has to answer.
        """
        self._secrets = dict(secrets)
        self._sources = {name: kind.make(environment) for name, kind in KINDS.items()}
        self._key = random(32)
        self._new_id = new_id
        self._clock = clock
        self._patience = patience

    def of(self, secrets: Mapping[str, SecretBlock]) -> Broker:
        """A broker of these secrets, whose fingerprints can be compared with this one's."""
        other = copy(self)
        other._secrets = dict(secrets)
        return other

    def leased(self, needs: Sequence[Need]) -> BrokersLeases:
        """See `shim.model.Secrets`."""
        return BrokersLeases(self, needs)

    async def issue(self, name: str, needs: Sequence[Need]) -> tuple[Lease, Mapping[str, str]]:
        """One issue of a secret: its values by reference. Raises SecretUnavailable."""
        try:
            source, values = await self._asked(name, frozenset(need.field for need in needs))
        except Unavailable as unavailable:
            raise SecretUnavailable(templates.name_of(needs[0].reference), str(unavailable)) from None
        lease = Lease(self._new_id(), name, source, self._clock())
        return lease, {need.reference: values[need.field] for need in needs}

    async def _asked(self, name: str, fields: frozenset[str | None]) -> tuple[str, Mapping[str | None, str]]:
        secret = self._secrets.get(name)
        if secret is None:
            raise Unavailable(f"the configuration has no secret {name} any more")
        try:
            async with asyncio.timeout(self._patience):
                values = await self._sources[secret.source].issue(secret, fields)
        except TimeoutError:
            raise Unavailable(f"its source ({secret.source}) did not answer within {self._patience:g} s") from None
        for value in values.values():
            _check(value)
        return secret.source, values

    def fingerprint(self, values: Mapping[str, str]) -> bytes:
        """What tells these values from others, and nothing about them to anyone without this process's key."""
        digest = hmac.new(self._key, digestmod="sha256")
        for reference, value in sorted(values.items()):
            for text in (reference.encode(), value.encode()):
                digest.update(len(text).to_bytes(8, "big") + text)
        return digest.digest()


class BrokersLeases:
    """See `shim.model.Leases`. An async context manager, to be entered once."""

    __slots__ = ("_broker", "_issued", "_needs")

    def __init__(self, broker: Broker, needs: Sequence[Need]) -> None:
        self._broker = broker
        self._needs = needs
        self._issued: tuple[Lease, ...] = ()

    @property
    def issued(self) -> tuple[Lease, ...]:
        return self._issued

    async def take(self) -> Leased:
        """See `shim.model.Leases`. What is needed of one secret is asked for at once."""
        if not self._needs:
            return _NOTHING
        by_secret: dict[str, list[Need]] = {}
        for need in self._needs:
            by_secret.setdefault(need.secret, []).append(need)
        values: dict[str, str] = {}
        for name, needs in by_secret.items():
            lease, issued = await self._broker.issue(name, needs)
            self._issued = (*self._issued, lease)
            values.update(issued)
        return Leased(values, self._broker.fingerprint(values))

    async def __aenter__(self) -> BrokersLeases:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """However the block ends. No source so far has anything to revoke."""


def _check(value: str) -> None:
    if not value:
        raise Unavailable("it is empty")
    if "\0" in value:
        raise Unavailable("it holds a NUL character, which neither a header nor a variable can")
    # Looked for rather than tried: the error of an encoder holds all that it was given.
    if _SURROGATE.search(value):
        raise Unavailable("it is not text in UTF-8")
    if len(value) > MAX_BYTES or len(value.encode("utf-8")) > MAX_BYTES:
        raise Unavailable(f"it is longer than {MAX_BYTES // 1024} KiB")
