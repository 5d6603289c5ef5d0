"""Options that are followed by a password in some programs and by something else in others.

`-u` and `--user` take `NAME:PASSWORD` as curl has it. The short option of a database's client is its password's where
the name of that database stands before it, and where what follows is no port, no address and no path.
"""

from __future__ import annotations

import re

_LOGIN = re.compile(r"([^\s:/@]+:)(?!//)[^\s/]\S*")
_NUMBERS = re.compile(r"[\d.:/]+")
_PATH = re.compile(r"(?:~|\.{0,2})/")
_TOGETHER = re.compile(r"(-[A-Za-z])(=?)(?![a-z]*\Z)(?![\d.:/]+\Z)\S+")

_CONTAINERS = frozenset({"docker", "podman", "nerdctl"})
"""In which `--user` has a group behind its colon."""

_PASSWORDS = {"mysql": "-p", "mariadb": "-p", "mongo": "-p", "redis": "-a"}


class Options:
    """What the words of a command line that were seen so far tell of the next ones."""

    def __init__(self) -> None:
        self._has_login = True
        self._passwords: set[str] = set()
        self._last = ""

    def see(self, word: str) -> None:
        """The next word."""
        name = word.rpartition("/")[2]
        if name in _CONTAINERS:
            self._has_login = False
        if not word.startswith("-"):
            lower = word[:200].lower()
            self._passwords |= {option for database, option in _PASSWORDS.items() if database in lower}
        self._last = word

    def password_in(self, word: str) -> int | None:
        """Where a password begins in the next word; None: there is none that its options tell of."""
        option, _, value = word.partition("=")
        if self._has_login:
            at = len(option) + 1 if option == "--user" else 0
            if at or self._last in ("-u", "--user"):
                login = _LOGIN.fullmatch(word, at)
                if login is not None and not _NUMBERS.fullmatch(word, at):
                    return login.end(1)
        if self._last in self._passwords and not word.startswith("-"):
            return None if _NUMBERS.fullmatch(word) or _PATH.match(word) or not word else 0
        together = _TOGETHER.fullmatch(word)
        if together is not None and together[1] in self._passwords and not _PATH.match(value or word[2:]):
            return together.end(2)
        return None
