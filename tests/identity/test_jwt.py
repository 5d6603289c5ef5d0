"""Which JWTs are access tokens for this server: each refusal is held to its reason."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.errors import Unauthenticated
from shim.identity import compact
from shim.identity.claims import Terms, credential_id, scopes_of
from shim.identity.config import IdentityBlock
from shim.identity.jwt import Verifier
from shim.identity.keys import FITS, keys_of
from shim.identity.naming import People
from shim.model import Json, JsonObject
from tests.identity.issuer import AUDIENCE, AnyKey, b64, claims, ec, ed, part, public, rsa, signed
from tests.identity.judging import ISSUER, bench
from tests.policy.writing import law

RSA, EC, ED = rsa(), ec(), ed()
OTHER_EC = ec()
KEYS: dict[str, AnyKey] = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": ED}
ALL = tuple(FITS)


def good(header: JsonObject | None = None, key: AnyKey = EC, **members: Json) -> str:
    return signed({"alg": "ES256", "typ": "at+jwt", "kid": EC.kid, **(header or {})}, claims(ISSUER, **members), key)


async def why(token: str, *, algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")) -> str | None:
    return await bench(RSA, EC, ED, algorithms=algorithms).why(token)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        *(("RS256", RSA), ("RS384", RSA), ("RS512", RSA), ("PS256", RSA), ("PS384", RSA), ("PS512", RSA)),
        *(("ES256", EC), ("ES384", ec("P-384")), ("ES512", ec("P-521")), ("EdDSA", ED)),
    ],
)
async def test_every_algorithm_that_can_be_allowed_works_and_only_where_it_is(algorithm: str, key: AnyKey) -> None:
    token = signed({"alg": algorithm, "kid": key.kid}, claims(ISSUER), key)
    assert await bench(key, algorithms=(algorithm,)).why(token) is None
    others = tuple(name for name in ALL if name != algorithm)
    assert await bench(key, algorithms=others).why(token) == "a JWT with an algorithm that is not allowed"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "dir", "RSA-OAEP", ""])
def test_what_is_not_asymmetric_can_never_be_allowed(algorithm: str) -> None:
    with pytest.raises(ValueError, match="asymmetric"):
        Verifier(Terms(ISSUER, AUDIENCE), [algorithm], bench().ring)


NOT_ALLOWED = "a JWT with an algorithm that is not allowed"


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "none ", "none\0", "\u0578one", "", "null"])
@pytest.mark.parametrize("signature", ["", "AA"])
async def test_none_in_every_spelling(none: str, signature: str) -> None:
    token = f"{part({'alg': none, 'kid': EC.kid})}.{part(claims(ISSUER))}.{signature}"
    assert await why(token, algorithms=ALL) == NOT_ALLOWED


@pytest.mark.parametrize("alg", [None, True, 256, ["ES256"], {"ES256": 1}])
async def test_an_algorithm_that_is_no_text(alg: Json) -> None:
    assert await why(f"{part({'alg': alg})}.{part(claims(ISSUER))}.AA") == "a JWT without an algorithm"


PEM = RSA.as_pem(private=False)
SECRETS = {
    "PEM": PEM,
    "PEM without its last line end": PEM.rstrip(b"\n"),
    "DER": RSA.as_der(private=False),
    "JWK": json.dumps(public(RSA)).encode(),
    "base64 of the DER": b64encode(RSA.as_der(private=False)),
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "hs256"])
async def test_the_public_key_is_no_shared_secret(secret: bytes, alg: str) -> None:
    text = f"{part({'alg': alg, 'kid': RSA.kid})}.{part(claims(ISSUER))}"
    digest = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}[alg[2:]]
    token = f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"
    assert await why(token, algorithms=ALL) == NOT_ALLOWED


async def test_a_signature_of_one_algorithm_is_none_of_another() -> None:
    token = signed({"alg": "RS256", "kid": RSA.kid}, claims(ISSUER), RSA)
    body, signature = token.split(".")[1:]
    for alg, reason in [
        ("PS256", "a JWT whose signature is wrong"),
        ("ES256", "a JWT of a key that the issuer does not have"),
        ("EdDSA", "a JWT of a key that the issuer does not have"),
    ]:
        changed = f"{part({'alg': alg, 'kid': RSA.kid})}.{body}.{signature}"
        assert await why(changed, algorithms=ALL) == reason


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": public(OTHER_EC)},
        {"jwk": public(OTHER_EC), "kid": OTHER_EC.kid},
        {"jku": "https://evil.test/keys", "kid": OTHER_EC.kid},
        {"x5u": "https://evil.test/cert", "kid": OTHER_EC.kid},
        {"x5c": ["AAAA"], "kid": EC.kid},
        {"kid": EC.kid},
    ],
)
async def test_no_key_is_taken_from_the_token(header: JsonObject) -> None:
    there = bench(EC)
    reason = await there.why(good(header, OTHER_EC))
    known = header.get("kid") in (None, EC.kid)
    expected = "a JWT whose signature is wrong" if known else "a JWT of a key that the issuer does not have"
    assert reason == expected


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        ("../../dev/null", "a JWT of a key that the issuer does not have"),
        ("' OR 1=1 --", "a JWT of a key that the issuer does not have"),
        ("", "a JWT of a key that the issuer does not have"),
        ("k" * 513, "a JWT whose key id is no short text"),
        (7, "a JWT whose key id is no short text"),
        ([EC.kid], "a JWT whose key id is no short text"),
    ],
)
async def test_a_key_id_is_only_ever_compared(kid: Json, reason: str) -> None:
    assert await why(good({"kid": kid})) == reason


async def test_a_token_without_a_key_id_may_be_any_fitting_keys() -> None:
    assert await why(signed({"alg": "ES256"}, claims(ISSUER), EC)) is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"aud": "https://other.test/mcp"}, "a JWT for another audience"),
        ({"aud": None}, "a JWT for another audience"),
        ({"aud": AUDIENCE + "/"}, "a JWT for another audience"),
        ({"aud": AUDIENCE.upper()}, "a JWT for another audience"),
        ({"aud": AUDIENCE + " x"}, "a JWT for another audience"),
        ({"aud": []}, "a JWT for another audience"),
        ({"aud": [AUDIENCE, 7]}, "a JWT for another audience"),
        ({"aud": {AUDIENCE: True}}, "a JWT for another audience"),
        ({"aud": ["x", AUDIENCE]}, None),
        ({"iss": "https://idp.test/"}, "a JWT of another issuer"),
        ({"iss": "https://IDP.test"}, "a JWT of another issuer"),
        ({"iss": [ISSUER]}, "a JWT of another issuer"),
        ({"iss": None}, "a JWT of another issuer"),
        ({"sub": 7}, "a JWT whose subject or id is no text"),
        ({"jti": ["x"]}, "a JWT whose subject or id is no text"),
        ({"sub": None, "jti": None}, None),
        ({"cnf": {"jkt": "x"}}, "a JWT that is bound to a key of its sender"),
        ({"token_use": "id"}, "a JWT that is no access token"),
        ({"typ": "ID"}, "a JWT that is no access token"),
        ({"typ": "Refresh"}, "a JWT that is no access token"),
        ({"events": {}}, "a JWT that is no access token"),
        ({"nonce": "x"}, None),
        ({"scope": 7}, "a JWT whose scopes are no texts"),
        ({"scope": 'a"b'}, "a JWT whose scopes cannot be scopes"),
        ({"scope": "a\r\nb"}, "a JWT whose scopes cannot be scopes"),
    ],
)
async def test_what_a_token_claims(members: JsonObject, reason: str | None) -> None:
    assert await why(good(**members)) == reason


@pytest.mark.parametrize(
    ("typ", "reason"),
    [
        *((typ, None) for typ in (None, "at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt")),
        *(
            (typ, "a JWT of a type that is no access token's")
            for typ in ("dpop+jwt", "logout+jwt", "secevent+jwt", "id+jwt", "", "at+jwt ", 7, ["at+jwt"])
        ),
    ],
)
async def test_types(typ: Json, reason: str | None) -> None:
    assert await why(good({"typ": typ})) == reason


async def test_an_id_token_is_not_taken_for_an_access_token() -> None:
    for token in (good({"typ": None}, nonce="x"), good({"typ": "JWT"}, at_hash="x"), good({"typ": "JWT"}, c_hash="x")):
        assert await why(token) == "a JWT that is an ID token"


@pytest.mark.parametrize("crit", [["exp"], [], ["b64"], None, "exp"])
async def test_critical_headers_are_not_understood(crit: Json) -> None:
    token = good({"crit": crit, "b64": True})
    assert await why(token) == "a JWT with a critical header that is not understood"


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"exp": None}, "a JWT that never expires"),
        ({"exp": NOW - 59}, None),
        ({"exp": NOW - 60}, "a JWT that has expired"),
        ({"exp": NOW + 0.5}, None),
        ({"exp": str(NOW + 60)}, "a JWT whose exp is no time"),
        ({"exp": True}, "a JWT whose exp is no time"),
        ({"exp": -1}, "a JWT whose exp is no time"),
        ({"exp": 10**400}, "a JWT whose exp is no time"),
        ({"exp": 253_402_300_799}, None),
        ({"nbf": NOW + 60}, None),
        ({"nbf": NOW + 61}, "a JWT that does not hold yet"),
        ({"nbf": "soon"}, "a JWT whose nbf is no time"),
        ({"iat": NOW + 60}, None),
        ({"iat": NOW + 61}, "a JWT that was issued in the future"),
        ({"iat": [NOW]}, "a JWT whose iat is no time"),
        ({"iat": None}, None),
    ],
)
async def test_times(members: JsonObject, reason: str | None) -> None:
    there = bench(EC)
    there.now = NOW
    assert await there.why(good(**{"iat": NOW, "exp": NOW + 300, **members})) == reason


def _times(token: str, count: int) -> str:
    return ".".join(token.split(".")[:count])


SHAPES = {
    "a fourth part": lambda token: f"{token}.AA",
    "two parts": lambda token: _times(token, 2),
    "five parts": lambda token: f"{token}.AA.AA",
    "padding": lambda token: f"{token}=",
    "a space": lambda token: f" {token}",
    "a line end": lambda token: f"{token}\n",
    "the other alphabet": lambda token: token.replace("-", "+").replace("_", "/") + "+",
    "an empty header": lambda token: "." + token.partition(".")[2],
}


@pytest.mark.parametrize("changed", SHAPES.values(), ids=SHAPES.keys())
async def test_another_shape(changed: object) -> None:
    assert callable(changed)
    assert await why(changed(good())) == "a JWT that is not three parts of base64url"


async def test_of_the_texts_that_decode_to_the_same_bytes_one_is_taken() -> None:
    token = signed({"alg": "RS256", "kid": RSA.kid}, claims(ISSUER), RSA)
    # 256 bytes leave four bits of the last character to spare
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(token[-1]) ^ 1]
    assert await why(token) is None
    assert await why(token[:-1] + twin) == "a JWT whose signature is not canonical base64url"


JSON_TRICKS = {
    "a key twice": b'{"alg":"none","alg":"ES256"}',
    "no object": b'["ES256"]',
    "UTF-16": '{"alg":"ES256"}'.encode("utf-16"),
    "something after": b'{"alg":"ES256"}x',
    "NaN": b'{"alg":"ES256","x":NaN}',
    "deep": b'{"alg":"ES256","x":' + b"[" * 200 + b"]" * 200 + b"}",
    "no UTF-8": b'{"alg":"ES256","x":"\xff"}',
}


@pytest.mark.parametrize("text", JSON_TRICKS.values(), ids=JSON_TRICKS.keys())
async def test_header_and_claims_are_strict_json(text: bytes) -> None:
    assert await why(f"{b64(text)}.{part(claims(ISSUER))}.AA") == "a JWT whose header is not strict JSON"
    token = signed({"alg": "ES256", "kid": EC.kid}, text, EC)
    assert await why(token) == "a JWT whose payload is not strict JSON"


async def test_a_token_is_bounded() -> None:
    short = good(x="y" * 10_000)
    assert len(short) < compact.MAX_TOKEN
    assert await why(short) is None
    assert await why(good(x="y" * 13_000)) == "a JWT longer than 16 KiB"


async def test_a_signature_that_is_changed_anywhere_is_wrong() -> None:
    token = good()
    head, body, signature = token.split(".")
    elsewhere = part({**claims(ISSUER), "sub": "root"})
    assert await why(f"{head}.{elsewhere}.{signature}") == "a JWT whose signature is wrong"
    for wrong in ("", "AA", b64(bytes(64)), b64(bytes(63)), b64(bytes(1000))):
        assert await why(f"{head}.{body}.{wrong}") == "a JWT whose signature is wrong"


@pytest.mark.parametrize(
    "published",
    [
        public(EC, use="enc"),
        public(EC, alg="ES384"),
        public(EC, alg="ECDH-ES"),
        public(EC, key_ops=["sign"]),
        public(EC, key_ops="verify"),
        public(EC, use=["sig"]),
        public(EC, alg=["ES256"]),
        public(EC, alg={"ES256": 1}),
        public(EC, kty=["EC"]),
        public(EC, x="\ud800"),
        public(EC, x="AAAA"),
        public(EC, crv="P-384"),
        public(EC, kid=7),
        EC.as_dict(private=True),
        {"kty": "oct", "kid": EC.kid, "k": b64(b"k" * 32)},
    ],
)
async def test_keys_for_something_else_broken_or_private_are_not_used(published: JsonObject) -> None:
    there = bench(ED)
    there.published.append({**published, "kid": published.get("kid", EC.kid)})
    assert await there.why(good()) == "a JWT of a key that the issuer does not have"


async def test_a_weak_rsa_key_is_not_used() -> None:
    weak = rsa(1024)
    token = signed({"alg": "RS256", "kid": weak.kid}, claims(ISSUER), RSA)
    assert await bench(weak).why(token) == "a JWT of a key that the issuer does not have"


async def test_two_keys_may_have_one_id_and_many_may_not() -> None:
    there = bench(EC, OTHER_EC)
    for entry in there.published:
        entry["kid"] = "same"
    for key in (EC, OTHER_EC):
        assert await there.why(good({"kid": "same"}, key)) is None
    there = bench(*(ec() for _ in range(4)), EC)
    for entry in there.published:
        entry["kid"] = "same"
    assert await there.why(good({"kid": "same"})) == "a JWT of a key that the issuer does not have"


def test_scopes_are_read_from_either_claim() -> None:
    assert scopes_of({"scope": "a b  c"}) == {"a", "b", "c"}
    assert scopes_of({"scp": ["a", "b"]}) == scopes_of({"scp": "a b"}) == {"a", "b"}
    assert scopes_of({"scope": "a", "scp": "b"}) == {"a"}
    assert scopes_of({}) == scopes_of({"scope": ""}) == frozenset()


def test_the_record_names_a_token_within_bounds() -> None:
    assert credential_id({"iss": "i", "sub": "s", "jti": "j"}) == 'jwt:{"iss":"i","sub":"s","jti":"j"}'
    one, other = (credential_id({"iss": "i", "sub": "s" * 5000 + end}) for end in "ab")
    assert one != other
    assert len(one) < 300


async def test_what_is_refused_tells_the_caller_nothing() -> None:
    there = bench(EC)
    await there.verifier.prepare(good())
    with pytest.raises(Unauthenticated) as caught:
        there.verifier.verify(good(aud="x"))
    assert str(caught.value) == "authentication required"


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
_HEADER = st.dictionaries(st.sampled_from(["typ", "kid", "cty", "jwk", "x5t", "zip", "crit"]), _ANY, max_size=2)
_TIMES = ("exp", "nbf", "iat")
_NAMES = ("iss", "aud", "sub", "jti", "scope", "scp", "cnf", "typ", "token_use", "events", "nonce", "groups", "email")
_CLAIMS = st.dictionaries(st.sampled_from(_TIMES + _NAMES), _ANY, max_size=4)


@law
@given(_HEADER, _CLAIMS)
def test_whatever_is_signed_is_an_identity_or_refused(header: JsonObject, members: JsonObject) -> None:
    there = bench(EC)
    there.ring._keys, there.ring._heard = keys_of({"keys": there.published}), there.now
    people = People({"staff": IdentityBlock(jwt={"groups": "staff"}, name="staff:{claims.email}")})
    token = signed(
        {"alg": "ES256", "kid": EC.kid, **header},
        {**claims(ISSUER), "groups": "staff", "email": "a@x.test", **members},
        EC,
    )
    why = None
    try:
        verified = there.verifier.verify(token)
        identity = people.identity(verified.claims)
    except Unauthenticated as error:
        why = error.why
    if why is not None:
        assert why.startswith("a JWT")
        assert why.isprintable()
    else:
        assert re.fullmatch(r"staff:[A-Za-z0-9][A-Za-z0-9._@+=|~-]*", identity.name)
        assert len(verified.id) < 2000
