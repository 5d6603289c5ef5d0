"""How an upstream fails, in the words that reach the caller.

The text of these exceptions is read by a model: one sentence that helps, the upstream's name and nothing else of the
place where it lives. Which exception it is decides what the caller may believe: only `UpstreamUnavailable` says that
the upstream has not seen the call.
"""

from __future__ import annotations

from shim.errors import OutcomeUnknown, Refusal, ResultTooLarge, UpstreamFault, UpstreamTimeout, UpstreamUnavailable
from shim.model import Reason


class Rejected(UpstreamFault):
    """An HTTP status that is not an answer. `status` is the code; its headers are never passed on."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"The upstream {name} refused the request with {_describe(status)}.")
        self.status = status


class NotAccepted(Rejected):
    """The upstream does not accept the credential that came with the request."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 401)


class NotLetIn(UpstreamUnavailable):
    """The upstream does not accept the credential with which a session was to be opened: it has not seen the call."""


class Unfitting(Refusal):
    """What the call would be made with does not fit, once all is put in: the upstream has not seen it."""

    reason = Reason.INVALID_ARGUMENTS


def rejected(name: str, status: int) -> Rejected:
    """An HTTP status that is not an answer."""
    return NotAccepted(name) if status == 401 else Rejected(name, status)


class Ended(UpstreamUnavailable):
    """A session ended, or was never opened. `said` is what the other side said of that beside the protocol.

    It is shown to whoever runs the shim, where an upstream's state is, and never in `detail`: that goes on the record.
    """

    def __init__(self, name: str, why: str, said: str | None) -> None:
        super().__init__(f"The upstream {name} is not available: {why}.")
        self.explained = str(self) if said is None else f'The upstream {name} is not available: {why}: "{said}".'


class Busy(UpstreamUnavailable):
    """All sessions are in use: the upstream is well, and has not seen the call."""

    def __init__(self, name: str, sessions: int) -> None:
        super().__init__(f"The upstream {name} is busy: all of its {sessions} sessions are in use; try again later.")


class Spent(Busy):
    """A caller has as many sessions alone as one may have: the upstream is well, and has not seen the call."""

    def __init__(self, name: str, share: int) -> None:
        UpstreamUnavailable.__init__(
            self,
            f"The upstream {name} is busy: all of the {share} sessions that one caller may have for calls in which it "
            "is asked something are in use; answer or cancel one of those, or try again later.",
        )


_MEANING = {
    401: "it does not accept the shim's credential",
    403: "it forbids this to the shim's credential",
    404: "nothing answers at the configured address",
    408: "it did not wait for the request",
    413: "the request is too large for it",
    429: "it is asked too often; try again later",
    502: "something in front of it cannot reach it",
    503: "it is overloaded or in maintenance; try again later",
    504: "something in front of it got no answer in time",
}


def _describe(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP status {status} (a redirect, which is never followed)"
    meaning = _MEANING.get(status)
    return f"HTTP status {status} ({meaning})" if meaning else f"HTTP status {status}"


def unavailable(name: str, why: str) -> UpstreamUnavailable:
    """The upstream has not seen the call. `why` completes "The upstream X is not available: ..."."""
    return UpstreamUnavailable(f"The upstream {name} is not available: {why}.")


def unknown(name: str, why: str = "") -> OutcomeUnknown:
    """There is no answer after the call may have been sent: the connection ended, or what came is none.

    `why` completes "The upstream X sent an answer that ...".
    """
    ended = f"connection to the upstream {name} ended before it answered"
    what = f"upstream {name} sent an answer that {why}" if why else ended
    return OutcomeUnknown(f"The {what}; the call may or may not have taken effect, and was not sent again.")


def timed_out(name: str, waited: float) -> UpstreamTimeout:
    """No answer after `waited` seconds of silence."""
    return UpstreamTimeout(
        f"The upstream {name} did not answer within {waited:g} s and was told to stop; the call may have taken effect."
    )


def fault(name: str, what: str) -> UpstreamFault:
    """The upstream's answer cannot be used. `what` completes "The upstream X ..."."""
    return UpstreamFault(f"The upstream {name} {what}.")


def too_large(name: str, limit: int) -> ResultTooLarge:
    """The answer is over `limit` bytes."""
    return ResultTooLarge(
        f"The answer of the upstream {name} is larger than {limit} bytes; the call has run, but its result was not "
        "read: ask for less."
    )
