"""The secrets that all upstreams together need: keys that were found, values that somebody has to give, variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shim.clients import naming
from shim.clients.values import Asked, Inexpressible, Key

MOST = 500
_LONGEST_KEY = 64 * 1024


class Secrets:
    """One for each key, one for each question that a client asks, one for each variable.

    `standing` gives the value that a secret of a name has already where secrets are kept, None where the name is free.
    """

    def __init__(self, standing: Callable[[str], str | None]) -> None:
        self._standing = standing
        self._keys: dict[str, str] = {}
        self._questions: dict[Asked, str] = {}
        self._variables: dict[str, str] = {}

    @property
    def kept(self) -> Mapping[str, str]:
        """The keys by the names of their secrets."""
        return {name: key for key, name in self._keys.items()}

    @property
    def awaited(self) -> tuple[str, ...]:
        """The names of those that somebody still has to give."""
        return tuple(self._questions.values())

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables by the names of their secrets."""
        return {name: variable for variable, name in self._variables.items()}

    def mark(self) -> tuple[int, int, int]:
        """How many there are."""
        return len(self._keys), len(self._questions), len(self._variables)

    def back_to(self, mark: tuple[int, int, int]) -> None:
        """Forget those that have come since: whoever wanted them is left out."""
        keys, questions, variables = mark
        self._keys = dict(list(self._keys.items())[:keys])
        self._questions = dict(list(self._questions.items())[:questions])
        self._variables = dict(list(self._variables.items())[:variables])

    def of_key(self, key: Key) -> str:
        """The name of the secret that a key is kept under. Raises Inexpressible."""
        if len(key.text.encode()) > _LONGEST_KEY:
            raise Inexpressible("a key in it is longer than 64 KiB")
        if key.text not in self._keys:
            self._keys[key.text] = self._named(key.wanted, lambda name: self._standing(name) not in (None, key.text))
        return self._keys[key.text]

    def of_question(self, asked: Asked) -> str:
        """The name of the secret that a person still has to give. Raises Inexpressible."""
        if asked not in self._questions:
            # Whatever stands there under this name was given for something else: no server gets it unasked.
            self._questions[asked] = self._named(asked.id, lambda name: self._standing(name) is not None)
        return self._questions[asked]

    def of_variable(self, variable: str) -> str:
        """The name of the secret that is a variable of the shim's own environment. Raises Inexpressible."""
        if variable not in self._variables:
            self._variables[variable] = self._named(variable, lambda _: False)
        return self._variables[variable]

    def _named(self, wanted: str, occupied: Callable[[str], bool]) -> str:
        if sum(self.mark()) >= MOST:
            raise Inexpressible(f"there are more than {MOST} secrets in all")
        used = {*self._keys.values(), *self._questions.values(), *self._variables.values()}
        return naming.distinct(naming.secret(wanted), lambda name: name in used or occupied(name))
