"""Keys to sign with, made once for all tests: RSA keys take their time."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

# The HMAC secret of the tests: 32 bytes.
SECRET = "a secret for HS256, of 32 bytes."


def private(kind: str, name: str = "") -> PrivateKeyTypes:
    """A private key of a kind; another one for each name."""
    return _made(kind, name)


@cache
def _made(kind: str, _name: str) -> PrivateKeyTypes:
    match kind:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "small RSA":
            return rsa.generate_private_key(65537, 1024)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
    raise AssertionError(kind)


def pem(kind: str, name: str = "") -> str:
    key = private(kind, name)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(kind: str) -> str:
    key = private(kind).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def encrypted_pem(kind: str) -> str:
    by = BestAvailableEncryption(b"a passphrase")
    return private(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, by).decode()


def signing_key(algorithm: str, name: str = "", **more: str) -> dict[str, str]:
    """A key as config.yaml names it."""
    if algorithm == "HS256":
        return {"algorithm": algorithm, "secret": SECRET, **more}
    return {"algorithm": algorithm, "private_key": pem(algorithm, name), **more}


def signing(*keys: dict[str, str], **more: object) -> dict[str, object]:
    """The section of config.yaml; with one ES256 key if none is given."""
    return {
        "issuer": "https://gateway.example",
        "keys": list(keys) or [signing_key("ES256")],
        **more,
    }
