"""Grants: what a token endpoint gives, how a client says who it is, and what is stored."""

import base64
import json
import time
from typing import Any

import pytest

from gateway.core.logins import token_response
from gateway.core.logins.token_response import BadTokenResponse, NotJwt, StoredTokens, TokenResponse
from gateway.core.secret import Secret
from gateway.core.tokens.claims import Claims
from tests.conftest import token_of

GIVEN: dict[str, Any] = {"access_token": "a", "token_type": "bearer"}


def given(**changes: Any) -> TokenResponse:
    return token_response.read(json.dumps({**GIVEN, **changes}).encode())


def test_the_least_that_is_given() -> None:
    """The type's case does not matter (RFC 6749 §5.1)."""
    assert given() == TokenResponse(Secret("a"), None, None, None)
    assert "secret" not in repr(given(access_token="secret", refresh_token="secret"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (300, 300.0),
        ("300", 300.0),
        (0, None),
        (-1, None),
        ("soon", None),
        (None, None),
        ([], None),
        (1e300, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_how_long_it_is_good(said: Any, seconds: float | None) -> None:
    """What is no number of seconds is nothing said."""
    assert given(expires_in=said).expires_in == seconds


def test_names_of_other_types() -> None:
    """A token that is no text is none, nor is a text that is no token (RFC 6749, Appendix A)."""
    for value in ({"a": 1}, "", "a\nb", "ü", "\ud800"):
        tokens = given(id_token=value, refresh_token=value)
        assert (tokens.id_token, tokens.refresh_token) == (None, None)
        with pytest.raises(BadTokenResponse, match="no_access_token"):
            given(access_token=value)


def test_errors_that_are_known() -> None:
    """Any other word may be a text from outside."""
    assert (
        token_response.error_in(b'{"error": "invalid_grant", "error_description": "x"}')
        == "invalid_grant"
    )
    for body in (b'{"error": "<b>"}', b'{"error": 7}', b"{}", b"<html>", b"[]"):
        assert token_response.error_in(body) == "other"


def test_who_the_client_is() -> None:
    """RFC 6749 §2.3.1: both parts are encoded before they are joined by a colon."""
    fields, form = token_response.client_fields("client_secret_basic", "a:b c", Secret("%&ü"))
    assert form == {}
    pair = base64.b64decode(fields["Authorization"].removeprefix("Basic "))
    assert pair == b"a%3Ab+c:%25%26%C3%BC"
    fields, form = token_response.client_fields("client_secret_post", "a", Secret("b"))
    assert (fields, form) == ({}, {"client_id": "a", "client_secret": "b"})
    assert token_response.client_fields("none", "a", None) == ({}, {"client_id": "a"})


def test_what_is_kept() -> None:
    """In one line, whatever is in it; what another login keeps is nothing here."""
    for stored in (
        StoredTokens(),
        StoredTokens(Secret('r "\\')),
        StoredTokens(None, Secret("i")),
        StoredTokens(Secret("r"), Secret("i")),
    ):
        line = token_response.dump(stored)
        assert "\n" not in line
        assert token_response.load(line) == stored
    assert token_response.dump(StoredTokens()) == ""
    for line in ('["json", "refresh", "secret"]', "no json", '{"refresh": 7}'):
        assert token_response.load(line) == StoredTokens()


def test_which_token_is_the_sessions() -> None:
    """The access token until the earlier of its two ends; or the ID token until its own."""
    now = time.time()
    access, other = token_of("alice", exp=int(now) + 100), token_of("alice")
    said = Claims({}, now + 50)
    tokens = given(access_token=access, id_token=other)
    assert token_response.token_of(tokens, "access_token", said, now=now, skew=5) == (
        access,
        int(now) + 100,
    )
    sooner = given(access_token=access, expires_in=60)
    assert token_response.token_of(sooner, "access_token", None, now=now, skew=5) == (
        access,
        now + 60,
    )
    assert token_response.token_of(tokens, "id_token", said, now=now, skew=5) == (other, now + 50)
    with pytest.raises(BadTokenResponse, match="no_id_token"):
        token_response.token_of(given(access_token=access), "id_token", None, now=now, skew=5)


@pytest.mark.parametrize("junk", ["opaque", "a.b.c", " {}", "{} ", "Bearer {}", "{}{}"])
def test_what_is_no_jwt(junk: str) -> None:
    """A token becomes part of a head: it is a JWT and nothing else from end to end."""
    text = junk.replace("{}", token_of("alice"))
    with pytest.raises(NotJwt):
        token_response.token_of(given(access_token=text), "access_token", None, now=0, skew=0)
    said = Claims({}, None)
    with pytest.raises(NotJwt):
        token_response.token_of(given(id_token=text), "id_token", said, now=0, skew=0)
