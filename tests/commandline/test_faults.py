"""What a configuration may not say of a program, and where that is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.config.given import faults, loaded

HEAD = "version: 1\nupstreams:\n  u:\n"
TAIL = "identities:\n  me: {local: true}\n"


def written(tools: str = "t: {run: [x]}", program: str = "git", more: str = "") -> str:
    """The program is on line 4, the tools on line 5, what is more after them."""
    return f"{HEAD}    program: {program}\n    tools: {{{tools}}}\n{more}{TAIL}"


def tool(run: str, inputs: str = "", more: str = "") -> str:
    return f"t: {{run: {run}, input: {{{inputs}}}{more}}}"


LOADERS = [
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "IFS", "ENV", "BASH_ENV"),
    *("PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5LIB", "PERL5OPT", "RUBYOPT", "LUA_INIT"),
    *("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_EXEC_PATH"),
]
X = "x: {type: string, maxLength: 9}"
N = "n: {type: integer, minimum: 0}"
DOC = "d: {type: object}"


@pytest.mark.parametrize(
    ("tools", "fault"),
    [
        (tool("log -1"), "`run`: a list is expected here; write [a, b]"),
        (tool("['{x}']", X), "`run`: its first word begins with text of yours"),
        (tool("[['{x}']]", X), "`run`: its first word begins with text of yours"),
        (tool("['a{x}']", X), "`run`: its first word begins with text of yours"),
        (
            tool("[{m: {a: log}}, '{x}']", f"m: {{enum: [a, b]}}, {X}"),
            "`run`: its first word begins with text of yours",
        ),
        (tool("[{m: {true: []}}, ['{x}']]", f"m: {{type: boolean}}, {X}"), "`run`: its first word begins with text of"),
        (
            tool("[{m: {a: log}}, '{x}']", f"m: {{enum: [a], optional: true}}, {X}"),
            "`run`: its first word begins with text of yours",
        ),
        (tool("[a, {m: {a: b}}]", "m: {enum: [a], as: file}"), "`run`: m is neither a boolean nor an enum"),
        (tool("[a, '{y}']"), "`run`: there is no input y; declare it in `input`"),
        (tool("[a, '-{x}']", X), "`run`: in -{x} the value would be a part of the option's name"),
        (tool("[a, '--{x}']", X), "`run`: in --{x} the value would be a part of the option's name"),
        (tool("[a, '--{n}']", N), "`run`: in --{n} the value would be a part of the option's name"),
        (tool("[a, '--sort{x}=1']", X), "`run`: in --sort{x} the value would be a part of the option's name"),
        (tool("[a, '-n{x}']", X), "`run`: in -n{x} the value would be a part of the option's name"),
        (tool("[a]", X), "`input`: x is used nowhere; write {x} into `run` or `stdin`"),
        (tool("[a, 'HEAD@{1']", ""), "`run`: a brace that is no place of an input is written twice"),
        (tool("[a, [b]]"), "`run`: a list within it is left out when its input has no value, and this one has no"),
        (tool("[a, {x: {true: b}}]", X), "`run`: x is neither a boolean nor an enum"),
        (tool("[a, {x: {c: b}}]", "x: {enum: [a, b]}"), "`run`: 'c' is no value of x"),
        (tool("[a, {x: {a: '{x}'}}]", "x: {enum: [a, b]}"), "`run`: what a value is mapped to is literal text"),
        (tool("[a, '{x}']", "x: {type: string, maxLength: 9, optional: true}"), "`run`: x may have no value; put"),
        (tool("[a, '-x={x}']", "x: {type: array, items: {type: integer}, maxItems: 3}"), "`run`: x is a list, which"),
        (tool("[a, '{d}']", DOC), "`run`: d is no text; hand it over with `as: file`"),
        (tool("[a, '{x}']", "x: {type: string}"), "`input`: x: free text needs a bound; write `pattern`"),
        (tool("[a, '{x}']", "x: {type: string, minLength: 2}"), "`input`: x: free text needs a bound"),
        (
            tool("[a, '{x}']", "x: {type: array, items: {type: string}, maxItems: 3}"),
            "`input`: x: free text needs a bound",
        ),
        (
            tool("[a, '{x}']", "x: {type: array, items: {type: string, maxLength: 1}}"),
            "`input`: x: a list needs a bound; write `maxItems`",
        ),
        (tool("[a, '{x}']", "x: {type: string, maxLength: 9, oneOf: []}"), "`input`: x: 'oneOf' is not known for the"),
        (tool("[a, '{x}']", "x: {type: string, pattern: '('}"), "`input`: x: this is no JSON Schema"),
        (tool("[a, '{x}']", "x: {type: string, pattern: 'a)|(b'}"), "`input`: x: this is no JSON Schema"),
        (tool("[a, '{x}']", "x: {type: string, maxLength: -1}"), "`input`: x: this is no JSON Schema"),
        (
            tool("[a, '{x}']", "x: {type: string, maxLength: 9, format: date}"),
            "`input`: x: `format` can be `password` only",
        ),
        (tool("[a, '{x}']", "x: {type: integer, writeOnly: 7}"), "`input`: x: `writeOnly` is true or false"),
        (tool("[a, '{x}']", "x: {type: strin}"), "`input`: x: write its `type`"),
        (tool("[a, '{x}']", "x: {maxLength: 3}"), "`input`: x: write its `type`"),
        (tool("[a, '{x}']", "x: text"), "`input`: x: a mapping of JSON Schema keywords is expected"),
        (tool("[a, '{x}']", "x: {type: integer, default: a}"), "`input`: x: its default does not fit its own schema"),
        (tool("[a, '{x}']", "x: {type: path}"), "`input`: x: a path stays in a folder; write `under: FOLDER`"),
        (
            tool("[a, '{x}']", "x: {type: string, maxLength: 9, under: .}"),
            "`input`: x: `under` belongs to `type: path`",
        ),
        (tool("[a, '{x}']", "x: {type: string, maxLength: 9, as: path}"), "`input`: x: `as` can be `file` only"),
        (tool("[a, '{x}']", "x: {type: string, maxLength: 9, lines: 7}"), "`input`: x: `lines` is true or false"),
        (tool("[a]", "x y: {type: integer}"), "`input`: 'x y' is no name; write letters, digits"),
        (tool("[a]", X, ", stdin: '{y}'"), "`stdin`: there is no input y"),
        (tool("[a]", DOC, ", stdin: '{d}'"), '`stdin`: d is no text; write {json: "{d}"}'),
        (tool("[a]", X, ", stdin: {json: 'a {x}'}"), "`stdin`: json takes one input"),
        (tool("[a, '{x}']", X, ", stdin: {json: '{x}'}"), "`stdin`: x goes there whole, and cannot stand in `run`"),
        (tool("[a]", "d: {type: object, as: file}", ", stdin: {json: '{d}'}"), "`stdin`: d is a file already"),
        (tool("[a]", X, ", stdin: {yaml: '{x}'}"), '`stdin`: write a text with places, or {json: "{INPUT}"}'),
        (tool("[a]", "", ", schema: {type: object}"), "`schema` is that of an output in JSON; write `output: json`"),
        (tool("[a]", "", ", output: json, schema: {type: 7}"), "`schema`: this is no JSON Schema"),
        (
            tool("[a]", "", ", output: picture"),
            "'picture' does not fit: `output` is text, lines, json, or a media type",
        ),
        (tool("[a]", "", ", ok: [256]"), "item 1 should be less than or equal to 255"),
        (tool("[a]", "", ", ok: []"), "`ok`"),
        (tool("[a]", "", ", timeout: 3m"), "a tool cannot take longer than its upstream"),
        (tool("[a]", "", ", shell: true"), "unknown key 'shell'"),
        (
            tool("[a, '{x}']", "x: {type: string, maxLength: 9, default: -f}"),
            "its default cannot be used: it begins with",
        ),
        (
            tool("[a, '{x}']", 'x: {type: string, maxLength: 9, default: "a\\nb"}'),
            "its default cannot be used: it holds a",
        ),
        (
            tool("[a, '{p}']", "p: {type: path, under: /usr, default: ../etc}"),
            "its default cannot be used: it leads out",
        ),
        (tool("[clone, '--upload-pack={x}', a]", X), "what comes with --upload-pack is code for git"),
        ("'t t': {run: [a]}", "'t t' does not fit: a tool's name has letters"),
        (tool("['${secret:k}']"), "a secret cannot stand in a program's words, where everyone sees it"),
    ],
)
def test_a_tool_that_cannot_be_held_to_its_word_is_refused(tmp_path: Path, tools: str, fault: str) -> None:
    found = [one for one in faults(tmp_path, written(tools)) if "no secret is named" not in one]
    assert len(found) == 1, found
    assert found[0].startswith(f"5: {fault}"), found


@pytest.mark.parametrize(
    ("program", "more", "fault"),
    [
        ("'{x}'", "", "4: a call's values go into `run`, `stdin` and files of a tool, and nowhere else"),
        ("no-such-program", "", "4: there is no program no-such-program in /usr/bin, /bin; install it"),
        ("./gone", "", "4: there is no program "),
        ("git", "    cwd: '/srv/{x}'\n", "6: a call's values go into"),
        ("git", "    env: {A: '{x}'}\n", "6: a call's values go into"),
        ("git", "    args: [-C, '{x}']\n", "6: a call's values go into"),
        ("git", "    args: ['{']\n", "6: a brace that is no place"),
        ("git", "    args: ['${secret:k}']\n", "6: a secret cannot stand in a program's words"),
        ("'${secret:k}'", "", "4: a secret is handed to an upstream in its "),
        ("git", "    cwd: gone\n", "6: there is no folder "),
        ("git", "    env: {PATH: /bin}\n", "6: PATH is set by the shim; write the folders as `path`"),
        ("git", "    env: {HOME: /root}\n", "6: HOME is set by the shim; it is a private folder"),
        ("git", "    env: {K: a}\n    files: {K: b}\n", "7: `env` sets K, too"),
        ("git", "    headers: {a: b}\n", "6: `headers` belongs to an upstream with `url`"),
        *(
            ("git", f"    env: {{{name}: x}}\n", f"6: {name} changes what is loaded or started")
            for name in [
                "LD_PRELOAD",
                "LD_LIBRARY_PATH",
                "DYLD_INSERT_LIBRARIES",
                "PYTHONPATH",
                "PYTHONSTARTUP",
                "NODE_OPTIONS",
                "PERL5LIB",
                "PERL5OPT",
                "RUBYOPT",
                "BASH_ENV",
                "ENV",
                "IFS",
                "GIT_SSH",
                "GIT_SSH_COMMAND",
                "GIT_EXTERNAL_DIFF",
                "GIT_EXEC_PATH",
                "GLIBC_TUNABLES",
                "JAVA_TOOL_OPTIONS",
                "_JAVA_OPTIONS",
                "LUA_INIT",
            ]
        ),
        ("git", "    files: {LD_PRELOAD: x}\n", "6: LD_PRELOAD changes what is loaded"),
    ],
)
def test_a_program_that_is_not_sure_is_refused(tmp_path: Path, program: str, more: str, fault: str) -> None:
    found = [one for one in faults(tmp_path, written("t: {run: [x]}", program, more)) if "no secret is na" not in one]
    assert len(found) == 1, found
    assert found[0].startswith(fault), found


@pytest.mark.parametrize(
    ("program", "run", "fault"),
    [
        ("sh", "[-c, 'echo {x}']", "sh is a shell, which runs what it is given; name the program itself"),
        ("bash", "[script, '{x}']", "bash is a shell"),
        ("env", "[A=1, '{x}']", "env starts other programs, which nobody checks; name the program itself"),
        ("xargs", "[echo, '{x}']", "xargs starts other programs"),
        ("perl", "[-e, '{x}']", "what comes with -e is code for perl; write it without a place"),
        ("awk", "[-F, ':', '{{print}} {x}']", "the first word that is no option is code for "),
        ("find", "[., -exec, cat, '{x}', ;]", "what comes with -exec is code for find"),
        ("{python}", "[-c, '{x}']", "what comes with -c is code for python"),
    ],
)
def test_a_value_that_would_be_code_is_refused_at_its_line(tmp_path: Path, program: str, run: str, fault: str) -> None:
    there = program.replace("{python}", os.path.realpath(sys.executable))
    (found,) = faults(tmp_path, written(tool(run, X), there))
    assert found.startswith(f"5: {fault}"), found


@pytest.mark.parametrize(
    ("run", "inputs", "told"),
    [
        ("[checkout, '{x}']", X, "git checkout takes a word for a file, and discards what was changed in it"),
        ("[diff, a, '{x}']", X, "git diff shows any two files of this machine"),
        ("[diff, --, '{x}']", "x: {type: array, maxItems: 3, items: {type: string, maxLength: 9}}", "git diff shows"),
    ],
)
def test_a_value_that_may_be_a_file_is_warned_of(tmp_path: Path, run: str, inputs: str, told: str) -> None:
    (warning,) = loaded(tmp_path, written(tool(run, inputs))).warnings
    assert (warning.line, warning.level) == (5, "warning")
    assert warning.message.startswith(told)


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        (
            [
                "run: [a, '{x}', '{y}', '{z}']",
                "input:",
                "  x: {type: string}",
                "  y: {type: integer}",
                "  z: {type: path}",
            ],
            ["9: `input`: x: free text needs a bound", "11: `input`: z: a path stays in a folder"],
        ),
        (
            ["run: [a]", "input:", "  x: {type: integer}", "  y: {type: integer}"],
            ["9: `input`: x is used nowhere", "10: `input`: y is used nowhere"],
        ),
        (
            ["run:", "  - a", "  - '-{x}'", "  - '{y}'", "input: {x: {type: string, maxLength: 9}}"],
            ["9: `run`: in -{x} the value", "10: `run`: there is no input y"],
        ),
        (
            ["run:", "  - a", "  - [b]", "  - '{'"],
            ["9: `run`: a list within it is left out", "10: `run`: a brace that is no place"],
        ),
    ],
)
def test_each_input_and_word_that_is_wrong_is_told_at_its_own_line(
    tmp_path: Path, tool: list[str], told: list[str]
) -> None:
    lines = "".join(f"        {line}\n" for line in tool)
    found = faults(tmp_path, f"{HEAD}    program: git\n    tools:\n      t:\n{lines}{TAIL}")
    assert len(found) == len(told), found
    assert all(one.startswith(start) for one, start in zip(found, told, strict=True)), found


@pytest.mark.parametrize("what", ["the program", "its folder", "a folder that a link leads through", "a search folder"])
def test_a_program_that_others_can_write_is_refused(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir(mode=0o755)
    program = folder / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    wide = {"the program": program, "its folder": folder, "a search folder": tmp_path / "other"}.get(what)
    asked, more = "bin/tool", ""
    if what.startswith("a search"):
        (tmp_path / "other").mkdir()
        more = f"    path: [other, {folder}]\n"
        asked = "tool"
    if wide is None:
        wide = tmp_path / "wide"
        wide.mkdir()
        (wide / "link").symlink_to(program)
        (tmp_path / "first").symlink_to(wide / "link")
        asked = "./first"
    assert faults(tmp_path, written(program=asked, more=more)) == []
    wide.chmod(0o777)
    (found,) = faults(tmp_path, written(program=asked, more=more))
    assert found == f"4: everybody can write {wide}, and so choose what runs; take that from them (chown, chmod go-w)"


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    inputs = "p: {type: path, under: work}, q: {type: array, maxItems: 2, items: {type: path, under: work}}"
    block = loaded(tmp_path, written(tool("[a, '{p}', '{q}']", inputs), more="    cwd: work\n")).upstreams["u"]
    made = block.tools["t"].declaration.inputs
    assert block.cwd == made["p"].under == made["q"].under == str(tmp_path / "work")


def test_what_a_variable_says_is_known_where_it_is_set(tmp_path: Path) -> None:
    text = written(program="'${env:PROGRAM}'", more="    cwd: '${env:WHERE}'\n")
    assert faults(tmp_path, text, {"PROGRAM": "git", "WHERE": "/"}) == []
    assert faults(tmp_path, text, {"PROGRAM": "gti", "WHERE": "/"}) == [
        "4: there is no program gti in /usr/bin, /bin; install it, or write its folder as `path`"
    ]
    assert faults(tmp_path, text, {}, expand=False) == []
