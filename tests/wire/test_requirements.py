"""What routes require of sessions, on the wire: scopes, roles and groups of conditions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import SIGNING_SECRET, Start, json_answer, token_of
from tests.support.asking import question, request
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, ask, fields_by_name, status

CLAIMS = {
    "scope": "orders:read orders:write",
    "permissions": "stock:read",
    "realm_access": {"roles": ["clerk"]},
    "tenant": "blue",
}
# By path: what the route requires, and whether the session above has it.
REQUIRED: dict[str, tuple[dict[str, Any], bool]] = {
    "/scopes": ({"scopes": ["orders:read", "orders:write"]}, True),
    "/one-scope": ({"scopes": "stock:read"}, True),
    "/any-scope": ({"scopes": {"any": ["orders:read", "orders:none"]}}, True),
    "/roles": ({"roles": ["admin", "clerk"]}, True),
    "/claims": ({"claims": {"tenant": "blue"}}, True),
    "/any": ({"any": [{"roles": "admin"}, {"scopes": "orders:read", "roles": "clerk"}]}, True),
    "/all": ({"all": [{"any": [{"roles": "clerk"}]}, {"claims": {"tenant": "blue"}}]}, True),
    "/lacks-scope": ({"scopes": ["orders:read", "orders:delete"], "roles": "clerk"}, False),
    "/lacks-role": ({"roles": {"all": ["clerk", "admin"]}}, False),
    "/lacks-both": ({"scopes": "orders:delete", "roles": "admin"}, False),
    "/lacks-group": ({"roles": "clerk", "any": [{"roles": "admin"}, {"scopes": "a"}]}, False),
}


def accounts(visit: Visit) -> None:
    for _ in visit.requests():
        visit.send(json_answer("200 OK", {"token": token_of("alice", **CLAIMS)}))


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream) -> Iterator[Gateway]:
    with Upstream(accounts) as backend:
        rules: list[dict[str, Any]] = [
            {"path": path, "upstream": "shop", "require": required, "accept_jwt": "verify"}
            for path, (required, _) in REQUIRED.items()
        ]
        rules += [
            {"path": "/docs/*", "upstream": "shop", "require": {"scopes": "a"}},
            {"path": "/docs/open/*", "upstream": "shop", "require": {"scopes": "orders:read"}},
        ]
        running = start(
            upstreams={"shop": upstream.url, "accounts": backend.url},
            login={"kind": "backend", "path": "/login", "upstream": "accounts"},
            jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
            require_from={"scopes": ["scope", "permissions"]},
            verify={},
            cors={"origins": "https://app.example"},
            routes=rules,
        )
        with Client(running.port) as client:
            client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            running.config["key"] = json.loads(client.answer()[2])["token"]
        yield running


@pytest.mark.parametrize("way", ["key", "jwt"])
def test_routes_require_scopes_roles_and_groups(gate: Gateway, shop: Upstream, way: str) -> None:
    """Of a session and of a caller with a JWT; the verify endpoint says the same."""
    credential = gate.config["key"] if way == "key" else token_of("robot", **CLAIMS)
    for ask_about in (request, question):
        found = {path: status(ask(gate.port, ask_about(path, credential))) for path in REQUIRED}
        assert found == {path: 200 if passes else 403 for path, (_, passes) in REQUIRED.items()}


def test_missing_scopes_are_named(gate: Gateway) -> None:
    """RFC 6750 §3.1: all that the route needs; nothing is said where another thing is missing."""
    answer = ask(gate.port, request("/lacks-scope", gate.config["key"]))
    assert fields_by_name(answer)["WWW-Authenticate"] == (
        'Bearer realm="latchkey", error="insufficient_scope", scope="orders:read orders:delete"'
    )
    assert b'"reason": "insufficient_scope"' in answer
    for path in ("/lacks-role", "/lacks-both", "/lacks-group"):
        answer = ask(gate.port, request(path, gate.config["key"]))
        assert b"WWW-Authenticate" not in answer, path
        assert b'"reason": "forbidden"' in answer, path


def test_a_page_of_another_origin_may_read_the_challenge(gate: Gateway) -> None:
    """It says what the token lacks; scripts see no other field than those that are exposed."""
    key = str(gate.config["key"])
    answer = ask(gate.port, request("/lacks-scope", key, "Origin: https://app.example"))
    told = fields_by_name(answer)
    assert status(answer) == 403
    assert told["Access-Control-Allow-Origin"] == "https://app.example"
    assert told["Access-Control-Expose-Headers"] == "WWW-Authenticate"


def test_another_spelling_meets_the_stricter_route(gate: Gateway, shop: Upstream) -> None:
    """Neither of two routes with different scopes is the stricter one: such a path is 400."""
    key = gate.config["key"]
    assert status(ask(gate.port, request("/docs/open/a", key))) == 200
    assert status(ask(gate.port, request("/docs/OPEN/a", key))) == 400
