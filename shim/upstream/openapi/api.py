"""`openapi`: an HTTP API that describes itself, as a kind of upstream."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread

from shim.errors import Refusal
from shim.model import JsonObject, Tool
from shim.upstream.arguments import Judge
from shim.upstream.config import UpstreamBlock
from shim.upstream.endpoint import CannotTrust, trust
from shim.upstream.failures import NotAccepted, Rejected, Unfitting, fault, rejected, unavailable
from shim.upstream.handing import Handed
from shim.upstream.hiding import Hiding
from shim.upstream.inbox import Watcher
from shim.upstream.local import Doing, LocalSession
from shim.upstream.making import Making
from shim.upstream.openapi import answers
from shim.upstream.openapi.credentials import credentials
from shim.upstream.openapi.document import MAX_BYTES, Unreadable, bytes_of, read
from shim.upstream.openapi.offering import PUT_IN, Offering, filled, offering
from shim.upstream.openapi.requests import Request, Unfit
from shim.upstream.openapi.service import Service, Terms
from shim.upstream.session import Session

_log = logging.getLogger("shim.upstream")
_TOLD = 50
"""Of what was left out, so many are told one by one."""


class OpenApi:
    """One service. What its document offers is read anew with each reading of the catalog, and kept for the calls."""

    over_http = False
    rests = False

    def __init__(self, name: str, block: UpstreamBlock, making: Making) -> None:
        self._name = name
        self._block = block
        self._making = making
        self._judge = Judge()
        self._service: Service | None = None
        self._offering: Offering | None = None
        self._digest = b""

    @property
    def can_judge(self) -> bool:
        """Where a value goes is in the document, which a catalog that is remembered does not have."""
        return self._offering is not None

    async def start(self, watcher: Watcher, handed: Handed) -> Session:
        toolset = _Operations(self, self._opened(), handed.values)
        return LocalSession(self._name, toolset, watcher, is_ours=True)

    def misfit(self, tool: Tool, arguments: JsonObject) -> str | None:
        """By the schema, and by where each value is to go, with what is put in beside them."""
        why = self._judge.misfit(tool, arguments)
        if why is not None or self._offering is None:
            return why
        if tool.fixed is None:
            return self._offering.misfit(tool.name, arguments)
        return self._offering.misfit(tool.name, {**tool.fixed.defaults, **arguments}, tool.fixed.arguments)

    async def close(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            service.close()

    @property
    def name(self) -> str:
        return self._name

    @property
    def shown(self) -> tuple[str, ...]:
        """Headers of responses that callers see, in lower case."""
        return tuple(name.lower() for name in self._block.response_headers)

    def hiding(self, values: Mapping[str, str]) -> Callable[[str], str]:
        """What takes these values of secrets out of a text, and all others that are known."""
        return Hiding(values, {}, self._making.hiding(values))

    async def offering(self, values: Mapping[str, str], service: Service) -> Offering:
        """What is offered, as it was last read."""
        return self._offering or await self.read(values, service)

    async def read(self, values: Mapping[str, str], service: Service) -> Offering:
        """Read the document, and keep what it offers; of one that is none any more, what it offered before. Raises the
        Refusals."""
        try:
            data = await (self._fetched(values, service) if self._block.is_fetched else self._from_file())
        except NotAccepted:
            # Its credential is over, and another one may be had.
            raise
        except Rejected as error:
            return self._kept(str(error), error)
        digest = hashlib.sha256(data).digest()
        if self._offering is not None and digest == self._digest:
            return self._offering
        try:
            made = await anyio.to_thread.run_sync(lambda: offering(read(data), self._block))
        except Unreadable as error:
            refusal = unavailable(self._name, f"its OpenAPI document cannot be used: {error}")
            return self._kept(str(error), refusal)
        self._digest = digest
        if self._offering is None or made.left_out != self._offering.left_out:
            self._tell(made.left_out)
        self._offering = made
        return made

    def _kept(self, why: str, refusal: Refusal) -> Offering:
        # As with the configuration: what works is not given up for what does not.
        if self._offering is None:
            raise refusal from None
        _log.warning("%s: its OpenAPI document cannot be used, and the one before still is: %s", self._name, why)
        return self._offering

    def _tell(self, left_out: Sequence[tuple[str, str]]) -> None:
        for spot, why in left_out[:_TOLD]:
            _log.warning("%s: left out %.200r of its document: %.300s", self._name, spot, why)
        if len(left_out) > _TOLD:
            _log.warning("%s: left out %d more of its document", self._name, len(left_out) - _TOLD)

    def _opened(self) -> Service:
        if self._service is None:
            base = self._block.base or ""
            try:
                self._service = Service(self._name, base, trust(base, self._block.tls, self._making.folder))
            except CannotTrust as error:
                raise unavailable(self._name, str(error)) from None
        return self._service

    async def _from_file(self) -> bytes:
        path = Path(self._making.folder, self._block.openapi or "")
        try:
            return await anyio.to_thread.run_sync(bytes_of, path)
        except OSError as error:
            raise unavailable(self._name, f"its OpenAPI document cannot be read ({error.strerror})") from None

    async def _fetched(self, values: Mapping[str, str], service: Service) -> bytes:
        # A scheme of the document cannot be known before it is there.
        sent = credentials(self._block.auth, None).filled(values)
        parts = urlsplit(self._block.openapi or "")
        query = tuple((name, value) for name, _, value in (one.partition("=") for one in parts.query.split("&") if one))
        request = Request("GET", parts.path or "/", query, (), ())
        response = await service.at(request, sent, Terms(MAX_BYTES, True, _nothing))
        if response.status != 200:
            raise rejected(self._name, response.status)
        if not response.content:
            raise fault(self._name, "sent no OpenAPI document")
        return response.content


class _Operations:
    """The operations of a service, with the secrets of one session."""

    def __init__(self, api: OpenApi, service: Service, values: Mapping[str, str]) -> None:
        self._api = api
        self._service = service
        self._values = values

    async def tools(self) -> Sequence[JsonObject]:
        """See `Toolset`."""
        made = await self._api.read(self._values, self._service)
        return [tool.definition for tool in made.tools.values()]

    async def call(self, name: str, arguments: JsonObject, doing: Doing, /) -> JsonObject:
        """See `Toolset`."""
        made = await self._api.offering(self._values, self._service)
        tool = made.tools.get(name)
        if tool is None:
            raise fault(self._api.name, "does not have this operation any more")
        try:
            request = made.request(name, arguments, filled(made.fixed, self._values))
        except Unfit as error:
            if error.name in made.fixed:
                _log.error("a call of %s was not made: the argument %s", self._api.name, error)
                raise Unfitting(PUT_IN) from None
            raise Unfitting(f"These arguments cannot be sent: {error}.") from None
        sent = made.credentials.filled(self._values)
        response = await self._service.below(request, sent, Terms(doing.limit, tool.is_safe, doing.began))
        return answers.result(response, self._api.shown, f"result:/{self._api.name}/{name}", self._hidden)

    def _hidden(self, text: str) -> str:
        return self._api.hiding(self._values)(text)


def _nothing() -> None:
    """A reading of the catalog is nobody's call."""
