"""Sealing: what Redis holds of a session can be opened only with the client's own key.

AES-256-GCM (NIST SP 800-38D). The sealing key is HMAC-SHA256 of the client's key under the
gateway's secret, so neither a stolen dump nor a stolen dump with a leaked key opens a session. What
stands beside it is authenticated with it, the session id above all: a reply that belongs to another
request does not open.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.keys import Key

# A sealed value is the nonce, then the ciphertext with its tag.
NONCE_BYTES = 12

# Of a digest; two things with the same one are not found before 2^72 tries.
_DIGEST_BYTES = 18


class Unsealable(ValueError):
    """The value is foreign, truncated, tampered with, or sealed under a secret that is gone."""


class Sealer:
    """Seals with the first of its secrets, and opens with any: that is how they are rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("sealing needs a secret")
        self._secrets = [secret.encode() for secret in secrets]

    def seal(self, key: Key, beside: bytes, plain: bytes, nonce: bytes) -> bytes:
        """`beside` is vouched for and not sealed; `nonce` is 12 fresh random bytes."""
        cipher = AESGCM(_sealing_key(self._secrets[0], key))
        return nonce + cipher.encrypt(nonce, plain, beside)

    def open(self, key: Key, beside: bytes, sealed: bytes) -> bytes:
        """Raises `Unsealable`."""
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        for secret in self._secrets:
            try:
                return AESGCM(_sealing_key(secret, key)).decrypt(nonce, text, beside)
            except (InvalidTag, ValueError):
                continue
        raise Unsealable

    def digest(self, *parts: str) -> str:
        """By this something can be found again, and nobody without the secret learns what it is."""
        # No key begins with this, so no digest tells anything of a key that seals.
        message = "\0".join(["", *parts]).encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._secrets[0], message, "sha256")[:_DIGEST_BYTES]
        return base64.urlsafe_b64encode(digest).decode()


def _sealing_key(secret: bytes, key: Key) -> bytes:
    return hmac.digest(secret, key.reveal().encode("ascii"), "sha256")
