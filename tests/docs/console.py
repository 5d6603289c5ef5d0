"""Reads fenced `console` blocks of a page: `$ command` lines, each followed by what it prints.

In the expected output `…` stands for any text within a line, and a line that is nothing but `…` for any lines. A
command that continues on the next line ends with a backslash there, as in a shell. A block that shows how something
goes wrong says so behind its language: `console exit=1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(\w+)(?: exit=(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"(#+) (.*)")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page, what it is said to print ("" where nothing is said), the line where it stands, and the
    exit code with which it ends.
    """

    text: str
    output: str
    line: int
    code: int = 0


def blocks(page: str, language: str) -> list[str]:
    """The texts of all fenced blocks of one language, in order."""
    return [match[3] for match in _BLOCK.finditer(page) if match[1] == language]


def section(page: str, heading: str) -> str:
    """The part of a page below one heading, up to the next of its level or a higher one; the rest as empty lines.

    So what stands in it keeps its line.
    """
    level = 0
    fenced = False
    kept: list[str] = []
    for line in page.splitlines():
        fenced ^= line.startswith("```")
        found = None if fenced else _HEADING.fullmatch(line)
        if found and (not level or len(found[1]) <= level):
            level = len(found[1]) if found[2] == heading else 0
        kept.append(line if level else "")
    return "\n".join(kept) + "\n"


def commands(page: str) -> list[Command]:
    """All commands of a page's `console` blocks, in order."""
    found: list[Command] = []
    for match in _BLOCK.finditer(page):
        if match[1] != "console":
            continue
        code = int(match[2] or 0)
        first = page.count("\n", 0, match.start(3)) + 1
        text: str | None = None
        output: list[str] = []
        where = first
        for number, line in enumerate(match[3].splitlines(), start=first):
            if text is not None and text.endswith("\\") and not output:
                text = f"{text[:-1]}{line.strip()}"
            elif line.startswith("$ "):
                if text is not None:
                    found.append(Command(text, "\n".join(output), where, code))
                text, output, where = line[2:], [], number
            else:
                output.append(line)
        if text is not None:
            found.append(Command(text, "\n".join(output), where, code))
    return found


def agrees(expected: str, printed: str) -> bool:
    """Whether the printed text is what is expected, `…` standing for anything and white space at line ends for none."""
    parts: list[str] = []
    for line in expected.strip().splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            # Columns of tables are as wide as their contents: how many blanks are between them says nothing.
            words = [".*?".join(re.escape(piece) for piece in word.split("…")) for word in line.split()]
            parts.append(r"[^\S\n]*" + r"[^\S\n]+".join(words) + r"[^\S\n]*\n")
    lines = [line.rstrip() for line in printed.strip().splitlines() if line.strip()]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in lines)) is not None
