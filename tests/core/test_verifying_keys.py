"""Which keys verify tokens, and what is never taken for one."""

import base64
import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.tokens.verifying_keys import BadKey, of_pem, of_secret, read_key_set
from tests.support.signing import (
    SECRET,
    Signer,
    ec_signer,
    ed_signer,
    published,
    rsa_signer,
)

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


def _certificate(signer: Signer) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        name, name, signer.key.public_key(), 1, now, now + dt.timedelta(days=1)
    )
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("signer", "algorithms"),
    [
        (rsa_signer(), RSA),
        (ec_signer(), ("ES256",)),
        (ec_signer("p384", "ES384"), ("ES384",)),
        (ec_signer("p521", "ES512"), ("ES512",)),
        (ed_signer(), ("EdDSA",)),
    ],
)
def test_a_public_key_says_by_its_type_what_it_is_for(
    signer: Signer, algorithms: tuple[str, ...]
) -> None:
    """In PEM and in a key set; the usual algorithm first."""
    assert of_pem(signer.pem).algorithms == algorithms
    [key] = read_key_set(published(signer))
    assert (key.algorithms, key.kid) == (algorithms, signer.kid)


def test_a_certificate_holds_a_public_key() -> None:
    """Some providers hand out nothing else."""
    assert of_pem(_certificate(rsa_signer())).algorithms == RSA


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        rsa_signer().private_pem,
        ec_signer().private_pem,
        rsa_signer("short", 1024).pem,
        ec_signer("bitcoin", "ES256K").pem,
    ],
)
def test_what_is_no_usable_public_key_is_refused(text: str) -> None:
    """A private key above all: a verifier must not hold one. No error repeats a key."""
    with pytest.raises(BadKey) as caught:
        of_pem(text)
    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "algorithms"),
    [(32, ("HS256",)), (48, ("HS256", "HS384")), (64, ("HS256", "HS384", "HS512"))],
)
def test_a_secret_is_as_long_as_its_digest(size: int, algorithms: tuple[str, ...]) -> None:
    """RFC 7518 §3.2."""
    assert of_secret(Secret("x" * size)).algorithms == algorithms
    with pytest.raises(BadKey, match="too short"):
        of_secret(Secret("x" * 31))


@pytest.mark.parametrize(
    "text",
    [
        rsa_signer().pem,
        "".join(rsa_signer().pem.splitlines()[1:-1]),
        "\n".join(ec_signer().pem.splitlines()[1:-1]),
        _certificate(rsa_signer()),
        json.dumps(rsa_signer().jwk),
        published(rsa_signer()).decode(),
        base64.b64encode(json.dumps(rsa_signer().jwk).encode()).decode(),
        rsa_signer().private_pem,
    ],
)
def test_a_public_key_is_no_secret(text: str) -> None:
    """In any form: as a secret, it would let any client sign (RFC 8725 §2.1)."""
    with pytest.raises(BadKey, match="is a public key"):
        of_secret(Secret(text))


def test_a_key_shows_nothing_of_itself() -> None:
    """Its repr may reach a log."""
    assert SECRET not in repr(of_secret(Secret(SECRET)))


EC: dict[str, Any] = ec_signer().jwk
UNUSABLE: dict[str, Any] = {
    "for encryption": {**EC, "use": "enc"},
    "to sign with": {**EC, "key_ops": ["sign"]},
    "with operations that are no list": {**EC, "key_ops": "verify"},
    "with an algorithm of another type": {**EC, "alg": "RS256"},
    "with another curve's algorithm": {**EC, "alg": "ES384"},
    "for HMAC": {**EC, "alg": "HS256"},
    "for none": {**EC, "alg": "none"},
    "with an algorithm that is a list": {**EC, "alg": ["ES256"]},
    "with a name that is a number": {**EC, "kid": 1},
    "a private key": ec_signer().private_jwk,
    "a private RSA key": rsa_signer().private_jwk,
    "a private Ed25519 key": ed_signer().private_jwk,
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"},
    "too short": rsa_signer("short", 1024).jwk,
    "not on its curve": {**EC, "y": EC["x"]},
    "of an unknown curve": {**EC, "crv": "P-999"},
    "of a curve that is not used": ec_signer("bitcoin", "ES256K").jwk,
    "of Ed448": {"kty": "OKP", "crv": "Ed448", "x": "A" * 76, "kid": "e"},
    "of an unknown type": {**EC, "kty": "AKP"},
    "of a type that is a list": {**EC, "kty": ["EC"]},
    "without a type": {name: value for name, value in EC.items() if name != "kty"},
    "without its numbers": {"kty": "RSA", "kid": "r"},
    "with numbers that are none": {"kty": "RSA", "n": 5, "e": None, "kid": "r"},
    "with a large number": {"kty": "RSA", "n": "_" * 100_000, "e": "AQAB", "kid": "r"},
    "a text": "key",
    "null": None,
    "a list": [],
}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_key_is_passed_over(jwk: Any) -> None:
    """It does no harm to those that stand beside it."""
    keys = read_key_set(published(ed_signer(), jwk, rsa_signer()))
    assert [key.kid for key in keys] == ["ed", "rsa"]


def test_a_key_may_say_more_of_itself() -> None:
    """RFC 7517 §4: its algorithm, its operations and its certificates; a name is no must."""
    [key] = read_key_set(
        published({**rsa_signer().jwk, "alg": "PS256", "key_ops": ["verify"], "x5t": "x"})
    )
    assert key.algorithms == ("PS256",)
    nameless = {name: value for name, value in EC.items() if name != "kid"}
    assert [key.kid for key in read_key_set(published(nameless))] == [""]


def test_a_key_set_is_read_up_to_a_hundred_keys() -> None:
    """Each takes work, and no provider has as many."""
    assert len(read_key_set(published(*[ed_signer()] * 300))) == 100


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"[]", b"{}", b'"keys"', b"null", b'{"keys": {}}', b'{"keys": null}', b"\xff"],
)
def test_what_is_no_key_set_is_refused(data: bytes) -> None:
    """A page instead of one does not mean that there are no keys."""
    with pytest.raises(BadKey):
        read_key_set(data)
    with pytest.raises(BadKey):
        read_key_set(b"[" * 100_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(
    st.sampled_from([rsa_signer().jwk, ec_signer().jwk, ed_signer().jwk]),
    st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "use", "alg", "key_ops", "oth"]),
    JSON,
)
def test_no_member_makes_reading_fail(jwk: dict[str, Any], name: str, value: Any) -> None:
    """Whatever a provider writes, its key is read or passed over."""
    read_key_set(published({**jwk, name: value}))
