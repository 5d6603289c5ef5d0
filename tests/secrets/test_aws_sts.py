"""AWS STS against moto's server: what is asked for, and what comes of it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from shim.secrets import sts_session
from shim.secrets.aws_sts import AwsSts, Keys, Where
from shim.secrets.source import Around, Purpose, Unavailable
from tests.parts.moto import moto

ROLE = "arn:aws:iam::123456789012:role/reader"
ALL = frozenset({"access_key_id", "secret_access_key", "session_token"})
CALL = Purpose("lease-1", "alice@team", {"sub": "a|1"}, "s3/get", "inv-1", {"key": 'a"b/c', "any": "*"})


def around() -> Around:
    return Around({}, lambda: datetime.now(UTC), os.urandom, lambda: "id")


def policy(resource: str) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}}


def asked(purpose: Purpose, block: dict[str, object], end: datetime | None = None) -> dict[str, object]:
    keys = Keys.model_validate(block)
    return sts_session.request(
        purpose,
        role_arn=keys.role_arn or "",
        policy=keys.policy,
        tags=keys.tags or {},
        duration=keys.duration,
        end=end,
    )


async def test_a_role_for_one_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-shims-own-key")
    async with moto() as url:
        source = AwsSts("aws", Where(region="eu-west-1", endpoint=url), around())
        keys = Keys.model_validate({"role_arn": ROLE, "policy": policy("arn:aws:s3:::data/{arguments.key}")})
        issued = await source.issue(keys, ALL, CALL)
        with pytest.raises(Unavailable, match="no value by itself"):
            await source.issue(keys, frozenset({None}), CALL)
    assert all(len(issued.values[field]) > 8 for field in ALL)
    assert issued.revocation is None
    assert issued.expires is not None
    assert timedelta(minutes=13) < issued.expires - datetime.now(UTC) < timedelta(minutes=16)
    assert issued.values["session_token"] not in repr(issued)
    # The server is gone: what is said names nothing that was sent.
    with pytest.raises(Unavailable, match="could not be asked") as refused:
        await source.issue(keys, ALL, CALL)
    assert "the-shims-own-key" not in str(refused.value)


def test_a_session_says_whom_and_what_it_is_for() -> None:
    request = asked(CALL, {"role_arn": ROLE, "tags": {"who": "{claims.sub}"}})
    assert request["RoleSessionName"] == "alice@team.inv-1"
    assert request["DurationSeconds"] == 900
    assert request["Tags"] == [
        {"Key": "who", "Value": "a=7C1"},
        {"Key": "identity", "Value": "alice@team"},
        {"Key": "invocation", "Value": "inv-1"},
    ]


def test_a_policy_names_what_the_call_is_about() -> None:
    request = asked(CALL, {"role_arn": ROLE, "policy": policy("arn:aws:s3:::data/{arguments.key}")})
    assert json.loads(str(request["Policy"]))["Statement"][0]["Resource"] == 'arn:aws:s3:::data/a"b/c'


@pytest.mark.parametrize("value", ["*", "a?", "${aws:username}", "a$", "", True, None, ["a"]])
def test_no_argument_widens_a_policy(value: object) -> None:
    purpose = Purpose("lease-1", "alice", arguments={"key": value})
    with pytest.raises(Unavailable):
        asked(purpose, {"role_arn": ROLE, "policy": policy("arn:aws:s3:::data/{arguments.key}")})


def test_a_lease_shorter_than_any_session_is_denied_everything_at_its_end() -> None:
    end = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    request = asked(Purpose("lease-1", "alice", ttl=60), {"role_arn": ROLE}, end)
    allow, deny = json.loads(str(request["Policy"]))["Statement"]
    assert allow["Effect"] == "Allow"
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"DateGreaterThan": {"aws:CurrentTime": "2026-01-02T03:04:05Z"}}


@pytest.mark.parametrize(
    "block",
    [
        {"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "{arguments.x}"}]}},
        {"policy": "{"},
        {"tags": {"Identity": "x"}},
        {"tags": {"aws:x": "x"}},
        {"duration": "10m"},
        {"role_arn": "reader"},
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(block: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Keys.model_validate(block)
