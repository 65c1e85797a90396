"""core/logins/pending: which replies announce a second step, and which may pass whole."""

import json
from typing import Any

import pytest

from gateway.core.logins import pending
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import JsonPointer
from tests.conftest import token_of

JSON = [("Content-Type", "application/json")]
PLACE = JsonPointer("/mfa_required")
GRAPHQL = JsonPointer("/data/login/mfaRequired")


def reply(data: Any, status: int = 200, *cookies: str) -> Reply:
    fields = (*JSON, *(("Set-Cookie", cookie) for cookie in cookies))
    return Reply(status, fields, json.dumps(data).encode())


@pytest.mark.parametrize("status", [200, 202, 302, 401, 403])
def test_a_value_announces_a_step(status: int) -> None:
    assert pending.is_pending(reply({"mfa_required": "totp"}, status), PLACE)
    assert not pending.is_pending(reply({"mfa_required": False}, status), PLACE)
    assert not pending.is_pending(reply({"mfa": {"mfa_required": True}}, status), PLACE)


def test_a_broken_backend_announces_nothing() -> None:
    assert not pending.is_pending(reply({"mfa_required": True}, 500), PLACE)


@pytest.mark.parametrize(
    ("body", "may_be"),
    [
        (b'{"username": "mfa_required", "password": "x"}', False),
        (b'{"mfa_required" : 1}', True),
        (b'{"profile": "{\\"mfa_required\\": 1}"}', True),
        (b"a=1&mfa_required=1", True),
        (b"note=about+mfa_required", False),
    ],
)
def test_the_client_may_have_written_it(body: bytes, may_be: bool) -> None:
    """As a member or a field, and not as a value."""
    assert pending.is_set_by_client(PLACE, EchoDetector("", JSON, body)) is may_be


@pytest.mark.parametrize(
    ("query", "may_be"),
    [
        ("{ login { mfaRequired mfaToken } }", False),
        ("{ login { mfaRequired: name } }", True),
        ("{ login: profile { mfaRequired } }", True),
        ("{ login(mfaRequired: true) { mfaRequired } }", True),
    ],
)
def test_a_graphql_client_may_have_named_it(query: str, may_be: bool) -> None:
    sent = EchoDetector("", JSON, json.dumps({"query": query}).encode())
    assert pending.is_set_by_client(GRAPHQL, sent) is may_be


@pytest.mark.parametrize(
    ("beside", "cookies", "holds"),
    [
        ({}, [], False),
        ({"shop": {"name": "tea"}}, [], False),
        ({"guest": {"token": "opaque"}}, [], True),
        ({"guest": {"note": token_of("guest")}}, [], True),
        ({"renew": {"refreshToken": "opaque"}}, [], True),
        ({}, [f"jwt={token_of('guest')}"], True),
        ({}, ["theme=dark"], False),
    ],
)
def test_other_parts_of_a_graphql_answer(
    beside: dict[str, Any], cookies: list[str], holds: bool
) -> None:
    """Only the part that announces the step may hold tokens."""
    data = {"login": {"mfaRequired": True, "mfaToken": token_of("alice")}, **beside}
    assert pending.holds_other_tokens(reply({"data": data}, 200, *cookies), GRAPHQL) is holds
    assert not pending.holds_other_tokens(reply(data, 200, *cookies), PLACE)


def test_tokens_are_found_wherever_they_stand() -> None:
    one, two, three = (token_of(name) for name in ("one", "two", "three"))
    found = pending.tokens(reply({"a": [one], "b": f"x {two}"}, 200, f"c={three}"), 9)
    assert set(found) == {one, two, three}
    assert len(pending.tokens(reply([one] * 20), 9)) == 9
