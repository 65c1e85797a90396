"""Minting: what a token says, and who says it."""

import math
from datetime import date
from typing import Any

import jwt
import pytest

from gateway.core.tokens.minting import BadClaims, Minter, check_claims, subject_of
from gateway.core.tokens.signing_keys import SigningKey, private_key, secret_key
from tests.support.signing_keys import SECRET, pem

NOW = 1_800_000_000.5


def key(algorithm: str, kid: str | None = None) -> SigningKey:
    if algorithm == "HS256":
        return secret_key(SECRET, kid)
    return private_key(algorithm, pem(algorithm), kid)  # type: ignore[arg-type]


def minter(*keys: SigningKey, audience: tuple[str, ...] = ()) -> Minter:
    return Minter(
        keys or (key("ES256"),), issuer="https://g", audience=audience, lifetime=300, skew=5
    )


def said(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_what_a_token_says(algorithm: str) -> None:
    """Each algorithm's signature verifies with what is published (or with the secret)."""
    made = minter(key(algorithm, "k1"))
    minted = made.mint("alice", {"role": "admin"}, now=NOW, jti="j")
    by: Any = SECRET
    if algorithm != "HS256":
        [shown] = made.jwks["keys"]
        by = jwt.PyJWK(dict(shown or {}))
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    payload = jwt.decode(minted.token, by, algorithms=[algorithm], options=options)
    assert payload == {
        "iss": "https://g",
        "sub": "alice",
        "role": "admin",
        "iat": int(NOW - 5),
        "nbf": int(NOW - 5),
        "exp": int(NOW + 300),
        "jti": "j",
    }
    assert minted.expires == payload["exp"]
    assert jwt.get_unverified_header(minted.token) == {
        "alg": algorithm,
        "kid": "k1",
        "typ": "JWT",
    }
    assert minted.token not in repr(minted)


def test_the_first_key_signs_and_all_are_shown_but_secrets() -> None:
    """That is how keys are rotated."""
    made = minter(key("ES256", "new"), key("HS256", "secret"), key("RS256", "old"))
    token = made.mint("a", {}, now=NOW, jti="j").token
    assert jwt.get_unverified_header(token)["kid"] == "new"
    assert [shown["kid"] for shown in made.jwks["keys"] if shown] == ["new", "old"]


def test_a_secret_without_an_id_leaves_none() -> None:
    """A digest of it would be something to guess from."""
    token = minter(key("HS256")).mint("a", {}, now=NOW, jti="j").token
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_no_claim_changes_what_the_gateway_says() -> None:
    """iss, sub, aud, exp, nbf, iat and jti are the gateway's own."""
    forged = dict.fromkeys(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), "forged")
    payload = said(minter().mint("alice", forged, now=NOW, jti="j").token)
    assert "forged" not in payload.values()
    assert "aud" not in payload


def test_audiences_and_lifetimes() -> None:
    """A token's own ones come before those of all; one alone is a text."""
    made = minter(audience=("a", "b"))
    assert said(made.mint("x", {}, now=NOW, jti="j").token)["aud"] == ["a", "b"]
    other = made.mint("x", {}, now=NOW, jti="j", audience=["shop"], lifetime=30)
    assert said(other.token)["aud"] == "shop"
    assert other.expires == int(NOW + 30)


@pytest.mark.parametrize("subject", ["alice", 7, "한글", "x" * 1024])
def test_subjects(subject: object) -> None:
    """A text or a number, which becomes a text."""
    assert subject_of({"sub": subject}) == str(subject)


@pytest.mark.parametrize(
    "subject", [None, "", True, 1.5, [], {}, ["alice"], "x" * 1025, "a\nb", "\ud800"]
)
def test_what_names_nobody(subject: object) -> None:
    """And nothing is said of the value."""
    with pytest.raises(BadClaims, match="sub is no text or number that names a user"):
        subject_of({"sub": subject})


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, "\ud800", date(2026, 1, 1), {"a": {1, 2}}, b"x"]
)
def test_what_json_cannot_hold(value: object) -> None:
    """It is refused before anything is signed."""
    with pytest.raises(BadClaims, match="role is no value that JSON can hold"):
        check_claims({"role": value})


def test_nested_and_large_claims() -> None:
    """What is nested passes; what would burst a head does not."""
    check_claims({"realm_access": {"roles": ["a", "b"]}, "n": 1, "t": True})
    with pytest.raises(BadClaims, match="too large"):
        check_claims({"a": "x" * 3000, "b": "x" * 3000})
