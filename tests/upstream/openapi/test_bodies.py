"""A law for bodies: what a plain reader finds in a form is what was passed, or it was refused."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.upstream.openapi import bodies
from shim.upstream.openapi.operations import Body
from shim.upstream.openapi.styles import Misplaced
from tests.upstream.openapi.test_styles import SCALARS, TEXTS

NAMES = TEXTS.filter(bool)
SCALAR = st.one_of(*SCALARS.values())
VALUES = (
    SCALAR
    | st.lists(SCALAR, min_size=1, max_size=3)
    | st.dictionaries(TEXTS, SCALAR | st.none(), min_size=1, max_size=3)
)


def body(media: str, **encoding: Any) -> Body:
    return Body(media, {}, encoding, True, None)


def plain(value: Any) -> str:
    """How a form writes one value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def expected(value: Any) -> list[str]:
    return [plain(one) for one in value] if isinstance(value, list) else [plain(value)]


@given(members=st.dictionaries(NAMES, VALUES, max_size=4))
def test_forms(members: dict[str, Any]) -> None:
    try:
        media, data = bodies.written(body("application/x-www-form-urlencoded"), frozenset(), members)
    except Misplaced:
        return
    assert media == "application/x-www-form-urlencoded"
    found: dict[str, list[str]] = {}
    for name, text in parse_qsl(data.decode("ascii"), keep_blank_values=True, strict_parsing=bool(data)):
        found.setdefault(name, []).append(text)
    assert found == {name: expected(value) for name, value in members.items()}


@given(
    members=st.dictionaries(NAMES.filter(lambda name: not set(name) & set('\r\n"\0')), VALUES, max_size=3),
    file=st.binary(max_size=60) | st.sampled_from([b"\r\n--part", b"--", b"\r\n\r\n"]),
)
def test_forms_in_parts(members: dict[str, Any], file: bytes) -> None:
    sent = {**members, "the file": base64.b64encode(file).decode()}
    try:
        media, data = bodies.written(body("multipart/form-data"), frozenset({"the file"}), sent)
    except Misplaced:
        return
    found: dict[str, list[bytes]] = {}
    boundary = media.partition("boundary=")[2].encode()
    pieces = data.split(b"--" + boundary)
    assert (pieces[0], pieces[-1]) == (b"", b"--\r\n")
    for piece in pieces[1:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        disposition = head.decode().partition("\r\n")[0]
        name = disposition.partition('name="')[2].partition('"')[0]
        found.setdefault(name, []).append(content.removesuffix(b"\r\n"))
    wanted = {name: [one.encode() for one in expected(value)] for name, value in members.items()}
    assert {name: [_compact(one) for one in parts] for name, parts in found.items()} == {
        name: [_compact(one) for one in parts] for name, parts in {**wanted, "the file": [file]}.items()
    }


def _compact(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def test_a_name_of_a_part_cannot_begin_another() -> None:
    name = 'a"\r\nContent-Type: text/html\r\n\r\nx'
    _, data = bodies.written(body("multipart/form-data"), frozenset(), {name: "v"})
    assert data.count(b"\r\n\r\n") == 1
    assert b"text/html\r\n" not in data


def test_json_stays_what_it_is_and_bytes_are_bytes() -> None:
    value: Any = {"null": None, "big": 10**30, "text": "\u2028é", "list": []}
    media, data = bodies.written(body("application/merge-patch+json"), frozenset(), value)
    assert (media, json.loads(data)) == ("application/merge-patch+json", value)
    assert bodies.written(body("image/*"), frozenset(), "AP8=") == ("application/octet-stream", b"\x00\xff")
    assert bodies.written(body("text/csv"), frozenset(), "ä") == ("text/csv", "ä".encode())
    styled = body("application/x-www-form-urlencoded", at={"style": "deepObject", "explode": True})
    assert bodies.written(styled, frozenset(), {"at": {"x": {"y": 1}}})[1] == b"at%5Bx%5D%5By%5D=1"
    for media, wrong in (("application/octet-stream", "no base64"), ("multipart/form-data", ["a"])):
        with pytest.raises(Misplaced):
            bodies.written(body(media), frozenset(), wrong)
