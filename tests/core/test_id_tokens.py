"""ID tokens: what they say of the access token that came with them, in each algorithm's digest."""

import base64
import hashlib
from typing import Any

import pytest

from gateway.core.tokens import id_tokens
from gateway.core.tokens.claims import NotVerified
from tests.support.signing import by_hand

CLIENT = "client"


def check(algorithm: str, access_token: str | None = "token", **claims: Any) -> None:
    payload = {"iat": 1, "aud": CLIENT, **claims}
    id_tokens.check_id_token(
        by_hand({"alg": algorithm}, payload), payload, client_id=CLIENT, access_token=access_token
    )


def left_half(name: str, text: str = "token") -> str:
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("RS256", "sha256"),
        ("PS384", "sha384"),
        ("ES512", "sha512"),
        ("ES256", "sha256"),
        ("EdDSA", "sha512"),
    ],
)
def test_the_hash_of_the_access_token(algorithm: str, digest: str) -> None:
    """Core §3.1.3.6: the left half of the digest that the algorithm uses."""
    check(algorithm, at_hash=left_half(digest))
    for wrong in (left_half(digest, "other"), left_half(digest) + "=", "", 7, "ü", "\ud800"):
        with pytest.raises(NotVerified, match="wrong_at_hash"):
            check(algorithm, at_hash=wrong)


def test_the_example_of_the_specification() -> None:
    """Core, Appendix A.3: an access token and its hash."""
    check("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", at_hash="77QmUPtjPfzWtF2AnpK9RQ")


def test_without_a_hash() -> None:
    """It need not say one with a code; and says it of nothing, if there is no access token."""
    check("RS256")
    check("RS256", None, at_hash="anything")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": [CLIENT, "api"], "azp": CLIENT}, None),
        ({"aud": [CLIENT]}, None),
        ({"azp": CLIENT}, None),
        ({"aud": [CLIENT, "api"]}, "no_azp"),
        ({"azp": "api"}, "wrong_azp"),
        ({"azp": [CLIENT]}, "wrong_azp"),
        ({"iat": None}, "no_iat"),
        ({"iat": "now"}, "no_iat"),
        ({"iat": True}, "no_iat"),
    ],
)
def test_the_parties(claims: dict[str, Any], said: str | None) -> None:
    """Core §3.1.3.7: for whom it is, and for whom it was asked."""
    if said is None:
        check("RS256", **claims)
        return
    with pytest.raises(NotVerified, match=said):
        check("RS256", **claims)


@pytest.mark.parametrize("nonce", ["another", "", None, 7, ["n"], "nn", "ü", "\ud800"])
def test_another_nonce(nonce: Any) -> None:
    """Is one of another login."""
    id_tokens.check_nonce({"nonce": "n"}, "n")
    with pytest.raises(NotVerified, match="wrong_nonce"):
        id_tokens.check_nonce({} if nonce is None else {"nonce": nonce}, "n")


@pytest.mark.parametrize("value", [None, "", 7, ["a"], "a\nb", "\ud800", "a" * 1025])
def test_how_a_logout_token_may_call_a_session(value: Any) -> None:
    """By what is a name, for no logout token can hold anything else."""
    assert id_tokens.session_names({"sid": "a", "sub": "b"}) == [("sid", "a"), ("sub", "b")]
    assert id_tokens.session_names({"sid": value, "sub": "b"}) == [("sub", "b")]
    assert id_tokens.session_names({"sid": "a", "sub": value}) == [("sid", "a")]
