"""Signing keys: reading and checking them, and publishing the public half."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

# An HMAC key is at least as long as its digest (RFC 7518 §3.2); RSA has 2048 bits or more (§3.3).
_MIN_SECRET_BYTES = 32
_MIN_RSA_BITS = 2048

# SEC 2's name of P-256, the curve of ES256 (RFC 7518 §3.4).
_P256 = "secp256r1"


class BadSigningKey(ValueError):
    """The key cannot sign by its algorithm. The message says why.

    It shows nothing of the key.
    """


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens. `jwk` is its public half; a secret has none."""

    algorithm: Algorithm
    kid: str | None
    private: PrivateKey | bytes = field(repr=False)
    jwk: dict[str, str] | None


def secret_key(secret: str, kid: str | None) -> SigningKey:
    """A key for HMAC. Raises `BadSigningKey`.

    It has an id only if it is given one: by a digest, a weak secret could be guessed.
    """
    content = secret.encode("utf-8", "surrogateescape")
    if "-----BEGIN" in secret:
        raise BadSigningKey("is a key in PEM, which is no secret for HS256")
    if len(content) < _MIN_SECRET_BYTES:
        raise BadSigningKey(f"is too short: at least {_MIN_SECRET_BYTES} bytes, random ones")
    return SigningKey("HS256", kid, content, None)


def private_key(algorithm: Algorithm, pem: str, kid: str | None) -> SigningKey:
    """Read a private key in PEM. Raises `BadSigningKey`.

    Its id is its thumbprint by default.
    """
    private = _read(pem)
    jwk = _public_half(algorithm, private)
    return SigningKey(
        algorithm,
        kid or thumbprint(jwk),
        private,
        {**jwk, "use": "sig", "alg": algorithm, "kid": kid or thumbprint(jwk)},
    )


def thumbprint(jwk: dict[str, str]) -> str:
    """The JWK thumbprint (RFC 7638).

    It is SHA-256 of the key's members in the order of their names.
    """
    members = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(members).digest()).rstrip(b"=").decode()


def _read(pem: str) -> Any:
    content = pem.encode("utf-8", "surrogateescape")
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:
        raise BadSigningKey("is encrypted: it has to be readable without a passphrase") from None
    except UnsupportedAlgorithm:
        raise BadSigningKey("is a private key of an unknown kind") from None
    except ValueError:
        pass
    try:
        load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise BadSigningKey("is not a private key in PEM") from None
    raise BadSigningKey("is a public key; signing needs the private one")


def _public_half(algorithm: Algorithm, private: Any) -> dict[str, str]:
    """The members of the public key alone (RFC 7518 §6, RFC 8037 §2)."""
    if algorithm == "RS256" and isinstance(private, RSAPrivateKey):
        if private.key_size < _MIN_RSA_BITS:
            raise BadSigningKey(f"is too small: RSA needs at least {_MIN_RSA_BITS} bits")
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "ES256" and isinstance(private, EllipticCurvePrivateKey):
        if private.curve.name != _P256:
            raise BadSigningKey("is on another curve: ES256 needs P-256")
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "EdDSA" and isinstance(private, Ed25519PrivateKey):
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        needed = {"RS256": "an RSA", "ES256": "a P-256", "EdDSA": "an Ed25519"}[algorithm]
        raise BadSigningKey(f"is of another kind: {algorithm} needs {needed} key")
    return {name: jwk[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in jwk}
