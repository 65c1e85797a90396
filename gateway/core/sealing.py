"""Sealing: what Redis holds of a session can be opened only with the client's own key.

AES-256-GCM (NIST SP 800-38D). The sealing key is HMAC-SHA256 of the client's key under the
gateway's secret, so neither a stolen dump nor a stolen dump with a leaked key opens a session. The
session id is authenticated with it: a reply that belongs to another request does not open.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.keys import Key

# The layout of a sealed value: this byte, the nonce, the ciphertext with its tag.
_VERSION = b"\x01"
NONCE_BYTES = 12


class Unsealable(ValueError):
    """The value is foreign, truncated, tampered with, or sealed under a secret that is gone."""


class NewerVersion(Unsealable):
    """The value was sealed by a newer gateway."""


class Sealer:
    """Seals with the first of its secrets, and opens with any: that is how they are rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("sealing needs a secret")
        self._secrets = [secret.encode() for secret in secrets]

    def seal(self, key: Key, session_id: str, plain: bytes, nonce: bytes) -> bytes:
        """`nonce` is 12 fresh random bytes."""
        cipher = AESGCM(_sealing_key(self._secrets[0], key))
        return _VERSION + nonce + cipher.encrypt(nonce, plain, session_id.encode())

    def open(self, key: Key, session_id: str, sealed: bytes) -> bytes:
        """Raises `Unsealable`."""
        if sealed[:1] != _VERSION:
            raise NewerVersion if sealed[:1] > _VERSION else Unsealable
        nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        for secret in self._secrets:
            try:
                return AESGCM(_sealing_key(secret, key)).decrypt(nonce, text, session_id.encode())
            except (InvalidTag, ValueError):
                continue
        raise Unsealable


def _sealing_key(secret: bytes, key: Key) -> bytes:
    return hmac.digest(secret, key.reveal().encode("ascii"), "sha256")
