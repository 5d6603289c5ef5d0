"""Where the shim itself may ask: what is sent there, and what is believed of the answers, are credentials and keys."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_safe(url: str, *, whole: bool = False) -> bool:
    """Whether nobody on the way can read or change what goes there: https, or a server on this machine; no user in it.

    Without `whole` it is one to which paths and parameters are added, so it has neither a query nor a fragment.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.username is not None or parts.password is not None:
            return False
        if not whole and (parts.query or parts.fragment):
            return False
        if parts.scheme == "https":
            return bool(host)
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
