"""Verifying keys: a secret, a public key, or a key set (RFC 7517).

A key says which algorithms it is for; a token never does. So a token that is signed with the text
of a public key as a secret (RFC 8725 §2.1) finds no key that verifies it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from gateway.core.secret import Secret

Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]

# The least bytes of a secret (RFC 7518 §3.2), the usual algorithm first.
_SECRET_SIZES = {"HS256": 32, "HS384": 48, "HS512": 64}

# The algorithms of each key type (RFC 7518 §3.1, RFC 8037 §3.1), the usual one first.
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_ED25519 = ("EdDSA",)

# In bits: the least of RFC 7518 §3.3, and the most of OpenSSL.
_RSA_SIZES = range(2048, 16385)

# The key types with a public half (RFC 7517 §4.1), and the members of private keys (RFC 7518 §6).
_PUBLIC_TYPES = ("RSA", "EC", "OKP")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# Of a key set. Providers have fewer, and each takes time to read.
_MAX_KEYS = 100


class BadKey(ValueError):
    """The key cannot verify anything. The message says why.

    It shows nothing of the key.
    """


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key, with the algorithms that it fits, the usual one first.

    A key set names its keys (`kid`). A key of config.yaml has no name, and fits any `kid`.
    """

    material: Any = field(repr=False)  # what PyJWT takes
    algorithms: tuple[str, ...]
    kid: str | None = None

    def allowed(self, algorithms: Collection[str]) -> tuple[str, ...]:
        """The algorithms that fit the key; without any, its usual one."""
        if not algorithms:
            return self.algorithms[:1]
        return tuple(name for name in self.algorithms if name in algorithms)


def of_secret(secret: Secret) -> VerifyingKey:
    """A key that both sides know. Raises `BadKey`."""
    raw = secret.reveal().encode()
    if _is_public(raw):
        raise BadKey("is a public key: as a secret, it would let any client sign tokens")
    fits = tuple(name for name, size in _SECRET_SIZES.items() if len(raw) >= size)
    if not fits:
        raise BadKey(f"is too short: {_SECRET_SIZES['HS256']} random bytes are the least")
    return VerifyingKey(raw, fits)


def of_pem(text: str) -> VerifyingKey:
    """A public key in PEM, or the one in a certificate. Raises `BadKey`."""
    if "PRIVATE KEY-----" in text:
        raise BadKey("is a private key: only the issuer may hold it, so write its public key")
    try:
        if "-----BEGIN CERTIFICATE-----" in text:
            material: Any = x509.load_pem_x509_certificate(text.encode()).public_key()
        else:
            material = load_pem_public_key(text.encode())
    except Exception:  # cryptography raises many, and documents no list
        raise BadKey("is not a public key in PEM") from None
    fits = _fitting(material)
    if not fits:
        raise BadKey(
            "is no key that is used here: RSA of 2048 bits or more, P-256 to P-521, Ed25519"
        )
    return VerifyingKey(material, fits)


def read_key_set(data: bytes) -> tuple[VerifyingKey, ...]:
    """The usable keys of a JWK Set. Raises `BadKey` if it is no set.

    Other keys are skipped.
    """
    try:
        keys = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadKey("is no JWK Set") from None
    if not isinstance(keys, list):
        raise BadKey("is no JWK Set")
    read = [_of_jwk(key) for key in keys[:_MAX_KEYS]]
    return tuple(key for key in read if key is not None)


def _of_jwk(jwk: Any) -> VerifyingKey | None:
    """The public key of a JWK that is for verifying signatures; else None."""
    if not isinstance(jwk, dict) or jwk.get("kty") not in _PUBLIC_TYPES or _PRIVATE & jwk.keys():
        return None
    operations, kid = jwk.get("key_ops", ["verify"]), jwk.get("kid", "")
    if jwk.get("use", "sig") != "sig" or not isinstance(kid, str):
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        fits = _fitting(material := jwt.PyJWK(jwk).key)
    except Exception:  # each member may be anything, and each key type fails in its own way
        return None
    declared = jwk.get("alg")
    if declared is not None:
        fits = tuple(name for name in fits if name == declared)
    return VerifyingKey(material, fits, kid) if fits else None


def _fitting(material: Any) -> tuple[str, ...]:
    match material:
        case RSAPublicKey() if material.key_size in _RSA_SIZES:
            return _RSA
        case EllipticCurvePublicKey():
            return _CURVES.get(material.curve.name, ())
        case Ed25519PublicKey():
            return _ED25519
    return ()


def _is_public(raw: bytes) -> bool:
    """Whether a text is a public key: in PEM, as a JWK, or in bare base64."""
    try:
        spelled = base64.b64decode(b"".join(raw.split()), validate=True)
    except ValueError:
        spelled = b""
    try:
        for key in filter(None, (raw, spelled)):
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except jwt.InvalidKeyError:
        return True
    return False
