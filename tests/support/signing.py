"""Who signs tokens: keys of every type, as their owners write them down and publish them."""

import base64
import functools
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
SECRET = "a secret that both sides know, and which is long enough for all of HS256, HS384 and HS512"


@dataclass(frozen=True)
class Signer:
    """A private key with a name, and what its owner does with it."""

    key: Private = field(repr=False)
    algorithm: str
    kid: str

    def token(self, headers: Mapping[str, Any] | None = None, /, **claims: Any) -> str:
        """A token of alice's that is good for an hour, with other claims; None leaves one out."""
        named = {"kid": self.kid, **(headers or {})}
        given = {name: value for name, value in named.items() if value is not None}
        return jwt.encode(payload(**claims), self.key, self.algorithm, given)

    @property
    def pem(self) -> str:
        """The public key as it is written into a file."""
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as it is published."""
        return {**_as_jwk(self.key.public_key()), "kid": self.kid, "use": "sig"}

    @property
    def private_jwk(self) -> dict[str, Any]:
        """What must never be published."""
        return {**_as_jwk(self.key), "kid": self.kid, "key_ops": ["verify"]}


def payload(**claims: Any) -> dict[str, Any]:
    """Alice's claims."""
    all_claims = {"sub": "alice", "exp": int(time.time()) + 3600, **claims}
    return {name: value for name, value in all_claims.items() if value is not None}


def published(*keys: Signer | dict[str, Any]) -> bytes:
    """A key set."""
    jwks = [key.jwk if isinstance(key, Signer) else key for key in keys]
    return json.dumps({"keys": jwks}).encode()


def by_hand(header: Mapping[str, Any], claims: Any, signature: bytes = b"signature") -> str:
    """A token that no library would write."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hs256(text: str, claims: Any, header: Mapping[str, Any]) -> str:
    """A token that is signed with any text as a secret, which PyJWT would not do."""
    unsigned = by_hand(header, claims).rpartition(".")[0]
    return by_hand(header, claims, hmac.digest(text.encode(), unsigned.encode(), "sha256"))


@functools.cache
def rsa_signer(kid: str = "rsa", bits: int = 2048, algorithm: str = "RS256") -> Signer:
    return Signer(rsa.generate_private_key(65537, bits), algorithm, kid)


@functools.cache
def ec_signer(kid: str = "ec", algorithm: str = "ES256") -> Signer:
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(),
        "ES384": ec.SECP384R1(),
        "ES512": ec.SECP521R1(),
        "ES256K": ec.SECP256K1(),
    }
    return Signer(ec.generate_private_key(curves[algorithm]), algorithm, kid)


@functools.cache
def ed_signer(kid: str = "ed") -> Signer:
    return Signer(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)


def _as_jwk(key: Any) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return RSAAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(key, as_dict=True)
    return OKPAlgorithm.to_jwk(key, as_dict=True)
