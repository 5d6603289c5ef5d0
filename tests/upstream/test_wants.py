"""Who is told of a resource that changed."""

from __future__ import annotations

from collections.abc import Callable

from shim.model import Caller, Credential, Identity, JsonObject, Question, Response
from shim.upstream.wants import Want, Wants


class Told:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.uris: list[tuple[str, str]] = []

    def heard(self, uri: str, release: Callable[[], None]) -> None:
        raise AssertionError

    def updated(self, uri: str, ref: str) -> None:
        self.uris.append((uri, ref))

    async def progress(self, params: JsonObject) -> None:
        raise AssertionError

    async def log(self, params: JsonObject) -> None:
        raise AssertionError

    async def ask(self, question: Question) -> Response:
        raise AssertionError

    async def completed(self, params: JsonObject) -> None:
        raise AssertionError


def want(uri: str, told: Told, identity: str = "alice") -> Want:
    return Want(Caller(Credential(Identity(identity), "token"), "http", "2025-11-25"), uri, told)


def name(one: Want) -> str:
    return one.caller.identity.name


def test_a_notice_is_for_the_resource_and_for_those_above_it() -> None:
    wants, told = Wants("up"), {uri: Told() for uri in ("f:///a", "f:///a/", "f:///a/b", "f:///ab", "f:///a/b/c", "f:")}
    for uri, one in told.items():
        wants.add(want(uri, one))
    wants.tell("f:///a/b", "alice", name)
    assert [uri for uri, one in told.items() if one.uris] == ["f:///a", "f:///a/", "f:///a/b", "f:"]
    assert told["f:///a/b"].uris == [("f:///a/b", "resource:up/f:///a/b")]


def test_an_owners_session_tells_its_own_alone_and_nobody_who_left() -> None:
    wants, alice, bob, gone, watched = Wants("up"), Told(), Told(), Told(), list[str]()
    end = wants.watch(lambda one: watched.append(name(one)))
    one, left = want("x", alice), want("x", gone)
    for each in (one, left, want("x", bob, "bob"), want("y", bob, "bob")):
        wants.add(each)
    wants.remove(left)
    wants.remove(left)
    end()
    assert (wants.uris("alice", name), wants.uris("bob", name)) == ({"x"}, {"x", "y"})
    wants.tell("x", "alice", name)
    assert (len(alice.uris), bob.uris, gone.uris) == (1, [], [])
    wants.remove(one)
    assert (wants.uris("alice", name), [want.uri for want in wants]) == (set(), ["x", "y"])
    assert watched == ["alice", "alice", "bob", "bob", "alice"]
