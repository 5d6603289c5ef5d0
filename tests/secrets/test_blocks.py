"""What blocks of all kinds of source have in common."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shim.secrets.config import SecretBlock, SourceBlock


@pytest.mark.parametrize(
    "written",
    [
        {
            "type": "oauth",
            "token_url": "https://as.example.com/token",
            "client_id": "shim",
            "client_secret": "v-3-c-r-3-t",
        },
        {"type": "command", "env": {"OP_TOKEN": "v-3-c-r-3-t"}},
        {"type": "vault", "address": "https://bao.example.com", "auth": {"token": "v-3-c-r-3-t"}},
        {
            "type": "vault",
            "address": "https://bao.example.com",
            "auth": {"approle": {"role_id": "r", "secret_id": "v-3-c-r-3-t"}},
        },
    ],
    ids=["client-secret", "environment", "token", "secret-id"],
)
def test_what_a_source_proves_itself_with_is_not_shown(written: dict[str, object]) -> None:
    block = SourceBlock.model_validate(written)
    assert "v-3-c-r-3-t" not in f"{block!r} {block} {block.where()!r}"


@pytest.mark.parametrize(
    ("written", "is_so"),
    [
        ({"source": "as", "grant": "token_exchange"}, True),
        ({"source": "as", "grant": "client_credentials"}, False),
        ({"source": "bao", "path": "secret/data/{identity}/x"}, True),
        ({"source": "bao", "path": "database/creds/x", "params": {"for": ["{claims.sub}"]}}, True),
        ({"source": "bao", "path": "database/creds/x"}, False),
    ],
)
def test_what_is_another_for_each_caller_is_known(written: dict[str, object], is_so: bool) -> None:
    assert SecretBlock.model_validate(written).is_of_a_caller is is_so


@pytest.mark.parametrize("ttl", ["3000000d", "0s", "-1s"])
def test_a_lease_has_an_end_that_is_a_date(ttl: str) -> None:
    with pytest.raises(ValidationError, match="ttl"):
        SecretBlock.model_validate({"source": "as", "ttl": ttl})
    assert SecretBlock.model_validate({"source": "as", "ttl": "3650d"}).ttl == 3650 * 86400
