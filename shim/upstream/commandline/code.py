"""Where a program's words are code, so that nothing of a call may stand there.

Known are the programs that people reach for, not all there are: what else starts programs on a word's say-so is for
whoever declares it to know (docs/tools/program.md says so). A program that only starts another is refused with values
altogether: what it starts is neither found, pinned nor checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shim.upstream.commandline import git
from shim.upstream.commandline.template import Choice, Element, Text, each


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHELLS: Final = _words("sh bash dash zsh ksh mksh ash fish csh tcsh rbash busybox toybox pwsh powershell")
_STARTERS: Final = _words(
    "env xargs sudo doas su runuser ssh nohup nice ionice timeout time setsid chroot unshare nsenter stdbuf script "
    "watch parallel strace ltrace gdb flock systemd-run start-stop-daemon setpriv capsh firejail bwrap unbuffer expect "
    "deno bun make ninja vi vim vim.basic vim.tiny nvim ed ex emacs less more man taskset chrt setarch prlimit pkexec "
    "fakeroot faketime valgrind perf sg gosu su-exec tini dumb-init run-parts socat entr tmux screen rlwrap npx uvx"
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a program reads its words.

    `code`: options whose argument is code, `loads`: such as come with other code. `word`: its first operand is code,
    too, unless one of `code` came. `flags` and `taking` are the options known before that operand, without an argument
    and with so many. `rest`: all that follows belongs to that code. `all_after`: all that follows is code. `stdin`:
    what it reads there is code.
    `by_mark`: code that begins with a literal other than this is harmless, as SQL is that is no command of psql's own;
    `words`: what begins with a place is judged so, too.
    """

    code: frozenset[str] = frozenset()
    loads: frozenset[str] = frozenset()
    word: bool = True
    flags: frozenset[str] = frozenset()
    taking: Mapping[str, int] = field(default_factory=dict)
    rest: bool = False
    all_after: bool = False
    stdin: bool = False
    by_mark: str = ""
    words: bool = False


def _shape(code: str, flags: str = "", loads: str = "", **more: Any) -> _Shape:
    return _Shape(_words(code), _words(loads), flags=_words(f"{flags} --version --help"), **more)


_PYTHON: Final = _shape("-c -m", "-I -E -s -S -u -b -O -OO -B -P -q -v", rest=True)
_NODE: Final = _shape("-e --eval -p --print", loads="-r --require --import", rest=True)
_AWK: Final = _shape("-f -e -E --file --source --exec", loads="-i -l --include --load", taking={"-F": 1})
_SED: Final = _shape(
    "-e -f --expression --file",
    "-n -E -r -s -u -z --quiet --silent --regexp-extended --separate --posix --unbuffered --null-data --sandbox",
)
_JQ: Final = _shape(
    "-f --from-file",
    "-n -r -c -s -S -e -j -a -M -C -R --null-input --raw-output --compact-output --slurp --sort-keys --exit-status "
    "--join-output --ascii-output --raw-input --tab --seq --monochrome-output",
    loads="-L",
    taking={"--arg": 2, "--argjson": 2, "--slurpfile": 2, "--rawfile": 2, "--indent": 1},
)
_SHAPES: Final[Mapping[str, _Shape]] = {
    **dict.fromkeys(("python", "pypy"), _PYTHON),
    **dict.fromkeys(("node", "nodejs"), _NODE),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk", "original-awk"), _AWK),
    **dict.fromkeys(("sed", "gsed"), _SED),
    **dict.fromkeys(("jq", "gojq", "jaq"), _JQ),
    "perl": _shape("-e -E", "-w -t -T -W", "-M -m -I", rest=True),
    "ruby": _shape("-e", "-w", "-r -I", rest=True),
    "php": _shape("-r -B -R -E -F -f", "-n", "-d -z -c", rest=True),
    **dict.fromkeys(("lua", "luajit"), _shape("-e", loads="-l", rest=True)),
    **dict.fromkeys(("tclsh", "wish", "Rscript", "osascript"), _shape("-e", loads="-l", rest=True)),
    "find": _shape("-exec -execdir -ok -okdir -fprintf -fprint -fprint0 -fls", word=False, all_after=True),
    **dict.fromkeys(("fd", "fdfind"), _shape("-x -X --exec --exec-batch", word=False, all_after=True)),
    "git": _shape(
        "--config --config-env --exec-path --upload-pack --receive-pack --upload-archive --exec -x --extcmd "
        "--template --open-files-in-pager --strategy",
        word=False,
    ),
    "psql": _shape("-c --command -f --file", word=False, stdin=True, by_mark="\\"),
    "sqlite3": _shape("-cmd -init", word=False, stdin=True, by_mark=".", words=True),
    "tar": _shape(
        "-I --use-compress-program --checkpoint-action --to-command --rsh-command -F --info-script", word=False
    ),
    "rsync": _shape("-e --rsh --rsync-path", word=False),
    "curl": _shape("-K --config", word=False),
    "wget": _shape("-e --execute --use-askpass --config", word=False),
    "sort": _shape("--compress-program", word=False),
    "split": _shape("--filter", word=False),
    **dict.fromkeys(("scp", "sftp"), _shape("-S -o -F -D -b", word=False)),
    **dict.fromkeys(("mysql", "mariadb"), _shape("-e --execute --init-command --pager", word=False, stdin=True)),
    "zip": _shape("-TT --unzip-command", word=False),
}
_VERSION: Final = re.compile(r"[-.]?\d[\d.]*$")
_CODE_FILES: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0"})

_LOADERS: Final = re.compile(
    r"LD_\w*|DYLD_\w*|PYTHON\w*|PERL5?(?:LIB|OPT|DB)|PERL5?\w*_?LIB|RUBY(?:OPT|LIB)|NODE_(?:OPTIONS|PATH|REPL_\w+)"
    r"|BASH_ENV|ENV|IFS|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|BASH_FUNC_\w*|GCONV_PATH|GLIBC_TUNABLES|MALLOC_\w+"
    r"|(?:_?JAVA|JDK_JAVA)_(?:TOOL_)?OPTIONS|CLASSPATH|LUA_(?:INIT|PATH|CPATH)\w*|PHPRC|PHP_INI_SCAN_DIR|R_PROFILE\w*"
    r"|AWKPATH|AWKLIBPATH|LESSOPEN|LESSCLOSE|TAR_OPTIONS|RSYNC_RSH|SSH_ASKPASS"
    r"|GIT_(?:SSH|SSH_COMMAND|EXTERNAL_DIFF|EXEC_PATH|PROXY_COMMAND|ASKPASS|TEMPLATE_DIR)|KUBECTL_EXTERNAL_DIFF"
)
_GIVEN: Final = {"PATH": "write the folders as `path`", "HOME": "it is a private folder of each call"}


def variable_fault(name: str) -> str | None:
    """Why a program may not be given this variable."""
    if name in _GIVEN:
        return f"{name} is set by the shim; {_GIVEN[name]}"
    return loader_fault(name)


def loader_fault(name: str) -> str | None:
    """Why a variable may not be given to a process that is to be what its configuration says, and nothing else."""
    if _LOADERS.fullmatch(name):
        return f"{name} changes what is loaded or started beside the program; take it out"
    return None


def fault(names: Sequence[str], elements: Sequence[Element], fed: bool) -> str | None:
    """Why a program, by each of its names, may not be given these words; `fed`: a call's values go to its stdin."""
    if not fed and not any(_filled(element) for element in elements):
        return None
    for name in names:
        bare = _VERSION.sub("", name)
        for known in (name, bare):
            if known in _SHELLS:
                return f"{known} is a shell, which runs what it is given; name the program itself"
            if known in _STARTERS:
                return f"{known} starts other programs, which nobody checks; name the program itself"
        shape = _SHAPES.get(name) or _SHAPES.get(bare)
        if bare == "git" and (why := git.fault(elements)) is not None:
            return why
        if shape is not None and (why := _Reader(bare, shape, fed).fault(elements)) is not None:
            return why
    return None


def doubt(names: Sequence[str], elements: Sequence[Element], taken: git.Taken) -> str | None:
    """What a program, by any of its names, may do with these words that nobody meant."""
    is_git = any(_VERSION.sub("", name) == "git" for name in names)
    return git.doubt(elements, taken) if is_git else None


class _Reader:
    """Goes through the words as the program would."""

    def __init__(self, name: str, shape: _Shape, fed: bool) -> None:
        self._name, self._shape, self._fed = name, shape, fed
        self._seen = not shape.word
        self._next: str | None = None
        self._skip = 0

    def fault(self, elements: Sequence[Element]) -> str | None:
        """What is wrong, and what would be right."""
        if self._shape.stdin and self._fed:
            return f"what {self._name} reads from its stdin is code; hand values over in another way"
        for text, is_sure in each(elements):
            over, why = self._step(text, is_sure)
            if why is not None or over:
                return why
        return None if self._seen else f"without code of its own, {self._name} would take it from a call"

    def _step(self, text: Text, is_sure: bool) -> tuple[bool, str | None]:
        """Whether the rest is no business of the program's own, and what is wrong."""
        shape, option = self._shape, self._next
        if option is not None:
            self._next = None if not shape.all_after else option
            return self._code(text, text.begins, option)
        if self._skip:
            self._skip -= 1
            return False, None
        if not text.begins.startswith("-") or text.literal in ("-", "--"):
            if shape.words and text.names and not text.begins.strip(shape.by_mark):
                return True, f"a word that begins with a value may be a command of {self._name}; write a blank first"
            if self._seen or text.literal == "--":
                return False, None
            if not is_sure:
                return True, f"the first word that is no option is code for {self._name}; write it outside of a list"
            return self._code(text, text.begins, None)
        return self._option(text)

    def _option(self, text: Text) -> tuple[bool, str | None]:
        shape, (name, equals, own) = self._shape, text.begins.partition("=")
        coded = shape.code | shape.loads
        if name in coded:
            if not equals:
                self._next = name
                return False, None
            return self._code(text, own, name)
        short = next((one for one in sorted(coded) if len(one) == 2 and self._has(text.begins, one[1])), None)
        if short is not None:
            flags, _, own = text.begins[1:].partition(short[1])
            if not self._seen and not all(f"-{letter}" in shape.flags for letter in flags):
                return True, self._unknown(text.begins)
            if not own and not text.names:
                self._next = short
                return False, None
            return self._code(text, own, short)
        if name in shape.taking:
            self._skip = 0 if equals else shape.taking[name]
        elif not self._seen and not self._is_flag(text):
            return True, self._unknown(name)
        return False, None

    def _unknown(self, option: str) -> str:
        return f"{option} is not known before the code of {self._name}; write it after that, or leave it out"

    def _has(self, begins: str, letter: str) -> bool:
        """Whether a word is one of several options of one letter, with this among them."""
        letters = begins[1:]
        if letters.startswith("-"):
            return False
        shape = self._shape
        return letters.startswith(letter) or (
            bool(shape.word or shape.by_mark) and letters.isalpha() and letter in letters
        )

    def _is_flag(self, text: Text) -> bool:
        known, begins = self._shape.flags, text.begins
        if text.names or begins in known or begins[:2] in self._shape.taking:
            return not text.names
        return not begins.startswith("--") and all(f"-{letter}" in known for letter in begins[1:])

    def _code(self, text: Text, own: str, option: str | None) -> tuple[bool, str | None]:
        """`own`: how the code begins; `option`: that of which it is, None for a word by itself."""
        shape = self._shape
        self._seen = self._seen or option not in shape.loads
        what = f"what comes with {option}" if option is not None else "the first word that is no option"
        if text.names and not (shape.by_mark and own.strip(shape.by_mark)):
            return True, f"{what} is code for {self._name}; write it without a place"
        if self._fed and text.literal is not None and own in _CODE_FILES:
            return True, f"{what} makes {self._name} read code from its stdin, which a call fills"
        return shape.rest and self._seen, None


def _filled(element: Element) -> bool:
    return bool(element.names) and not isinstance(element, Choice)
