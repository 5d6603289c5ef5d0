"""What the page on identity providers shows is a configuration, and its commands say what the page says."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from shim.config.loader import load
from shim.identity.naming import People
from shim.model import Decision, Reason
from shim.policy.conditions import Facts
from shim.policy.engine import Policy
from tests.docs.console import blocks
from tests.parts.install import ROOT
from tests.policy.writing import NOW


def test_what_is_shown_is_accepted_and_decides_as_it_says(tmp_path: Path) -> None:
    (piece,) = blocks((ROOT / "docs" / "identity-provider.md").read_text(), "yaml")
    base = {"version": 1, "upstreams": {"tickets": {"url": "https://tickets.example.com/mcp"}}}
    config = tmp_path / "shim.yaml"
    config.write_text(yaml.safe_dump({**base, **yaml.safe_load(piece)}))
    configuration = load(config, os.environ)
    assert configuration.warnings == ()
    claims = {"groups": ["staff"], "email_verified": True, "email": "ann@example.com"}
    person = People(configuration.identities).identity(claims)
    assert person.name == "staff:ann@example.com"
    policy = Policy(configuration.grants)
    with_scope, without = (
        policy.decide(person, "tickets/get_ticket", Facts({}, "", None, NOW, scopes))
        for scopes in (frozenset({"tickets.read"}), frozenset[str]())
    )
    assert with_scope.effect == "allow"
    assert without == Decision("deny", Reason.INSUFFICIENT_SCOPE, "read", ("tickets.read",))
