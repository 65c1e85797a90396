"""Keys in the shape of a JWT: what stands before the key, and what is believed of it."""

import base64
import json
from typing import Any

import pytest

from gateway.core.sessions import jwt_shape, keys, shown_claims
from gateway.core.sessions.keys import bare, new_key, session_ids
from gateway.core.sessions.session import Session, Token
from gateway.core.tokens import jwt_text
from tests.conftest import token_of

KEY = new_key(bytes(range(32)))
NOW = 1_700_000_000.5


def session(**claims: object) -> Session:
    return Session("id", "staff:7", Token(token_of("7", **claims).encode()), "/login", NOW + 3600)


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The header, the payload and the third part of a JWT, as `jwt-decode` reads them."""
    header, payload, third = text.split(".")
    return _json(header), _json(payload), third


def _json(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_payload_has_the_chosen_claims_alone() -> None:
    """As the backend wrote them, and those that the gateway says: `exp` is the session's end."""
    known = session(name="앨리스", roles=["admin"], jti="secret", exp=1, iat=2)
    text, left_out = jwt_shape.spelled(KEY, known, ("sub", "name", "roles", "none"), NOW)
    _, payload, third = parts(text)
    assert payload == {
        "sub": "7",
        "name": "앨리스",
        "roles": ["admin"],
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    assert third == KEY.reveal()
    assert left_out == []


def test_no_verifier_takes_it_for_a_token() -> None:
    """Its algorithm is none that exists, and not `none`; the backend's signature is not in it."""
    text, _ = jwt_shape.spelled(KEY, session(), ("sub",), NOW)
    assert parts(text)[0]["alg"] == "latchkey"
    assert session().token.reveal().rpartition(".")[2] not in text


def test_a_token_without_a_subject_gets_the_sessions() -> None:
    token = Token(b".".join([b"e30", base64.urlsafe_b64encode(b'{"uid": 7}').rstrip(b"="), b"x"]))
    known = Session("id", "7", token, "/login", NOW)
    text, _ = jwt_shape.spelled(KEY, known, ("sub", "uid"), NOW)
    assert (parts(text)[1]["sub"], parts(text)[1]["uid"]) == ("7", 7)


def test_a_cookie_can_hold_it() -> None:
    """The claims that come last in the list are left out, until it fits; the key never is."""
    known = session(name="x" * 2000, roles=["y" * 2000])
    text, left_out = jwt_shape.spelled(KEY, known, ("sub", "name", "roles"), NOW)
    assert len(text) <= jwt_shape.MAX_BYTES
    assert left_out == ["roles"]
    assert parts(text)[1]["name"] == "x" * 2000
    text, left_out = jwt_shape.spelled(KEY, session(name="x" * 9000), ("name", "sub"), NOW)
    assert left_out == ["sub", "name"]
    assert parts(text)[1].keys() == {"iat", "exp"}


@pytest.mark.parametrize("before", ["eyJhIjoxfQ.e30", "x.y", "-._", "a.lk-_"])
def test_the_key_alone_counts(before: str) -> None:
    """Whatever stands before it, in the shape of a JWT, makes no other key of it."""
    text = f"{before}.{KEY.reveal()}".encode()
    assert bare(text) == KEY.raw
    assert session_ids([bare(text), KEY.raw]) == session_ids([KEY.raw])


@pytest.mark.parametrize(
    "text",
    ["{0}", ".{0}", "a.{0}", ".b.{0}", "a..{0}", "a.b.c.{0}", "a.b.{0}.c", "a b.c.{0}", "a.b.{0}\n",
     "{0}.a.b", "{0}.b.{0}", "a.{0}.{0}", "a.{0}.b", "a/.b.{0}", "a.b.{0}x", "a.b.x{0}"],
)  # fmt: skip
def test_any_other_text_is_left_as_it_is(text: str) -> None:
    given = text.format(KEY.reveal()).encode()
    assert bare(given) == given


def test_no_signature_is_taken_for_a_key() -> None:
    """A key has 39 bytes as base64url; no algorithm of RFC 7518 signs with that many."""
    assert keys.KEY_CHARACTERS * 6 // 8 == 39
    token = token_of("alice")
    assert bare(token.encode()) == token.encode()


def test_it_is_found_as_a_key_and_as_a_jwt() -> None:
    """So logs, URLs and replies are searched for it as for either."""
    text, _ = jwt_shape.spelled(KEY, session(), ("sub",), NOW)
    assert keys.holds_key(f"/x?token={text}".encode())
    assert jwt_text.sole(text) == text


def test_a_claim_inside_of_another_stands_where_it_stood() -> None:
    """So a frontend finds it; nothing else of the outer claim is shown."""
    roles = {"roles": ["admin"], "other": 1}
    known = session(realm_access=roles, **{"https://a.example/x": 1})
    names = ("/realm_access/roles", "https://a.example/x", "realm_access.none")
    assert shown_claims.chosen(known, names) == {
        "realm_access": {"roles": ["admin"]},
        "https://a.example/x": 1,
    }
