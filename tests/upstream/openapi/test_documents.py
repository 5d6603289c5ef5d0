"""Documents that are refused where the configuration is read, and operations that are left out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from shim.config.loader import load
from shim.errors import ConfigurationError
from shim.upstream.arguments import compiled
from shim.upstream.openapi.config import OpenApiBlock
from shim.upstream.openapi.document import Unreadable, Unsuited, read
from shim.upstream.openapi.offering import Offering, offering
from tests.config.given import faults

HEAD = 'openapi: 3.1.0\ninfo: {title: t, version: "1"}\npaths:\n'
ONE = "  /a: {get: {operationId: a, tags: [t]}}\n"
CONFIG = """version: 1
upstreams:
  api:
    openapi: api.yaml
    base: https://api.example.com
    operations: ["GET /**"]
"""


def wrong(tmp_path: Path, document: str, config: str = CONFIG) -> str:
    """The one fault of a configuration with this document."""
    (tmp_path / "api.yaml").write_text(document)
    (tmp_path / "shim.yaml").write_text(config)
    (tmp_path / "shim.yaml").chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "shim.yaml", {})
    (problem,) = caught.value.problems
    return f"{Path(problem.file).name}:{problem.line}: {problem.message}"


DEEP = HEAD + "  /a: {get: {x: " + "[" * 200 + "]" * 200 + "}}\n"
BOMB = (
    HEAD
    + ONE
    + "x-a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    + "".join(
        f"x-{new}: &{new} [*{old},*{old},*{old},*{old},*{old},*{old},*{old},*{old}]\n"
        for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
)
OUTSIDE = HEAD + "  /a:\n    get:\n      parameters:\n      - $ref: other.yaml#/p\n"


@pytest.mark.parametrize(
    ("document", "line", "why"),
    [
        ("swagger: '2.0'\npaths: {}\n", "api.yaml:1", "swagger2openapi"),
        ("swagger: '2.0'\npaths: {}\n", "api.yaml:1", "converter.swagger.io"),
        ("info: {}\nopenapi: 4.0.0\npaths: {}\n", "api.yaml:2", "only OpenAPI 3.0 and 3.1"),
        ("- a\n", "api.yaml:1", "no mapping"),
        ("{", "api.yaml:1", "cannot be read"),
        ('{"openapi": "3.0.0",\n"paths": {,}}', "api.yaml:2", "no JSON"),
        ("openapi: 3.0.0\n", "api.yaml:1", "no `paths`"),
        (HEAD + ONE + ONE, "api.yaml:5", "a second time"),
        (DEEP, "api.yaml:4", "nesting is deeper"),
        (json.dumps({"openapi": "3.0.0", "paths": json.loads("[" * 200 + "]" * 200)}), "shim.yaml:4", "nested deeper"),
        (BOMB, "api.yaml:", "aliases repeat"),
        (OUTSIDE, "api.yaml:7", "nothing is fetched"),
        (HEAD + "  /a: {post: {}}\n", "shim.yaml:6", "no operation is chosen; the document has 1, such as POST /a"),
        (HEAD + "  /a: {get: {parameters: [{}]}}\n", "shim.yaml:6", "every operation that is chosen is broken; GET /a"),
        (" " * (33 * 2**20), "shim.yaml:4", "larger than 32 MiB"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_a_document_of_which_nothing_can_be_offered(tmp_path: Path, document: str, line: str, why: str) -> None:
    said = wrong(tmp_path, document)
    assert said.startswith(line), said
    assert why in said


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("https://api", "http://api", 5, "`base` is not the address"),
        ("https://api.example.com", "https://api.example.com/?a=b", 5, "`base` is not the address"),
        ("https://api.example.com", "https://u:p@api.example.com/", 5, "`base` is not the address"),
        ("    base: https://api.example.com\n", "", 4, "`openapi` needs a `base`"),
        ("openapi: api.yaml", "openapi: https://elsewhere.example.com/x", 4, "not below https://api.example.com"),
        ("openapi: api.yaml", "openapi: https://api.example.com/../x", 4, "not below https://api.example.com"),
        ("openapi: api.yaml", "openapi: none.yaml", 4, "cannot be read (No such file"),
        ('["GET /**"]', "[]", 6, "`operations` is missing"),
        ('["GET /**"]', '["!GET /**"]', 6, "only takes away"),
        ('["GET /**"]', '["get /**"]', 6, "methods in capitals"),
        ('["GET /**"]\n', '["GET /**"]\n    slashes: [b]\n', 7, "no path has a parameter 'b'"),
        ('["GET /**"]\n', '["GET /**"]\n    fixed: {b: 1}\n', 7, "no operation has an argument 'b'"),
        ('["GET /**"]\n', '["GET /**"]\n    auth: {key: x}\n', 7, "has no scheme 'key'"),
        ('["GET /**"]\n', '["GET /**"]\n    auth: {basic: x}\n', 7, "`basic` has a user and a password"),
        ('["GET /**"]\n', '["GET /**"]\n    auth: {header: {Host: x}}\n', 7, "HTTP itself needs"),
        ('["GET /**"]\n', '["GET /**"]\n    headers: {a: b}\n', 7, "`headers` belongs to an upstream with `url`"),
    ],
)
def test_what_is_asked_of_a_document_and_is_not_there(tmp_path: Path, old: str, new: str, line: int, why: str) -> None:
    assert old in CONFIG
    said = wrong(tmp_path, HEAD + ONE, CONFIG.replace(old, new))
    assert said.startswith(f"shim.yaml:{line}: "), said
    assert why in said


def test_what_is_broken_is_left_out_and_said_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(
        HEAD + ONE + "  /b: {get: {parameters: [{$ref: '#/none'}]}}\n  /../c: {get: {}}\n  /d: {get: {parameters: q}}\n"
    )
    (tmp_path / "shim.yaml").write_text(CONFIG.replace('**"]', '**", "tag:none"]'))
    warnings = [problem.message for problem in load(tmp_path / "shim.yaml", {}).warnings]
    assert "left out GET /b: #/none leads nowhere" in warnings
    assert "left out /../c: its path has dot segments" in warnings
    assert "left out GET /d: its parameters are no list" in warnings
    assert "no operation fits 'tag:none'" in warnings


def offered(paths: dict[str, Any], *, version: str = "3.1.0", **block: Any) -> Offering:
    document = {"openapi": version, "paths": paths, **block.pop("more", {})}
    given = {"openapi": "x", "base": "https://x", "operations": ("* /**",), **block}
    return offering(read(json.dumps(document).encode()), OpenApiBlock.model_validate(given))


def test_names() -> None:
    ids = {
        "/items/{item_id}": {"get": {"operationId": "read_item_items__item_id__get"}},
        "/repos": {"get": {"operationId": "repos/list"}, "post": {}},
        "/one": {"get": {"operationId": "same"}, "put": {"operationId": "same"}},
        "/long": {"get": {"operationId": "x" * 80}},
        "/odd": {"get": {"operationId": "a b:c/ü"}},
    }
    names = list(offered(ids).tools)
    assert names[:3] == ["read_item", "repos_list", "post_repos"]
    assert [name[:5] for name in names[3:5]] == ["same_", "same_"]
    assert len(set(names)) == len(names)
    assert [len(name) for name in names[3:6]] == [13, 13, 64]
    assert names[6] == "a_b_c"
    # A name does not hang on what stands before it.
    turned = offered(dict(reversed(list(ids.items()))))
    assert set(turned.tools) == set(names)


def test_a_tag_of_several_words_is_chosen_and_taken_away() -> None:
    paths = {"/a": {"get": {"tags": ["Git LFS"]}}, "/b": {"get": {"tags": ["Git data"]}}, "/c": {"get": {}}}
    assert list(offered(paths, operations=("tag:Git LFS",)).tools) == ["get_a"]
    assert list(offered(paths, operations=("* /**", "!tag:Git *")).tools) == ["get_c"]


def test_schemas_of_30_say_the_same_in_json_schema() -> None:
    body = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string", "nullable": True, "enum": ["a"]},
            "secret": {"type": "string", "writeOnly": True},
            "size": {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            "next": {"$ref": "#/components/schemas/Node"},
            "other": {"allOf": [{"$ref": "#/components/schemas/Node"}], "nullable": True},
            "pet": {
                "oneOf": [{"properties": {"kind": {}, "claws": {"type": "integer"}}}, {"required": ["kind"]}],
                "discriminator": {"propertyName": "kind"},
            },
            "odd": {"type": "int", "pattern": "(", "maxLength": "9", "enum": []},
        },
    }
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    made = offered(
        {"/a": {"post": {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}}},
        version="3.0.3",
        more={"components": {"schemas": {"Node": node}}},
    )
    schema = made.tools["post_a"].definition["inputSchema"]
    assert schema["required"] == ["body"]
    assert schema["$defs"] == {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}}
    assert "id" not in schema["properties"]["body"]["properties"]
    assert schema["properties"]["body"]["properties"]["secret"] == {"type": "string", "writeOnly": True}
    judge = compiled(schema)
    for value, fits in (
        ({"name": None}, True),
        ({"name": "a", "size": 2}, True),
        ({"name": "a", "size": 1}, False),
        ({"name": "b"}, False),
        ({"id": 1}, False),
        ({"name": "a", "other": None, "next": {"next": {"next": {}}}}, True),
        ({"name": "a", "next": {"next": 1}}, False),
        ({"name": "a", "pet": {"kind": "b", "claws": 1}}, True),
        ({"name": "a", "pet": {"claws": "no"}}, False),
        ({"name": "a", "odd": ["anything"]}, True),
    ):
        assert judge.is_valid({"body": value}) is fits, value
    assert judge.is_valid({"body": {"name": "a"}, "more": 1}) is False


def test_a_member_in_an_encoding_of_the_service_is_no_part_of_plain_text() -> None:
    members = {"a": {"contentEncoding": "base64"}, "b": {"contentEncoding": "base32", "contentMediaType": "image/png"}}
    content = {"multipart/form-data": {"schema": {"properties": members}, "encoding": {"c": {"contentType": "a/c"}}}}
    made = offered({"/a": {"post": {"requestBody": {"content": content}}}})
    sent = made.request("post_a", {"body": {"a": "AA==", "b": "AAAA", "c": "c"}}, {})
    types = re.findall(rb"Content-Type: (.*)\r\n\r\n(.*)\r\n", sent.content or b"")
    assert types == [(b"application/octet-stream", b"AA=="), (b"image/png", b"AAAA"), (b"a/c", b"c")]


def test_what_is_fixed_is_not_shown_and_always_sent() -> None:
    parameters = [
        {"name": "mount", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "id", "in": "query"},
        {"name": "id", "in": "header"},
        {"name": "Host", "in": "header"},
    ]
    paths = {"/{mount}/data/{path}": {"get": {"operationId": "read", "parameters": parameters}}}
    made = offered(paths, fixed={"mount": "secret"}, slashes=["path"])
    assert list(made.tools["read"].definition["inputSchema"]["properties"]) == ["path", "id_query", "id_header"]
    request = made.request("read", {"path": "a/b", "id_query": 1, "id_header": "x"}, made.fixed)
    assert (request.path, request.query, request.headers) == ("/secret/data/a/b", (("id", "1"),), (("id", "x"),))
    # What is put in by a pattern on tools counts like what a caller sends.
    assert made.misfit("read", {}, {"path": "\0secret\0"}) is None
    assert "`path` is missing" in (made.misfit("read", {}) or "")
    # Neither the operator's value nor what it is called reaches a caller.
    assert made.misfit("read", {"path": "../x"}) == (
        "These arguments cannot be sent: `path` would make a segment of dots, which leads elsewhere."
    )


def test_two_operations_that_would_have_one_name_are_refused_at_the_line_that_chooses_them(tmp_path: Path) -> None:
    # The digits that tell two of one name apart, as an id of a third.
    twin = f"same_{hashlib.sha256(b'GET /one').hexdigest()[:8]}"
    ids = {"/one": {"get": "same", "put": "same"}, "/two": {"get": twin}}
    paths = {path: {method: {"operationId": name} for method, name in of.items()} for path, of in ids.items()}
    said = wrong(tmp_path, json.dumps({"openapi": "3.1.0", "paths": paths}))
    assert said == f"shim.yaml:6: two operations would be the tool {twin}: GET /one and GET /two; take one away"


def test_what_a_service_answers_is_not_promised() -> None:
    answer = {"description": "x", "content": {"application/json": {"schema": {"type": "integer"}}}}
    made = offered({"/a": {"get": {"operationId": "a", "responses": {"200": answer}}}})
    # Services break their own schemas: clients would refuse what they say.
    assert "outputSchema" not in made.tools["a"].definition


def test_what_is_fixed_and_cannot_be_sent_is_refused_at_its_line(tmp_path: Path) -> None:
    said = wrong(
        tmp_path,
        HEAD + "  /a/{b}: {get: {parameters: [{name: b, in: path, required: true, schema: {type: string}}]}}\n",
        CONFIG + "    slashes: [b]\n    fixed: {b: ../c}\n",
    )
    assert said == (
        "shim.yaml:8: what is fixed as 'b' cannot be sent: it would make a segment of dots, which leads elsewhere"
    )


def test_a_credential_is_no_argument_and_no_key_of_an_object_can_be_one() -> None:
    schemes = {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "apiKey"}}}
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    parameters = [
        {"name": "apiKey", "in": "query"},
        {"name": "filter", "in": "query", "schema": free},
        {"name": "x", "in": "query"},
    ]
    made = offered(
        {"/a": {"get": {"operationId": "a", "parameters": parameters}}},
        auth={"key": "k&1"},
        more={"components": schemes},
    )
    assert list(made.tools["a"].definition["inputSchema"]["properties"]) == ["filter", "x"]
    assert made.credentials.filled({}).query == (("apiKey", "k%261"),)
    assert made.misfit("a", {"filter": {"free": "b"}}) is None
    for key in ("apiKey", "x"):
        assert "would be another parameter" in (made.misfit("a", {"filter": {key: "b"}}) or "")


def test_nor_where_the_document_does_not_name_it_as_a_parameter() -> None:
    schemes = {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "apiKey"}}}
    parameters = [{"name": "filter", "in": "query", "schema": {"type": "object"}}]
    made = offered(
        {"/a": {"get": {"operationId": "a", "parameters": parameters}}},
        auth={"key": "k"},
        more={"components": schemes},
    )
    for key in ("apiKey", "APIKEY", "apiKey[x]"):
        assert "would be another parameter" in (made.misfit("a", {"filter": {key: "b"}}) or ""), key


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"base": "https://y"}, True),
        ({"paths": {"/b": {"get": {"operationId": "a"}}}}, True),
        ({"paths": {"/a": {"get": {"operationId": "a", "security": [{"key": []}]}}}}, True),
        ({"paths": {"/a": {"get": {"operationId": "a", "responses": {"200": {"description": "fine"}}}}}}, False),
    ],
)
def test_a_pin_is_over_what_a_definition_does_not_show(change: dict[str, Any], differs: bool) -> None:
    plain = {"paths": {"/a": {"get": {"operationId": "a"}}}, "base": "https://x"}
    before, after = (offered(**one).tools["a"].definition for one in (plain, {**plain, **change}))
    shown = {"_meta", "description"}
    assert {k: v for k, v in before.items() if k not in shown} == {k: v for k, v in after.items() if k not in shown}
    assert (before["_meta"] != after["_meta"]) is differs


def test_faults_of_the_block_stand_at_their_line(tmp_path: Path) -> None:
    text = CONFIG.replace("api.yaml", "'http://127.0.0.1:1/x'").replace("https://api.example.com", "http://127.0.0.1:1")
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        ("{ca: none.pem}", "shim.yaml:7: there is no file"),
        ("{cert: api.yaml, key: api.yaml}", "shim.yaml:7: group or others can read"),
        ("{key: api.yaml}", "a key without a cert"),
    ],
)
def test_its_certificates_are_looked_at_like_those_of_any_upstream(tmp_path: Path, tls: str, why: str) -> None:
    (tmp_path / "api.yaml").touch()
    (tmp_path / "api.yaml").chmod(0o644)
    assert why in wrong(tmp_path, HEAD + ONE, CONFIG.replace('["GET /**"]\n', f'["GET /**"]\n    tls: {tls}\n'))


def test_a_credential_that_stands_in_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(HEAD + ONE)
    config = tmp_path / "shim.yaml"
    config.write_text(CONFIG + "    auth: {basic: {user: u, password: literal}, header: {X-Any: literal}}\n")
    config.chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        load(config, {})
    said = [f"{problem.line}: {problem.message}" for problem in caught.value.problems]
    assert [one.partition(",")[0] for one in said] == ["7: password is a secret", "7: X-Any is a secret"]
    config.chmod(0o600)
    assert load(config, {}).upstreams["api"].openapi == str(tmp_path / "api.yaml")


def test_a_document_that_is_made_to_cost_much_costs_little() -> None:
    everything = {"$ref": "#/components/schemas/All"}
    schemas: dict[str, Any] = {
        "All": {
            "allOf": [everything] * 50,
            "properties": {f"p{n}": {"$ref": f"#/components/schemas/{n}"} for n in range(200)},
        },
        **{str(n): {"description": "x" * 1000} for n in range(200)},
    }
    body = {"content": {"multipart/form-data": {"schema": everything}}}
    paths = {f"/{n}": {"post": {"requestBody": body}} for n in range(500)}
    began = time.process_time()
    with pytest.raises(Unsuited, match="choose fewer"):
        offered(paths, more={"components": {"schemas": schemas}})
    assert len(offered({"/a": paths["/1"]}, more={"components": {"schemas": schemas}}).tools) == 1
    with pytest.raises(Unreadable, match="more than 4000000 values"):
        read(b'{"openapi": "3.0.0", "paths": {}, "x": [' + b"[]," * 4_000_001 + b"1]}")
    assert time.process_time() - began < 5


def test_what_is_broken_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shim.upstream.openapi.offering._PATIENCE", 0.2)
    schema = {"properties": {**{f"p{n}": {"type": "string"} for n in range(5000)}, "z": "no schema"}}
    bodies = {"all": {"content": {"application/json": {"schema": schema}}}}
    paths = {f"/{n}": {"post": {"requestBody": {"$ref": "#/components/requestBodies/all"}}} for n in range(500)}
    began = time.process_time()
    with pytest.raises(Unsuited, match="take too long to be read"):
        offered({**paths, "/fine": {"get": {}}}, more={"components": {"requestBodies": bodies}})
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection"])
def test_a_scheme_of_a_document_is_no_header_that_http_needs(name: str) -> None:
    schemes = {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": name}}}
    with pytest.raises(Unsuited, match="no name that a header can have"):
        offered({"/a": {"get": {}}}, auth={"key": "k"}, more={"components": schemes})


def test_a_pipe_that_nobody_writes_to_is_no_document(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert faults(tmp_path, CONFIG.replace("api.yaml", "pipe"))[0].endswith("cannot be read (It is no file)")


def test_a_header_that_is_fixed_is_no_argument_in_another_case() -> None:
    item = {
        "parameters": [{"name": "x-tenant", "in": "header"}],
        "get": {"operationId": "a", "parameters": [{"name": "X-Tenant", "in": "header"}]},
    }
    tool = offered({"/a": item}, fixed={"X-Tenant": "ours"}).tools["a"]
    assert tool.definition["inputSchema"]["properties"] == {}


def test_what_the_configuration_needs_of_a_broken_part_is_refused() -> None:
    nowhere = {"$ref": "#/components/gone"}
    schemes = {"components": {"securitySchemes": {"key": nowhere, "token": {"type": "http", "scheme": "bearer"}}}}
    paths = {"/x": {"get": {"parameters": [{"name": "q", "in": "query", "schema": nowhere}]}}, "/y": {"get": {}}}
    with pytest.raises(Unsuited, match="the scheme 'key' cannot be read"):
        offered(paths, more=schemes, auth={"key": "v"})
    with pytest.raises(Unsuited, match="what is fixed as 'q' cannot be judged by GET /x"):
        offered(paths, fixed={"q": "v"})
    # What nobody needs may be broken.
    assert len(offered({"/y": {"get": {}}}, more=schemes, auth={"token": "v"}).tools) == 1
