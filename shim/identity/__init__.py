"""Who is calling: API tokens, `local`, and `anonymous`."""

from __future__ import annotations

from shim.identity.authenticator import Authenticator, identity_of
from shim.identity.config import IdentityBlock, TokenBlock

__all__ = ["Authenticator", "IdentityBlock", "TokenBlock", "identity_of"]
