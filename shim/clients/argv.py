"""Command lines that hold credentials: the configuration keeps keys out of them, so a shell puts them in.

`command: [/bin/sh, -c, 'exec npx -y server --api-key "$SHIM_API_KEY"']`, with the key in the variable. The server's
own command line shows the key all the same: that is how this server wants it, and what its person is told.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from shim.clients import naming
from shim.clients.values import Asked, Key, Part, Text, Value

_SHELL = ("/bin/sh", "-c")
_PREFIX = "SHIM_"


def through_shell(
    words: Sequence[Value], taken: Callable[[str], bool]
) -> tuple[tuple[Value, ...], dict[str, tuple[Part, ...]]]:
    """The command that makes a shell put the rest in, and the variables that the rest stands in.

    `taken` tells which variables the server has already.
    """
    variables: dict[str, tuple[Part, ...]] = {}
    names: dict[Part, str] = {}

    def quoted(part: Part) -> str:
        if isinstance(part, Text):
            return shlex.quote(part.text)
        if part not in names:
            wanted = part.wanted if isinstance(part, Key) else part.id if isinstance(part, Asked) else part.name
            name = _PREFIX + naming.variable(wanted)
            names[part] = naming.distinct(name, lambda one: one in variables or taken(one), "_")
            variables[names[part]] = (part,)
        return f'"${names[part]}"'

    line = " ".join("".join(map(quoted, word)) or "''" for word in words)
    shell: tuple[Value, ...] = tuple((Text(word),) for word in (*_SHELL, f"exec {line}"))
    return shell, variables
