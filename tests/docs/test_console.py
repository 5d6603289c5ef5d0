"""The reader of console blocks, which decides what the tests of pages hold."""

from __future__ import annotations

from tests.docs.console import Command, agrees, commands, section

PAGE = """# A page

```console
$ one
out
…
$ two \\
    more
```

```sh
not run
```

```console exit=1
$ three
```
"""


def test_commands_come_with_what_they_print_and_where_they_stand() -> None:
    assert commands(PAGE) == [
        Command("one", "out\n…", 4),
        Command("two more", "", 7),
        Command("three", "", 16, code=1),
    ]


def test_an_ellipsis_stands_for_anything_and_nothing_else_does() -> None:
    assert agrees("…\nhead … tail", "a\nb\nhead 12 tail\n")
    assert agrees("a  b\n…", "a b\n")
    assert not agrees("a\n…", "b\n")
    assert not agrees("head … tail", "head 12 tail\nmore\n")
    assert not agrees("a", "ab\n")


def test_a_section_keeps_its_lines_and_ends_with_the_next_of_its_level() -> None:
    page = "# Page\n## One\n```sh\n# a\n```\n### Deeper\nb\n## Two\nc\n"
    assert section(page, "One") == "\n## One\n```sh\n# a\n```\n### Deeper\nb\n\n\n"
    assert section(page, "Deeper") == "\n\n\n\n\n### Deeper\nb\n\n\n"
