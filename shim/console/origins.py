"""Whether a form was sent from a page of ours: a browser says so with every form (Fetch Standard, section 3.2)."""

from __future__ import annotations

from urllib.parse import urlsplit

from shim.server.headers import Headers

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_own(headers: Headers, base: str) -> bool:
    """Whether Origin is this server's own: that of `base`, where people come, or of the Host that was asked.

    Stricter than what agents' requests need: another page of this machine is another site. A request without Origin
    comes from no form of ours.
    """
    origin = headers.text(b"origin")
    if origin is None or b"origin" in headers.repeated:
        return False
    try:
        ours, theirs = urlsplit(base), urlsplit(origin.lower())
    except ValueError:
        return False
    if theirs.path or theirs.query or theirs.fragment:
        return False
    if (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc.lower()):
        return True
    host = (headers.text(b"host") or "").lower()
    return theirs.netloc == host and (theirs.scheme == ours.scheme or (theirs.scheme == "http" and _is_local(host)))


def _is_local(host: str) -> bool:
    return urlsplit(f"//{host}").hostname in _LOOPBACK
