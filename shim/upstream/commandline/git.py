"""Where git's words are more than they seem: by where they stand, and not by the option that they come with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shim.upstream.commandline.template import Element, each

_TAKES: Final = frozenset({"-c", "-C", "--git-dir", "--work-tree", "--namespace", "--config-env", "--super-prefix"})
_NAMES: Final = ("user.name=", "user.email=")
_RUNS: Final = {"submodule": "foreach", "bisect": "run"}


def fault(elements: Sequence[Element]) -> str | None:
    """What is code by where it stands: settings before the command, or of a clone, and what two commands run."""
    command = option = ""
    runs = False
    for text, _ in each(elements):
        if runs and text.names:
            return f"git {command} {_RUNS[command]} runs what follows; write it without a place"
        if option:
            if option == "-c" and text.names and not text.begins.startswith(_NAMES):
                return "what comes with -c is a setting of git's, many of which are code; write it without a place"
            option = ""
        elif text.begins == "-c" and command in ("", "clone"):
            option = "-c"
        elif not command and text.begins in _TAKES:
            option = text.begins
        elif not command and not text.begins.startswith("-"):
            command = text.begins
        elif text.begins == _RUNS.get(command):
            runs = True
    return None
