"""Claims on the wire: routes that require them, and fields that show them, for every caller."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import SIGNING_SECRET, Start, json_answer, token_of
from tests.support.asking import question, request
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, ask, fields_by_name, status

CLAIMS = {
    "realm_access": {"roles": ["staff", "auditor"]},
    "scope": "orders:read orders:write",
    "level": 3,
    "is_staff": True,
    "name": "김민",
    "groups": ["a,b", "c"],
    "org": {"id": 7},
}
IDENTITY = {
    "X-User-Id": "sub",
    "X-Roles": "/realm_access/roles",
    "X-Scope": "scope",
    "X-Staff": "is_staff",
    "X-Org": "org.id",
    "X-Name": {"claim": "name", "encode": "percent"},
    "X-Raw-Name": {"claim": "name", "encode": "utf8"},
    "X-Plain-Name": "name",
    "X-Groups": {"claim": "groups", "join": "json"},
    "X-Joined": "groups",
    "X-Session-Handle": {"session": "handle"},
}
# By path: what the route requires.
REQUIRED = {
    "/all": {"/realm_access/roles": {"all": ["staff", "auditor"]}},
    "/any": {"realm_access.roles": {"any": ["owner", "auditor"]}},
    "/both": {"/realm_access/roles": {"any": ["owner", "staff"], "all": ["auditor"]}},
    "/read": {"scope": "orders:read"},
    "/levels": {"level": [3.0, 4], "is_staff": True},
    "/not-all": {"/realm_access/roles": {"all": ["staff", "owner"]}},
    "/not-word": {"scope": "orders"},
    "/not-type": {"level": "3"},
    "/not-role": {"/realm_access/roles/admin": True},
}
RAW = "김민".encode().decode("latin-1")  # as `fields_by_name` reads it
PASS = ["/all", "/any", "/both", "/read", "/levels"]


def accounts(visit: Visit) -> None:
    """Gives a token with the claims that the test wants."""
    for _ in visit.requests():
        visit.send(json_answer("200 OK", {"token": token_of("alice", **CLAIMS)}))


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream) -> Iterator[Gateway]:
    with Upstream(accounts) as backend:
        rules: list[dict[str, Any]] = [
            {"path": path, "upstream": "shop", "claims": claims, "accept_jwt": "verify"}
            for path, claims in REQUIRED.items()
        ]
        running = start(
            upstreams={"shop": upstream.url, "accounts": backend.url},
            login={"kind": "backend", "path": "/login", "upstream": "accounts"},
            jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
            identity=IDENTITY,
            verify={},
            routes=rules,
        )
        running.config["key"] = key_of(running)
        yield running


def key_of(gate: Gateway) -> str:
    with Client(gate.port) as client:
        client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        answer = client.answer()[2]
    return str(json.loads(answer)["token"])


def caller(gate: Gateway, way: str) -> str:
    """The credential of a session, or of a caller with a JWT."""
    return str(gate.config["key"]) if way == "key" else token_of("robot", **CLAIMS)


@pytest.mark.parametrize("way", ["key", "jwt"])
def test_routes_require_claims(gate: Gateway, shop: Upstream, way: str) -> None:
    """Pointers, words of a scope, `any` and `all`, and types; the verify endpoint says the same."""
    credential = caller(gate, way)
    for ask_about in (request, question):
        found = {path: status(ask(gate.port, ask_about(path, credential))) for path in REQUIRED}
        assert found == {path: 200 if path in PASS else 403 for path in REQUIRED}


@pytest.mark.parametrize("way", ["key", "jwt"])
def test_fields_show_claims(gate: Gateway, shop: Upstream, way: str) -> None:
    """Lists are joined, other letters encoded; what no field can hold is left out."""
    assert status(ask(gate.port, request("/all", caller(gate, way)))) == 200
    shown = fields_by_name(shop.got)
    assert shown["X-Roles"] == "staff,auditor"
    assert shown["X-Scope"] == "orders:read orders:write"
    assert (shown["X-Staff"], shown["X-Org"]) == ("true", "7")
    assert shown["X-Name"] == "%EA%B9%80%EB%AF%BC"
    assert shown["X-Raw-Name"] == RAW
    assert shown["X-Groups"] == '["a,b","c"]'
    assert "X-Plain-Name" not in shown
    assert "X-Joined" not in shown
    assert ("X-Session-Handle" in shown) == (way == "key")


def test_the_verify_endpoint_shows_the_same(gate: Gateway) -> None:
    """Byte for byte, also in other alphabets; a field that is left out is named empty."""
    answer = fields_by_name(ask(gate.port, question("/all", caller(gate, "key"))))
    assert answer["X-Raw-Name"] == RAW
    assert answer["X-Roles"] == "staff,auditor"
    assert answer["X-Plain-Name"] == ""


def test_the_log_says_once_what_is_left_out(gate: Gateway, shop: Upstream) -> None:
    """And which setting helps, and not what stood there."""
    for _ in range(3):
        assert status(ask(gate.port, request("/all", key_of(gate)))) == 200
    log = gate.log.read_text()
    assert log.count("X-Plain-Name is left out") == 1
    assert log.count("X-Joined is left out") == 1
    assert "set encode" in log
    assert "김" not in log


def test_a_client_cannot_say_a_handle(gate: Gateway, shop: Upstream) -> None:
    """It is a field of the gateway, in any spelling; and the list of sessions has that handle."""
    key = caller(gate, "key")
    lies = ("X-Session-Handle: forged", "X_Session_Handle: forged")
    assert status(ask(gate.port, request("/all", key, *lies))) == 200
    assert b"forged" not in shop.got
    handle = fields_by_name(shop.got)["X-Session-Handle"]
    listed = json.loads(ask(gate.port, request("/sessions", key)).partition(b"\r\n\r\n")[2])
    assert [item["handle"] for item in listed["sessions"] if item["current"]] == [handle]
