"""Runs programs, each below a process that ends all that came of it. A script: `guard.py CONTROL`.

It imports nothing of the shim, and is started once. Whenever that asks it forks a guard, which runs one program at a
time: starts it, and is the new parent of whatever loses its own (PR_SET_CHILD_SUBREAPER, prctl(2)), so that what leaves
the group, the session or the environment is still below it. When the program has ended, or its end is asked for, or the
shim is gone, the guard kills its children until it has none. What a guard leaves that was killed itself comes to the
process that forked it, and ends there. Where there is no such prctl, the program's process group is all that is ended.

On the control socket comes FORK with a descriptor, a new guard's own socket, or CLEAR with a `SIZE` and a path: a
folder that goes when the shim is gone, and with it all programs. On a guard's socket comes a `SIZE` with three
descriptors, the program's stdin, stdout and stderr, and then as many bytes, what to start (`packed`); a `SIZE` of 0
asks for the end of what runs. The answers are each a `REPORT`; after OVER the guard is free for another.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

FORK, CLEAR = b"+", b"/"
SIZE = struct.Struct("!I")
REPORT = struct.Struct("!ci")
TAKEN, STARTED, FAILED, EXITED, OVER = b"t", b"s", b"f", b"e", b"o"
"""What to start is known, and nothing was started before; it is started; it is not, with the errno; it has ended, with
its code, negative for a signal; nothing is left of it."""

TERM_GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

_PATIENCE = TERM_GRACE + 0.5
"""Seconds in which a guard ends by itself once the shim is through with it."""

_SUBREAPER = 36
_LEFT = getattr(select, "POLLRDHUP", 0)
_NEVER = float("inf")


def packed(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> bytes:
    """What to start, as a guard takes it. Raises ValueError for what no program can be given."""
    words = [cwd, str(len(argv)), *argv, *(f"{name}={value}" for name, value in env.items())]
    if any("\0" in word for word in words) or any("=" in name or not name for name in env):
        raise ValueError
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def main(control: socket.socket) -> None:
    """Fork guards until the shim is gone, and then see to it that nothing is left."""
    wake = _ready()
    _adopt()
    looking = select.poll()
    looking.register(control, select.POLLIN)
    looking.register(wake, select.POLLIN)
    guards = _Guards(looking, (control.fileno(), wake))
    folder = b""
    listening = True
    while listening or guards.pids:
        for found, _ in looking.poll(_milliseconds(guards.until)):
            if found == wake:
                os.read(wake, 4096)
            elif found != control.fileno():
                guards.leave(found)
            else:
                message, held, *_ = socket.recv_fds(control, 1, 1)
                if message == CLEAR:
                    folder = _exactly(control, *SIZE.unpack(_exactly(control, SIZE.size) or SIZE.pack(0))) or b""
                elif not message:
                    listening = False
                    looking.unregister(control)
                for link in held:
                    guards.fork(link)
        guards.settle(_reaped()[0])
    _end_children()
    _remove(folder)


class _Guards:
    """Those that there are, by the numbers of their sockets.

    We hold those, too, for as long as anything of a guard may be there: that is how the shim learns of its end.
    """

    def __init__(self, looking: select.poll, ours: Sequence[int]) -> None:
        """`ours`: descriptors that a guard does not have."""
        self.pids: dict[int, int] = {}
        self._looking = looking
        self._ours = ours
        self._ending: dict[int, float] = {}
        self._lost: list[int] = []

    @property
    def until(self) -> float:
        """When to settle again, whatever happens."""
        return min(self._ending.values(), default=_NEVER)

    def fork(self, link: int) -> None:
        """Another one. Where there can be no more processes, the shim finds its socket closed."""
        try:
            pid = os.fork()
        except OSError:
            os.close(link)
            return
        if pid == 0:
            _guard(link, (*self._ours, *self.pids, *self._lost))
        self.pids[link] = pid
        self._looking.register(link, _LEFT)

    def leave(self, link: int) -> None:
        """The shim is through with one, which now ends by itself, if it is not stuck or stopped."""
        self._looking.unregister(link)
        self._ending[link] = time.monotonic() + _PATIENCE

    def settle(self, ended: Mapping[int, int]) -> None:
        """Some processes have ended, with these codes; or time has passed."""
        for link in [link for link, pid in self.pids.items() if pid in ended]:
            if self._ending.pop(link, None) is None:
                self._looking.unregister(link)
            if ended[self.pids.pop(link)]:
                self._lost.append(link)
            else:
                os.close(link)
        now = time.monotonic()
        for link in [link for link, end in self._ending.items() if end <= now]:
            self._ending[link] = _NEVER
            os.kill(self.pids[link], signal.SIGKILL)
        # One that did not end by itself has left its children to us, and those leave us theirs.
        if self._lost and not _kill_children({*self.pids.values()}):
            while self._lost:
                os.close(self._lost.pop())


def _guard(number: int, others: Sequence[int]) -> None:
    """See to one program after another. Does not return."""
    code = 1
    try:
        for other in others:
            os.close(other)
        link = socket.socket(fileno=number)
        wake, adopts = _ready(), _adopt()
        while (wanted := _received(link)) is not None:
            _report(link, TAKEN)
            program = _started(link, *wanted)
            if program is not None:
                _see_through(program, link, wake, adopts)
            _report(link, OVER)
        code = 0
    finally:
        os._exit(code)


def _started(
    link: socket.socket, argv: Sequence[bytes], env: Mapping[bytes, bytes], cwd: bytes
) -> subprocess.Popen[bytes] | None:
    """Start a program with the standard streams that this process has, and keep none of them."""
    program = None
    try:
        program = subprocess.Popen(argv, env=env, cwd=cwd, start_new_session=True)
        _report(link, STARTED)
    except OSError as error:
        _report(link, FAILED, error.errno or 0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    return program


def _see_through(program: subprocess.Popen[bytes], link: socket.socket, wake: int, adopts: bool) -> None:
    """Return when nothing is left of it."""
    looking = select.poll()
    looking.register(link, select.POLLIN)
    looking.register(wake, select.POLLIN)
    until = _NEVER
    while until > time.monotonic():
        for found, _ in looking.poll(_milliseconds(until)):
            if found == wake:
                os.read(wake, 4096)
                continue
            # Its end is asked for, or the shim has gone.
            looking.unregister(link)
            until = time.monotonic()
            if program.returncode is None:
                _kill_group(program.pid, signal.SIGTERM)
                until += TERM_GRACE
        ended, others = _reaped()
        if program.pid in ended:
            program.returncode = ended[program.pid]
            _report(link, EXITED, program.returncode)
            until = _NEVER if until == _NEVER and adopts else 0
        if not others and adopts:
            return
    if program.returncode is None or not adopts:
        _kill_group(program.pid, signal.SIGKILL)
    codes = _end_children()
    if program.returncode is None:
        program.returncode = codes[program.pid]
        _report(link, EXITED, program.returncode)


def _received(link: socket.socket) -> tuple[list[bytes], dict[bytes, bytes], bytes] | None:
    """Argv, environment and working directory, with the streams as our own; None where the shim has gone."""
    size = 0
    # What asks for the end of one that was over already is for nobody.
    while not size:
        head, streams, *_ = socket.recv_fds(link, SIZE.size, 3)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        if len(head) < SIZE.size:
            return None
        (size,) = SIZE.unpack(head)
    whole = _exactly(link, size)
    if whole is None:
        return None
    cwd, count, *words = whole.split(b"\0")[:-1]
    variables = (word.partition(b"=") for word in words[int(count) :])
    return words[: int(count)], {name: value for name, _, value in variables}, cwd


def _milliseconds(moment: float) -> float | None:
    """From now on; None for ever."""
    return None if moment == _NEVER else max(0.0, (moment - time.monotonic()) * 1000)


def _exactly(link: socket.socket, size: int) -> bytes | None:
    """So many bytes; None where the shim has gone before."""
    whole = bytearray()
    while len(whole) < size:
        piece = link.recv(size - len(whole))
        if not piece:
            return None
        whole += piece
    return bytes(whole)


def _report(link: socket.socket, what: bytes, number: int = 0) -> None:
    # Where the shim has gone, what comes next is the same.
    with contextlib.suppress(OSError):
        link.sendall(REPORT.pack(what, number))


def _ready() -> int:
    """Mind no signal, and get a descriptor that can be read once a child has ended."""
    wake, waking = os.pipe()
    for one in (wake, waking):
        os.set_blocking(one, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not ignored, as that would be handed on to the program.
        signal.signal(number, lambda *_: None)
    return wake


def _adopt() -> bool:
    """From now on what loses its parent below this process gets this one. Whether the system can do that."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        # An interpreter without it, or a system without prctl.
        return False


def _reaped() -> tuple[dict[int, int], bool]:
    """The children that have ended, with their codes; whether there are others."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
        return ended, True
    return ended, False


def _end_children() -> dict[int, int]:
    """Kill all that there are until there are none, and return their codes.

    Those of one that ends become ours before it can be reaped, so that none is missed.
    """
    codes: dict[int, int] = {}
    others = True
    while others:
        _kill_children()
        with contextlib.suppress(ChildProcessError):
            # Wait for one, and take all: what forks without pause would else fill the table of processes.
            pid, status = os.waitpid(-1, 0)
            codes[pid] = os.waitstatus_to_exitcode(status)
        ended, others = _reaped()
        codes |= ended
    return codes


def _kill_children(spared: AbstractSet[int] = frozenset()) -> bool:
    """Whether there are any."""
    ours = os.getpgrp()
    found = [pid for pid in _children() if pid not in spared]
    for pid in found:
        # It is not reaped before we do it, so that the number is still its own, and its group's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            if (group := os.getpgid(pid)) != ours:
                os.killpg(group, signal.SIGKILL)
    return bool(found)


def _children() -> Iterator[int]:
    me = os.getpid()
    listed = _content(f"/proc/{me}/task/{me}/children")
    if listed is not None:
        yield from map(int, listed.split())
    else:
        # Not every kernel has that. The newest first: one that forks and ends without pause is gone a moment later.
        yield from (pid for pid in _processes() if _parent(pid) == me)


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        return sorted(map(int, filter(str.isdecimal, os.listdir("/proc"))), reverse=True)  # noqa: PTH208 (quick)
    return []


def _parent(pid: int) -> int | None:
    content = _content(f"/proc/{pid}/stat")
    # The name before it may hold anything.
    return int(content.rpartition(b")")[2].split()[1]) if content else None


def _content(path: str) -> bytes | None:
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:  # noqa: PTH123 (quick)
        return file.read()
    return None


def _kill_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _remove(folder: bytes) -> None:
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        if not folder or not os.path.lexists(folder):
            return
        subprocess.run([*command, "--", folder], env={"PATH": "/usr/bin:/bin"}, check=False)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
