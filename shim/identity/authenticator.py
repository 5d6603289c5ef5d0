"""What a caller showed, turned into who calls.

Only a credential makes an identity: nothing of a request's body, of client information or of other headers does.
API tokens are random, so their SHA-256 is looked up as it stands: to learn from timing how much of a digest is right
does not help to find a token that has it. The comparison that decides is made in constant time all the same.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING

from shim.errors import Unauthenticated
from shim.identity import compact, tokenfile
from shim.identity.compact import JWT_ID
from shim.identity.config import IdentityBlock, TokenBlock
from shim.identity.expiry import instant
from shim.identity.naming import People, groups_of
from shim.identity.tokenfile import Entries, Stamp, TokenFileError
from shim.model import Credential, Identity
from shim.yamltext import Flaw

if TYPE_CHECKING:
    # Needed where tokens of an issuer are taken, and dear to import.
    from shim.identity.jwt import Verified, Verifier

_log = logging.getLogger("shim.identity")

_REMEMBERED = 4096
"""JWTs of which it is known what they prove."""
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_SETTLED = 2.0
"""Seconds after which a file's stamp can be trusted: within the clock tick of a write another could go unseen."""


@dataclass(frozen=True, slots=True)
class _Known:
    digest: str
    credential: Credential
    ends: datetime | None


def identity_of(name: str, block: IdentityBlock) -> Identity:
    """The identity that a block of the configuration describes."""
    return Identity(name=name, groups=groups_of(name, block), runs=block.runs)


class Authenticator:
    """Proves identities against the configuration and `tokens.yaml`, whose stamp is looked at on each request; and,
    with a verifier, JWTs. What those prove is remembered while they hold, for as long as this configuration does.

    When the file changes and cannot be believed, none of its tokens holds until it is mended: what changed may have
    been a revocation. Tokens of the configuration, and `local` identities, are not touched by that.
    """

    def __init__(
        self,
        identities: Mapping[str, IdentityBlock],
        tokens: Path,
        *,
        verifier: Verifier | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._blocks = dict(identities)
        self.identities: Mapping[str, Identity] = {
            name: identity_of(name, block) for name, block in identities.items() if block.name is None
        }
        self._verifier = verifier
        self._people = People(identities)
        self._remembered: OrderedDict[str, tuple[Verified, Credential]] = OrderedDict()
        self._path = tokens
        self._clock = clock
        self._configured = self._index({name: identities[name].tokens for name in self.identities})
        anonymous = next((name for name, block in identities.items() if block.anonymous), None)
        self._anonymous = Credential(self.identities[anonymous], "anonymous") if anonymous is not None else None
        self._stamp: Stamp = None
        self._settled = False
        self._broken: str | None = None
        self._known: dict[str, _Known] = dict(self._configured)
        self._refresh()

    async def prepare(self, token: str) -> None:
        """Have at hand what it takes to judge a token, which for a JWT may be on the issuer's server.

        Raises nothing: what a token is worth says `bearer`, here and whenever it is shown again.
        """
        if self._verifier is None or not compact.looks_like(token):
            return
        found = self._remembered.get(_digest(token))
        if found is None or not self._verifier.is_fresh or not self._verifier.holds(found[0]):
            await self._verifier.prepare(token)

    async def renew(self) -> None:
        """Look again at what credentials are judged by, where that is elsewhere and some time ago. Raises nothing."""
        if self._verifier is not None:
            await self._verifier.renew()

    def bearer(self, token: str) -> Credential:
        """Who a token proves, the token being all that stood after `Bearer `.

        Raises Unauthenticated for one that is not known, revoked, or past its end; and for a JWT that the issuer did
        not sign for this server or that is not exactly one identity's.
        """
        self._refresh()
        if len(token) > compact.MAX_TOKEN:
            raise Unauthenticated("a bearer that is no token")
        digest = _digest(token)
        known = self._known.get(digest)
        if known is not None and compare_digest(known.digest, digest):
            self._not_over(known)
            return known.credential
        if self._verifier is not None and compact.looks_like(token):
            return self._jwt(self._verifier, token, digest)
        raise Unauthenticated(self._unknown())

    def again(self, identity: Identity) -> Identity | None:
        """An identity that was proved before as it is by this configuration; None: it is nobody any more."""
        if not identity.claims:
            return self.identities.get(identity.name)
        try:
            found = self._people.identity(dict(identity.claims))
        except Unauthenticated:
            return None
        return found if found.name == identity.name else None

    def still(self, credential: str, name: str) -> bool:
        """Whether a credential, proved before, still is that of the identity of this name, by its id alone.

        A token is until it is revoked or over. Of a JWT nothing but its end is known, which whoever remembers it has to
        look at: it still is one while JWTs are taken at all.
        """
        self._refresh()
        if credential.startswith(JWT_ID):
            return self._verifier is not None
        known = [one.credential for one in self._known.values() if one.ends is None or self._clock() < one.ends]
        if self._anonymous is not None:
            known.append(self._anonymous)
        return any(one.id == credential and one.identity.name == name for one in known)

    def _jwt(self, verifier: Verifier, token: str, digest: str) -> Credential:
        remembered = self._remembered.get(digest)
        if remembered is not None and verifier.holds(remembered[0]):
            self._remembered.move_to_end(digest)
            return remembered[1]
        self._remembered.pop(digest, None)
        verified = verifier.verify(token)
        ends = datetime.fromtimestamp(min(verified.ends, _LATEST), UTC)
        identity = self._people.identity(verified.claims)
        credential = Credential(identity, verified.id, scopes=verified.scopes, ends=ends, token=token)
        self._remembered[digest] = verified, credential
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return credential

    def local(self, name: str) -> Credential:
        """The credential of an identity that needs no token on this machine. Raises Unauthenticated for any other."""
        block = self._blocks.get(name)
        if block is None:
            raise Unauthenticated(f"no identity is named {name}")
        if not block.local:
            raise Unauthenticated(f"the identity {name} is not local: it needs a token")
        return Credential(self.identities[name], "local")

    def anonymous(self, *, forwarded: bool = False) -> Credential | None:
        """Who a request without any credential is; None: nobody.

        `forwarded`: the request came with `Forwarded` or `X-Forwarded-*`. Something then stands between, and what
        looks local is not. Never to be asked for a request that showed a credential, least of all a bad one.
        """
        return None if forwarded else self._anonymous

    def _unknown(self) -> str:
        return (
            "unknown or revoked token"
            if self._broken is None
            else "a token that is unknown while the token file is broken"
        )

    def _not_over(self, known: _Known) -> None:
        if known.ends is not None and self._clock() >= known.ends:
            raise Unauthenticated(f"the token {known.credential.id} has expired")

    def _refresh(self) -> None:
        try:
            stamp = tokenfile.stamp(self._path)
            if stamp == self._stamp and self._settled:
                return
            file = tokenfile.read(self._path)
            self._believe(file.entries)
        except TokenFileError as error:
            self._doubt(str(error))
            return
        if self._broken is not None:
            _log.warning("%s is mended: its tokens hold again", self._path)
        self._broken = None
        self._stamp = file.stamp
        self._settled = file.stamp is None or self._clock().timestamp() - file.stamp[3] / 1e9 > _SETTLED

    def _believe(self, entries: Entries) -> None:
        found = self._index({name: tokens for name, tokens in entries.items() if name in self.identities})
        configured = {known.credential.id for known in self._configured.values()}
        for known in found.values():
            if known.credential.id in configured or known.digest in self._configured:
                message = f"the token {known.credential.id} stands in the configuration as well; keep one of them"
                raise TokenFileError(self._path, [Flaw(1, message)])
        self._known = {**self._configured, **found}

    def _doubt(self, why: str) -> None:
        # Looked at again with every request, so that a mended file holds at once; said once for each fault.
        self._settled = False
        self._known = dict(self._configured)
        if self._broken != why:
            self._broken = why
            _log.error("no token of this file holds until it is mended: %s", why)

    def _index(self, tokens: Mapping[str, Iterable[TokenBlock]]) -> dict[str, _Known]:
        return {
            token.sha256: _Known(
                token.sha256,
                Credential(self.identities[name], token.id, token.run, ends=ends),
                ends,
            )
            for name, blocks in tokens.items()
            for token in blocks
            for ends in (instant(token.expires) if token.expires is not None else None,)
        }


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
