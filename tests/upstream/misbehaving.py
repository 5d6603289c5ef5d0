"""A small MCP server over stdio that speaks either era by hand, and does every wrong thing by name.

Run with only the standard library: `misbehaving.py ERA [MODE...]`. Each tool does one thing; modes spoil the start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]

ERA, MODES = sys.argv[1], sys.argv[2:]
LEDGER = os.environ.get("LEDGER")
LOCK = threading.Lock()
NAMES = [
    "echo",
    "slow",
    "never",
    "dies",
    "garbage",
    "twice",
    "huge",
    "other-id",
    "scalar",
    "no-result",
    "bad-error",
    "fails",
    "floods",
    "pours",
    "asks",
    "env",
    "raw",
    "bytes",
    "deaf",
    "children",
    "progress",
    "log",
    "change",
    "input",
    "endless",
    "quits-stdin",
    "meta",
]
state: Obj = {"extra": 0, "initialized": 0, "level": None, "cancelled": [], "answers": []}


def write(data: bytes) -> object:
    with LOCK:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return None


def send(message: Obj) -> None:
    write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def result(id_: Any, value: Obj) -> None:
    if ERA == "modern":
        value = {"resultType": "complete", **value}
    send({"id": id_, "result": value})


def say(id_: Any, text: object) -> object:
    result(id_, {"content": [{"type": "text", "text": str(text)}]})
    return None


def tools(id_: Any, params: Obj) -> None:
    names = [*NAMES, *(f"extra-{n}" for n in range(state["extra"]))]
    if "circle" in MODES:
        result(id_, {"tools": [], "nextCursor": "again"})
        return
    if "bad-list" in MODES:
        result(id_, {"tools": "none"})
        return
    start = int(params.get("cursor", 0))
    page: Obj = {
        "tools": [{"name": name, "inputSchema": {"type": "object"}, "odd": None} for name in names[start : start + 10]]
    }
    if start + 10 < len(names):
        page["nextCursor"] = str(start + 10)
    if ERA == "modern":
        page |= {"ttlMs": 60_000, "cacheScope": "public"}
    result(id_, page)


def call(id_: Any, params: Obj) -> None:
    name, arguments = params["name"], params.get("arguments", {})
    if LEDGER:
        with LOCK, Path(LEDGER).open("a") as ledger:
            ledger.write(f"{name} {arguments.get('n', '')}\n")
    TOOLS[name](id_, params, arguments)


def slow(id_: Any, params: Obj, arguments: Obj) -> None:
    time.sleep(arguments.get("seconds", 0.3))
    say(id_, "slow")


def progress(id_: Any, params: Obj, arguments: Obj) -> None:
    token = params.get("_meta", {}).get("progressToken")
    for n in range(arguments.get("times", 3)):
        time.sleep(arguments.get("every", 0.0))
        if token is not None:
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": n, "extra": None}})
    if not arguments.get("silent"):
        say(id_, "progressed")


def huge(id_: Any, params: Obj, arguments: Obj) -> None:
    size, block = arguments["size"], b"x" * 65536
    with LOCK:
        out = sys.stdout.buffer
        out.write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % id_)
        for _ in range(size // len(block)):
            out.write(block)
        out.write(b'"}]}}\n')
        out.flush()


def floods(id_: Any, params: Obj, arguments: Obj) -> None:
    line = json.dumps({"jsonrpc": "2.0", "method": arguments["method"], "params": {"level": "info", "data": "x"}})
    for _ in range(arguments["times"] // 100):
        write((line + "\n").encode() * 100)
    say(id_, "flooded")


def pours(id_: Any, params: Obj, arguments: Obj) -> None:
    out = sys.stderr.buffer if arguments.get("stderr") else sys.stdout.buffer
    unit = arguments["unit"].encode()
    block = unit * (1 + 65536 // len(unit))
    end = time.monotonic() + arguments["seconds"]
    while time.monotonic() < end:
        with LOCK:
            out.write(block)
            out.flush()
    say(id_, "poured")


def children(id_: Any, params: Obj, arguments: Obj) -> None:
    pids = [
        subprocess.Popen(
            ["/bin/sh", "-c", "trap '' TERM HUP; sleep 300 & wait; sleep 300"],
            stdin=subprocess.DEVNULL,
            start_new_session=bool(arguments.get("away")),
        ).pid
        for _ in range(2)
    ]
    say(id_, json.dumps([os.getpid(), *pids]))


def asks(id_: Any, params: Obj, arguments: Obj) -> None:
    before = len(state["answers"])
    send({"id": "q1", "method": arguments["method"], "params": {}})
    if ERA == "legacy":
        deadline = time.monotonic() + 5
        while len(state["answers"]) == before and time.monotonic() < deadline:
            time.sleep(0.01)
    say(id_, json.dumps(state["answers"]))


def change(id_: Any, params: Obj, arguments: Obj) -> None:
    state["extra"] += 1
    note: Obj = {"method": "notifications/tools/list_changed"}
    for _ in range(arguments.get("times", 1)):
        if state.get("listen") is not None:
            note["params"] = {"_meta": {"io.modelcontextprotocol/subscriptionId": state["listen"]}}
        send(note)
    say(id_, "changed")


def log(id_: Any, params: Obj, arguments: Obj) -> None:
    for level in ("debug", "warning"):
        send({"method": "notifications/message", "params": {"level": level, "data": "hello"}})
    say(id_, state["level"])


def deaf(id_: Any, params: Obj, arguments: Obj) -> None:
    say(id_, "deaf from now on")
    time.sleep(arguments.get("seconds", 60))


def quits_stdin(id_: Any, params: Obj, arguments: Obj) -> None:
    os.close(0)
    say(id_, "closed")
    time.sleep(60)


TOOLS: dict[str, Callable[[int, Obj, Obj], object]] = {
    "echo": lambda i, p, a: say(i, json.dumps(a)),
    "meta": lambda i, p, a: say(i, json.dumps(p)),
    "slow": slow,
    "never": lambda i, p, a: say(i, state["cancelled"]) if a.get("report") else None,
    "dies": lambda i, p, a: os._exit(3),
    "garbage": lambda i, p, a: write(b'{"jsonrpc":"2.0","id":%d,"result":{"a":1,"a":NaN}}\n' % i),
    "twice": lambda i, p, a: (say(i, "first"), say(i, "second")),
    "huge": huge,
    "other-id": lambda i, p, a: (say(i + 1000, "not yours"), say(str(i), "nor this"), say(True, "nor that")),
    "scalar": lambda i, p, a: send({"id": i, "result": 7}),
    "no-result": lambda i, p, a: send({"id": i}),
    "bad-error": lambda i, p, a: send({"id": i, "error": "no"}),
    "fails": lambda i, p, a: send({"id": i, "error": {"code": -32000, "message": "no", "data": {"x": None}}}),
    "floods": floods,
    "pours": pours,
    "asks": asks,
    "env": lambda i, p, a: say(
        i,
        json.dumps({"env": dict(os.environ), "cwd": str(Path.cwd()), "argv": sys.argv[1:], "pid": os.getpid()}),
    ),
    "raw": lambda i, p, a: write(a["line"].replace("$ID", str(i)).encode() + b"\n"),
    "bytes": lambda i, p, a: (write(b"\xff\xfe nonsense \x80\n\n{]\n[]\n7\n"), say(i, "after bytes")),
    "deaf": deaf,
    "children": children,
    "progress": progress,
    "log": log,
    "change": change,
    "input": lambda i, p, a: send(
        {"id": i, "result": {"resultType": "input_required", "inputRequests": {"k": {"method": "elicitation/create"}}}}
    ),
    "endless": lambda i, p, a: write(b"x" * 3_000_000 + b"\n"),
    "quits-stdin": quits_stdin,
}


def handle(message: Obj) -> None:
    method, id_, params = message.get("method"), message.get("id"), message.get("params") or {}
    if method is None:
        state["answers"].append(message.get("error", {}).get("code", message.get("result")))
    elif method == "notifications/cancelled":
        state["cancelled"].append(params["requestId"])
    elif method == "notifications/initialized":
        state["initialized"] += 1
    elif method == "server/discover":
        if "silent" in MODES:
            return
        if ERA == "legacy":
            send({"id": id_, "error": {"code": -32602, "message": "Invalid request parameters"}})
        else:
            meta = {"io.modelcontextprotocol/serverInfo": {"name": "misbehaving", "version": "0"}}
            capabilities = {"tools": {"listChanged": True}, "logging": {}}
            found: Obj = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "_meta": meta}
            result(id_, {**found, "instructions": "Behave.", "ttlMs": 0, "cacheScope": "public"})
    elif method == "initialize":
        if ERA == "modern":
            send({"id": id_, "error": {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}}})
        else:
            capabilities = {"tools": {"listChanged": True}, "logging": {}}
            version = "1999-01-01" if "old" in MODES else params["protocolVersion"]
            info = {"name": "misbehaving", "version": "0"}
            result(id_, {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})
    elif method == "subscriptions/listen":
        state["listen"] = id_
        subscribed = {"io.modelcontextprotocol/subscriptionId": id_}
        send(
            {"method": "notifications/subscriptions/acknowledged", "params": {"_meta": subscribed, "notifications": {}}}
        )
    elif method == "logging/setLevel":
        state["level"] = params["level"]
        result(id_, {})
    elif method == "tools/list":
        tools(id_, params)
    elif method == "tools/call" and params["name"] in ("deaf", "quits-stdin"):
        call(id_, params)
    elif method == "tools/call":
        threading.Thread(target=call, args=(id_, params), daemon=True).start()


if "hangs" in MODES:
    time.sleep(300)
if "slow-start" in MODES:
    time.sleep(0.8)
if "exits" in MODES:
    print("cannot start: \x1b[31mno\u202e key", file=sys.stderr)
    sys.exit(7)
if "noisy" in MODES:
    sys.stdout.write("Welcome to the server!\n")
    sys.stdout.flush()
for line in iter(sys.stdin.buffer.readline, b""):
    handle(json.loads(line))
