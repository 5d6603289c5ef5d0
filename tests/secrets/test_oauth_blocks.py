"""What a configuration may say of authorization servers, and of the tokens that are asked for there."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from shim.secrets.oauth_blocks import Keys, Where


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"grant": "authorization_code", "audience": "{identity}"}, "the same of each person"),
        ({"grant": "password"}, "client_credentials"),
        ({"scopes": ["read write"]}, "is no scope"),
        ({"scopes": []}, "at least 1"),
        ({"resource": "/mcp"}, "no absolute URI"),
        ({"resource": "https://x/#y"}, "no absolute URI"),
        ({"audience": "{arguments.x}"}, "not supported"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(block: Mapping[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Keys.model_validate(block)


@pytest.mark.parametrize(
    "change",
    [
        {"token_url": "http://idp.example/token"},
        {"revocation_url": "http://idp.example/revoke"},
        {"client_secret": None},
        {"private_key": "/key.pem"},
        {"client_id": ""},
        {"tls": {}},
    ],
)
def test_a_source_that_cannot_be_is_refused(change: Mapping[str, object]) -> None:
    block = {"token_url": "https://idp.example/token", "client_id": "x", "client_secret": "canary-7f3a9c"}
    assert Where.model_validate(block).token_url == "https://idp.example/token"
    with pytest.raises(ValidationError) as caught:
        Where.model_validate({**block, **change})
    assert "canary-7f3a9c" not in str(caught.value)
