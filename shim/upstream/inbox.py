"""What comes from an upstream, sorted: answers to their calls, notices and questions to those they belong to."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY

from shim.model import Era, Json, JsonObject, Reply, Response
from shim.upstream.exchange import Allowance, Asked, Exchange
from shim.upstream.failures import fault, too_large

_ASKED_BURST, _ASKED_PER_SECOND = 100.0, 10.0
_ODD_BURST, _ODD_PER_SECOND = 20.0, 1.0
_ELICITATIONS = 256

LISTS = ("tools", "prompts", "resources")
"""The capabilities that come with lists, which may change."""

_CHANGES = frozenset(f"notifications/{kind}/list_changed" for kind in LISTS)


ACKNOWLEDGED, UPDATED = "notifications/subscriptions/acknowledged", "notifications/resources/updated"


class Watcher(Protocol):
    """Hears what an upstream says outside of calls. Both return at once."""

    def lists_changed(self) -> None:
        """One of the upstream's lists is not what it was."""

    def refused(self, method: str, invocation: str | None) -> None:
        """The upstream asked something of the client, and was refused."""


class Inbox:
    """Takes every message of one session. `say` sends a message upstream without waiting (a legacy upstream only)."""

    def __init__(self, name: str, watcher: Watcher, say: Callable[[JsonObject], None]) -> None:
        time = asyncio.get_running_loop().time
        self._waiting: dict[int, Exchange] = {}
        self._newest = 0
        self._elicitations: OrderedDict[str, Callable[[JsonObject], None]] = OrderedDict()
        self.era: Era = "legacy"
        self.heard: Callable[[str, JsonObject], None] | None = None
        """Is told of subscriptions what came on no stream of their own (method and params), and returns."""
        self._name = name
        self._watcher = watcher
        self._say = say
        self._log = logging.getLogger(f"shim.upstream.{name}")
        self._questions = Allowance(_ASKED_BURST, _ASKED_PER_SECOND, time)
        self._oddities = Allowance(_ODD_BURST, _ODD_PER_SECOND, time)

    @property
    def waiting(self) -> list[Exchange]:
        return list(self._waiting.values())

    def waits(self, id_: int) -> Exchange | None:
        """The exchange that waits under this id."""
        return self._waiting.get(id_)

    def expect(self, exchange: Exchange) -> None:
        """From now on the answer to this exchange is delivered to it."""
        self._waiting[exchange.id] = exchange
        self._newest = exchange.id

    def forget(self, exchange: Exchange) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(exchange.id, None)

    def take(self, message: Json, size: int, heard: Exchange | None = None) -> None:
        """Sort one message of `size` bytes. `heard` is the exchange on whose own stream it came, if it has one."""
        if not isinstance(message, dict):
            self.odd("a message that is not an object")
        elif "method" in message:
            self._said(message, heard)
        elif "id" in message:
            self._answered(message, size, heard)
        else:
            self.odd("a message that is neither request, notice nor answer")

    def odd(self, what: str) -> None:
        """Log something strange that is ignored; a flood of it is not logged."""
        if self._oddities.spend():
            self._log.warning("The upstream %s sent what is ignored: %s", self._name, what)

    def _answered(self, message: JsonObject, size: int, heard: Exchange | None) -> None:
        id_ = message["id"]
        exchange = self._waiting.get(id_) if type(id_) is int else None
        if exchange is not None and exchange is not heard and (heard is not None or exchange.bound):
            # What answers one POST never answers another; a standing stream answers what is being resumed at most.
            self.odd("an answer to a call on a stream that is not the call's")
            return
        if exchange is None or exchange.over:
            if type(id_) is int and 0 < id_ <= self._newest:
                self._log.debug("ignored an answer that came late, or a second time")
            else:
                self.odd("an answer to nothing that was asked")
            return
        if size > exchange.ask.limit:
            exchange.fail(too_large(self._name, exchange.ask.limit))
            return
        exchange_fault = _unusable(message)
        if exchange_fault is not None:
            exchange.fail(fault(self._name, exchange_fault))
            return
        error = message.get("error")
        if error is not None:
            exchange.answer(Reply(None, error, size))
        elif message["result"].get("resultType") == "input_required" and not self._may_ask(exchange):
            self._refuse_inputs(exchange, message["result"])
        else:
            exchange.answer(Reply(message["result"], None, size))

    def _may_ask(self, exchange: Exchange) -> bool:
        return self.era == "modern" and exchange.ask.asked is not None

    def _refuse_inputs(self, exchange: Exchange, result: JsonObject) -> None:
        requests = result.get("inputRequests")
        methods = (
            {str(request.get("method")) for request in (requests or {}).values() if isinstance(request, dict)}
            if isinstance(requests, dict)
            else set()
        )
        for method in sorted(methods)[:10] or ["input_required"]:
            self._watcher.refused(method[:100], exchange.ask.invocation)
        exchange.fail(fault(self._name, "asked for input from the client, which is not allowed here"))

    def _said(self, message: JsonObject, heard: Exchange | None) -> None:
        method, params = message["method"], message.get("params")
        if not isinstance(method, str):
            self.odd("a message whose method is not text")
        elif "id" in message:
            self._asked(method, message, heard)
        elif method == "notifications/progress":
            self._progressed(params, heard)
        elif method == "notifications/message":
            self._logged(params, heard)
        elif method in _CHANGES:
            self._watcher.lists_changed()
        elif method == "notifications/cancelled":
            self._withdrawn(params)
        elif method == "notifications/elicitation/complete":
            self._completed(params)
        elif method in (ACKNOWLEDGED, UPDATED) and isinstance(params, dict):
            self._subscribed(method, params, heard)

    def _asked(self, method: str, message: JsonObject, heard: Exchange | None) -> None:
        id_ = message["id"]
        if not self._questions.spend():
            self.odd("a flood of requests")
            return
        exchange = heard or self._only() or self._newest_asked()
        asked = exchange.ask.asked if exchange is not None and not exchange.over else None
        if method != "ping" and (asked is None or self.era == "modern"):
            self._watcher.refused(method[:100], exchange.ask.invocation if exchange is not None else None)
        if self.era == "modern" or type(id_) not in (str, int):
            return
        if method == "ping":
            self._say({"jsonrpc": "2.0", "id": id_, "result": {}})
        elif exchange is None or asked is None:
            error = {"code": -32601, "message": f"{method[:100]} is not allowed here"}
            self._say({"jsonrpc": "2.0", "id": id_, "error": error})
        else:
            self._put(exchange, asked, method, message)

    def _put(self, exchange: Exchange, asked: Asked, method: str, message: JsonObject) -> None:
        id_, params = message["id"], message.get("params")

        def say(response: Response) -> None:
            answer = {"result": response.result} if response.error is None else {"error": response.error}
            self._say({"jsonrpc": "2.0", "id": id_, **answer})

        request = {"method": method, "params": params} if isinstance(params, dict) else {"method": method}
        if asked.put(exchange, id_, request, say) is not None and isinstance(params, dict):
            self.watch(params.get("elicitationId"), asked.completed)

    def watch(self, elicitation: Json, completed: Callable[[JsonObject], None]) -> None:
        """Have `completed` called once the upstream says that what it asked for under this id is done."""
        if isinstance(elicitation, str):
            while len(self._elicitations) >= _ELICITATIONS:
                self._elicitations.popitem(last=False)
            self._elicitations[elicitation] = completed

    def _completed(self, params: Json) -> None:
        elicitation = params.get("elicitationId") if isinstance(params, dict) else None
        completed = self._elicitations.pop(elicitation, None) if isinstance(elicitation, str) else None
        if completed is not None:
            completed(params)

    def _withdrawn(self, params: Json) -> None:
        for exchange in self._waiting.values():
            if exchange.ask.asked is not None and isinstance(params, dict):
                exchange.ask.asked.withdraw(params.get("requestId"))

    def _subscribed(self, method: str, params: JsonObject, heard: Exchange | None) -> None:
        meta = params.get("_meta")
        id_ = meta.get(SUBSCRIPTION_ID_META_KEY) if isinstance(meta, dict) else None
        # Over stdio all streams are one: each notice says which it belongs to.
        exchange = self._waiting.get(id_) if heard is None and type(id_) is int else heard
        hears = (exchange.ask.heard if exchange is not None else None) or self.heard
        if hears is not None:
            hears(method, params)

    def _progressed(self, params: Json, heard: Exchange | None) -> None:
        token = params.get("progressToken") if isinstance(params, dict) else None
        exchange = self._waiting.get(token) if type(token) is int else None
        if exchange is not None and heard in (None, exchange):
            exchange.progress(params)

    def _logged(self, params: Json, heard: Exchange | None) -> None:
        # A log message names no call: where it did not come on a call's own stream it is one's only if one is alone.
        exchange = heard or self._only()
        if exchange is not None and isinstance(params, dict):
            exchange.log(params)

    def _newest_asked(self) -> Exchange | None:
        # Of several calls in a session that can be asked, all are of one client: it does not matter which one asks.
        calls = [exchange for exchange in self._waiting.values() if exchange.ask.asked is not None]
        return calls[-1] if calls else None

    def _only(self) -> Exchange | None:
        calls = [exchange for exchange in self._waiting.values() if exchange.ask.invocation is not None]
        return calls[0] if len(calls) == 1 else None


def _unusable(message: JsonObject) -> str | None:
    if "error" in message and message["error"] is not None:
        error = message["error"]
        if message.get("result") is not None:
            return "sent both a result and an error"
        if not isinstance(error, dict) or type(error.get("code")) is not int:
            return "sent an error that is not one"
        return None if isinstance(error.get("message"), str) else "sent an error without a message"
    return None if isinstance(message.get("result"), dict) else "sent a result that is not an object"
