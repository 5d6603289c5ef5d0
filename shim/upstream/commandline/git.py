"""Where git's words are more than they seem: by where they stand, and not by the option that they come with.

Tried with git 2.39; its manual pages say so of `checkout` ("Argument Disambiguation") and of `diff` ("--no-index").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shim.upstream.commandline.template import Choice, Element, Group, Text, each

_TAKES: Final = frozenset({"-c", "-C", "--git-dir", "--work-tree", "--namespace", "--config-env", "--super-prefix"})
_NAMES: Final = ("user.name=", "user.email=")
_RUNS: Final = {"submodule": "foreach", "bisect": "run"}
_BRANCHES: Final = frozenset({"-b", "-B", "--orphan"})
_SOUGHT: Final = frozenset({"-S", "-G", "-O", "-I", "-U", "-l", "--unified", "--diff-filter", "--word-diff-regex"})
"""Options whose argument is the next word: of `checkout` a new branch's name, of `diff` no operand."""

_CHECKOUT: Final = (
    "git checkout takes a word for a file, and discards what was changed in it, where no ref is called so; write -- "
    "behind the ref, or before the files"
)
_DIFF: Final = (
    "git diff shows any two files of this machine, where one of two words leads out of the repository; write a ref "
    "that is always there, then --, then the files; or take a `type: path` for them"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is known of inputs, by their names: those that are lists, and those that become paths of the shim's."""

    lists: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()


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


def doubt(elements: Sequence[Element], taken: Taken) -> str | None:
    """Where a value may be a file, though it was not meant to be one, or one of elsewhere; and what would be right.

    That it is so hangs on what the values can be, which is the operator's to know.
    """
    for commands, rest in _commands(elements):
        if "checkout" in commands and _may_be_file(rest):
            return _CHECKOUT
        if "diff" in commands and _may_be_elsewhere(rest, taken):
            return _DIFF
    return None


def _commands(elements: Sequence[Element]) -> Iterator[tuple[frozenset[str], Sequence[Element]]]:
    """What may be the command, and what comes after that. Options before it may have a word of their own."""
    has_word = False
    for position, element in enumerate(elements):
        words = [text.begins for text, _ in each([element])]
        if not has_word and (found := frozenset(word for word in words if not word.startswith("-"))):
            yield found, elements[position + 1 :]
            # A choice may have no words for a value, so that the next is the command.
            if not isinstance(element, Choice):
                return
        has_word = not has_word and not _TAKES.isdisjoint(words[-1:])


def _may_be_file(rest: Sequence[Element]) -> bool:
    is_parted = any(isinstance(one, Text) and one.literal == "--" for one in rest)
    before = ""
    for element in rest:
        own = isinstance(element, Group) and any(text.literal == "--" for text in element.texts)
        for text, _ in each([element]):
            if _is_operand(text) and text.names and before not in _BRANCHES and not (is_parted or own):
                return True
            before = text.literal or ""
    return False


def _may_be_elsewhere(rest: Sequence[Element], taken: Taken) -> bool:
    count, is_free, is_led, is_sure, before = 0, False, False, False, ""
    for text, always in each(rest):
        if text.literal == "--" and always:
            is_sure = is_sure or is_led
        elif _is_operand(text) and before not in _SOUGHT:
            is_list = text.whole in taken.lists
            count += 2 if is_list else 1
            is_led = is_led or (always and not is_list)
            is_free = is_free or not (taken.paths.issuperset(text.names) or text.begins.startswith(":"))
        before = text.literal or ""
    return is_free and count > 1 and not is_sure


def _is_operand(text: Text) -> bool:
    return not text.begins.startswith("-")
