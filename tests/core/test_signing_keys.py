"""Signing keys: what is refused, what is shown, and under which id."""

import json

import pytest
from jwt import PyJWK

from gateway.core.tokens.signing_keys import BadSigningKey, private_key, secret_key, thumbprint
from tests.support.signing_keys import SECRET, encrypted_pem, pem, public_pem

# RFC 7638 §3.1.
RFC_7638 = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI"
        "4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
}


def test_the_thumbprint_of_rfc_7638() -> None:
    """The standard's own example."""
    assert thumbprint(RFC_7638) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_public_half_is_shown_and_nothing_else(algorithm: str) -> None:
    """No member of a private key (RFC 7518 §6.2.2, §6.3.2) gets into the key set."""
    key = private_key(algorithm, pem(algorithm), None)  # type: ignore[arg-type]
    assert key.jwk is not None
    assert set(key.jwk) <= {"kty", "crv", "n", "e", "x", "y", "use", "alg", "kid"}
    assert key.jwk["kid"] == key.kid
    assert PyJWK(dict(key.jwk)).algorithm_name == algorithm
    assert private_key(algorithm, pem(algorithm), "mine").kid == "mine"  # type: ignore[arg-type]


def test_a_secret_is_never_shown() -> None:
    """It has no public half, and no id that could be guessed from."""
    key = secret_key(SECRET, None)
    assert (key.kid, key.jwk) == (None, None)
    assert SECRET not in repr(key)


def test_an_id_is_the_thumbprint_of_what_makes_the_key() -> None:
    """Its use, algorithm and id are not part of it."""
    key = private_key("EdDSA", pem("EdDSA"), None)
    assert key.jwk is not None
    assert key.kid == thumbprint({name: key.jwk[name] for name in ("crv", "kty", "x")})


@pytest.mark.parametrize(
    ("algorithm", "text", "message"),
    [
        ("RS256", "", "is not a private key in PEM"),
        ("RS256", "secret stuff", "is not a private key in PEM"),
        ("RS256", pem("RS256")[:400], "is not a private key in PEM"),
        ("RS256", public_pem("RS256"), "is a public key; signing needs the private one"),
        (
            "RS256",
            encrypted_pem("RS256"),
            "is encrypted: it has to be readable without a passphrase",
        ),
        ("RS256", pem("small RSA"), "is too small: RSA needs at least 2048 bits"),
        ("RS256", pem("ES256"), "is of another kind: RS256 needs an RSA key"),
        ("ES256", pem("RS256"), "is of another kind: ES256 needs a P-256 key"),
        ("ES256", pem("P-384"), "is on another curve: ES256 needs P-256"),
        ("EdDSA", pem("ES256"), "is of another kind: EdDSA needs an Ed25519 key"),
        ("EdDSA", pem("Ed448"), "is of another kind: EdDSA needs an Ed25519 key"),
    ],
)
def test_keys_that_cannot_sign(algorithm: str, text: str, message: str) -> None:
    """Each says what is wrong, and shows nothing of itself."""
    with pytest.raises(BadSigningKey) as caught:
        private_key(algorithm, text, None)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "is too short: at least 32 bytes, random ones"),
        ("x" * 31, "is too short: at least 32 bytes, random ones"),
        (public_pem("RS256"), "is a key in PEM, which is no secret for HS256"),
    ],
)
def test_secrets_that_cannot_sign(secret: str, message: str) -> None:
    """RFC 7518 §3.2; and a public key is known, so it is no secret."""
    with pytest.raises(BadSigningKey) as caught:
        secret_key(secret, None)
    assert str(caught.value) == message


def test_bytes_are_counted_and_not_characters() -> None:
    """Eleven characters of Hangul are 33 bytes."""
    assert len(secret_key("가" * 11, "k").private) == 33  # type: ignore[arg-type]


def test_a_key_tells_nothing() -> None:
    """Neither does its repr."""
    text = repr(private_key("ES256", pem("ES256"), None))
    assert "PRIVATE" not in text
    assert json.dumps(pem("ES256"))[40:60] not in text
