"""`type: aws-sts`: a role for one call (AWS STS, AssumeRole), which AWS itself ends: nothing can be revoked.

The library boto3 finds who the shim is (variables, profiles, SSO, the machine's own role), signs and asks. It is an
extra and slow to load, so it is imported when a credential is first asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Protocol, cast

from pydantic import Field, StringConstraints, field_validator

from shim.model import JsonObject
from shim.secrets import sts_session
from shim.secrets.aside import Aside
from shim.secrets.source import Around, Issued, Purpose, Unavailable
from shim.secrets.sts_policy import PolicyText
from shim.units import Block, Duration
from shim.urls import is_safe

_FIELDS: Final = {
    "access_key_id": "AccessKeyId",
    "secret_access_key": "SecretAccessKey",
    "session_token": "SessionToken",
}
_STALE: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"})
_ADVICE: Final = {
    "AccessDenied": "let who the shim is assume the role, and tag sessions (sts:AssumeRole, sts:TagSession)",
    "MalformedPolicyDocument": "mend its `policy`",
    "PackedPolicyTooLarge": "shorten its `policy` or its `tags`",
    "RegionDisabledException": "choose another `region`",
    "ValidationError": "look at its `role_arn`, `duration` and `tags`",
    **dict.fromkeys(_STALE, "renew what the shim itself has of AWS"),
}

_Tag = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]


class Keys(Block):
    """What such a secret is asked for by. `policy` limits the role further: AWS's JSON, or the same as a mapping."""

    role_arn: Annotated[str, StringConstraints(pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/[^\s*?]{1,512}$")] | None = (
        None
    )
    policy: PolicyText | None = None
    tags: Annotated[dict[_Tag, _Tag], Field(max_length=sts_session.MOST_TAGS)] | None = None
    duration: Annotated[Duration, Field(ge=sts_session.SHORTEST, le=43200)] | None = None

    @field_validator("tags")
    @classmethod
    def _own(cls, tags: Mapping[str, str] | None) -> Mapping[str, str] | None:
        if tags is not None and (wrong := sts_session.wrong_tag(tags)):
            raise ValueError(wrong)
        return tags


class Where(Block):
    """Which STS, and as whom: a profile, or whatever boto3 finds."""

    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")]
    endpoint: str | None = None
    profile: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\[\]]{1,128}$")] | None = None

    @field_validator("endpoint")
    @classmethod
    def _safe(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not is_safe(endpoint):
            raise ValueError(
                "`endpoint` is neither https nor on this machine; what it answers could be read on the way"
            )
        return endpoint


class _Sts(Protocol):
    def assume_role(self, **request: Any) -> Mapping[str, Any]: ...


class AwsSts:
    """One account's STS. Requests are made in threads; one that nobody waits for any more ends within seconds."""

    def __init__(self, name: str, where: Where, around: Around) -> None:
        self._name = name
        self._where = where
        self._clock = around.clock
        self._aside: Aside[Issued] = Aside("AWS STS")
        self._lock = threading.Lock()
        self._client: _Sts | None = None

    async def prepare(self, secret: Keys, purpose: Purpose) -> JsonObject | None:  # noqa: ARG002 (see `Source`)
        """See `Source`. What STS gives ends by itself, and by nothing else."""
        return None

    async def issue(self, secret: Keys, fields: frozenset[str | None], purpose: Purpose) -> Issued:
        """See `Source`. There is no field that a secret without one would mean."""
        for field in fields:
            if field not in _FIELDS:
                raise Unavailable(f"it has no value by itself; its fields are {', '.join(_FIELDS)}: write one of them")
        end = None if purpose.ttl is None else self._clock().timestamp() + purpose.ttl
        request = sts_session.request(
            purpose,
            role_arn=secret.role_arn or "",
            policy=secret.policy,
            tags=secret.tags or {},
            duration=secret.duration,
            end=None if end is None else datetime.fromtimestamp(end, UTC),
        )
        return await self._aside.run(partial(self._ask, request, fields, end))

    async def revoke(self, revocation: JsonObject, *, orphaned: bool) -> None:
        """See `Source`. There is none."""

    async def close(self) -> None:
        """See `Source`. Nothing is held but connections, which end with the process."""

    def _ask(self, request: Mapping[str, Any], fields: frozenset[str | None], end: float | None) -> Issued:
        try:
            from boto3.exceptions import Boto3Error
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise Unavailable("the library for AWS is not installed; pip install 'mcp-shim[aws]'") from None
        try:
            given = self._sts().assume_role(**request)["Credentials"]
            values = {field: str(given[_FIELDS[field or ""]]) for field in fields}
            expires = cast(datetime, given["Expiration"])
        except ClientError as error:
            raise self._refused(error.response) from None
        # What these say may hold what was sent: their names tell enough.
        except (BotoCoreError, Boto3Error, OSError) as error:
            raise Unavailable(_failed(type(error).__name__)) from None
        except (KeyError, TypeError, ValueError):
            raise Unavailable("AWS STS gave an answer that holds no credential; look at `endpoint`") from None
        if end is not None and end < expires.timestamp():
            expires = datetime.fromtimestamp(end, UTC)
        return Issued(values, expires)

    def _sts(self) -> _Sts:
        with self._lock:
            if self._client is None:
                self._client = _client(self._where)
            return self._client

    def _refused(self, response: Mapping[str, Any]) -> Unavailable:
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "an error")
        if code in _STALE:
            # A client keeps what it has found: the next one looks again.
            with self._lock:
                self._client = None
        # Only codes that are known are repeated: the rest is somebody else's text.
        advice = _ADVICE.get(code)
        return Unavailable(
            f"AWS STS refused it ({code}); {advice}" if advice else f"AWS STS answered {status}; try again"
        )


def _client(where: Where) -> _Sts:
    import boto3
    from botocore.config import Config

    # At its finest it logs whole answers.
    logging.getLogger("botocore").setLevel(logging.INFO)
    config = Config(
        connect_timeout=2,
        read_timeout=3,
        retries={"total_max_attempts": 2, "mode": "standard"},
        proxies={},
        ignore_configured_endpoint_urls=True,
        max_pool_connections=64,
    )
    session = boto3.session.Session(profile_name=where.profile, region_name=where.region)
    return cast(_Sts, session.client("sts", endpoint_url=where.endpoint, config=config))


def _failed(kind: str) -> str:
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return f"nothing says who the shim is to AWS ({kind}); set `profile`, or what boto3 looks for"
    if kind == "ProfileNotFound":
        return "AWS's own configuration has no such profile; mend `profile`"
    return f"AWS STS could not be asked ({kind}); see that it can be reached from here"
