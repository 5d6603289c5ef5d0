"""Acting as an identity: by being local, or by its token in the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shim.cli import knowing
from shim.cli.errors import problem, usage
from shim.cli.text import visible
from shim.errors import Unauthenticated
from shim.model import Credential

if TYPE_CHECKING:
    from shim.config.configuration import Configuration
    from shim.identity.authenticator import Authenticator

TOKEN_VARIABLE = "MCP_SHIM_TOKEN"


def credential(configuration: Configuration, authenticator: Authenticator, name: str) -> Credential:
    """What proves that we may act as the identity `name`. Raises Stop."""
    knowing.identity(configuration, name)
    if name not in configuration.identities:
        raise usage(f"{visible(name)} proves itself by a JWT, which only the HTTP server takes")
    token = os.environ.get(TOKEN_VARIABLE)
    try:
        if configuration.identities[name].local:
            return authenticator.local(name)
        if not token:
            raise usage(f"{name} is not local: put its token into {TOKEN_VARIABLE}")
        found = authenticator.bearer(token)
    except Unauthenticated as error:
        raise problem(f"{TOKEN_VARIABLE} is not accepted: {error.why}") from None
    if found.identity.name != name:
        raise problem(f"the token in {TOKEN_VARIABLE} is not one of {name}")
    return found
