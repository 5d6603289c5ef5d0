"""One small tree of exceptions. What refuses a call carries its reason code; all are answered in one place.

Raised where the fault is known; turned into an answer by the gateway (a call) or by a face (a request).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shim.model import Json, Problem, Reason

REFUSED: Final = -32010
"""The JSON-RPC code of a request that the shim refuses; `data` says what was decided."""


class ShimError(Exception):
    """The root. `str()` is one sentence for the caller: it never names what the caller may not know."""


class ConfigurationError(ShimError):
    """A configuration cannot be used: all its faults at once; `digest` names its texts, where they could be read."""

    def __init__(self, problems: Sequence[Problem], digest: str | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.digest = digest


class Unauthenticated(ShimError):
    """No credential, or one that is not known, expired or revoked. `why` is for the record, not for the caller."""

    def __init__(self, why: str) -> None:
        super().__init__("authentication required")
        self.why = why


class ProtocolError(ShimError):
    """A JSON-RPC error that the caller gets as it stands."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class InvalidText(ShimError):
    """A body that is not one strictly read JSON text; `str()` says what and where."""


class Refusal(ShimError):
    """A call that is not made, or whose answer is not delivered, with the reason code of the record."""

    reason: Reason

    @property
    def detail(self) -> str:
        """What whoever runs the shim is told of it: what the caller is told, and what the caller may not know."""
        return str(self)


class SecretUnavailable(Refusal):
    """A secret that a call needs cannot be had: its upstream has not seen the call.

    The caller learns the name by which the configuration refers to it, or what it is `told`. `why` may name files and
    variables, never a value.
    """

    reason = Reason.SECRET_UNAVAILABLE

    def __init__(self, name: str, why: str, told: str | None = None) -> None:
        usual = f"The secret {name} is not available, so the call was not made"
        super().__init__(told or f"{usual}: whoever runs this server has to provide it.")
        self.name = name
        self.why = why

    @property
    def detail(self) -> str:
        return f"The secret {self.name} is not available: {self.why}."


class SecretWanted(SecretUnavailable):
    """A secret that only the caller's person can give, which they have not; or not any more one that works.

    `secret` is its name, `prompt` what they are asked for, `url` the page where they give it: for the caller alone, and
    not for the record.
    """

    def __init__(self, name: str, secret: str, prompt: str | None, url: str, why: str) -> None:
        told = (
            f"The call was not made: it needs the credential {name}, which only the person can give for whom you act. "
            f"Have them open {url} and give it there, then make the same call again."
        )
        super().__init__(name, why, told)
        self.secret = secret
        self.prompt = prompt
        self.url = url


class RecordUnavailable(Refusal):
    """The store could not commit in time; nothing that depended on it happened."""

    reason = Reason.RECORD_UNAVAILABLE


class UpstreamUnavailable(Refusal):
    """The upstream could not be reached: it has not seen the call."""

    reason = Reason.UPSTREAM_UNAVAILABLE


class UpstreamTimeout(Refusal):
    """The upstream did not answer in time. It may have seen the call, and has been told that it is cancelled."""

    reason = Reason.UPSTREAM_TIMEOUT


class UpstreamFault(Refusal):
    """The upstream answered something that is not an answer (garbage, another shape, a broken message)."""

    reason = Reason.UPSTREAM_ERROR


class ResultTooLarge(Refusal):
    """The answer exceeds the bound; reading stopped there."""

    reason = Reason.RESULT_TOO_LARGE


class OutcomeUnknown(Refusal):
    """The connection ended after the call may have been sent and before an answer: it is not sent again."""

    reason = Reason.OUTCOME_UNKNOWN


class Unanswered(Refusal):
    """A question of the upstream has no answer of the client, and the call cannot go on without one."""

    reason = Reason.CANCELLED


class Unfit(ShimError):
    """What a person gave cannot be kept, or not now. `str()` is one sentence for that person: why, and what to do."""


class NotTheirs(ShimError):
    """Somebody gives what another is asked for."""
