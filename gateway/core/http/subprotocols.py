"""Keys among the subprotocols that WebSockets offer (RFC 6455 §1.9).

A browser's WebSocket can set no field but this one. Frontends write their token in one of two ways:
as a pair, `bearer` and the token, or as Kubernetes has it: `base64url.bearer.authorization.k8s.io.`
and the token in base64url.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.core.sessions import keys

_ENCODED = re.compile(
    rb"(base64url\.bearer\.authorization\.[A-Za-z0-9.-]+\.)([A-Za-z0-9_-]+={0,2})"
)

# The word before a token in a pair.
_MARKS = frozenset({b"bearer", b"token", b"jwt", b"access_token", b"authorization"})

_WORD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


@dataclass(frozen=True, slots=True)
class Offer:
    """The offered subprotocols, of which one holds a key."""

    offered: tuple[bytes, ...] = field(repr=False)  # as they came
    at: int  # the index of the one with the key
    keys: tuple[bytes, ...] = field(repr=False)  # all keys that stand in one; the first counts
    prefix: bytes  # before a token in base64url; empty for a plain one
    mark: bytes  # the word before the key, or empty

    @property
    def others(self) -> tuple[bytes, ...]:
        """The subprotocols that are about no key."""
        marked = self.at - 1 if self.mark else self.at
        kept = (*self.offered[:marked], *self.offered[self.at + 1 :])
        return tuple(name for name in kept if not _holds_key(name))

    def swapped(self, token: bytes) -> tuple[bytes, ...]:
        """All of them, with the token in the key's place."""
        if not self.prefix and not _WORD.fullmatch(token):
            return self.others
        return tuple(
            self._spelled(token) if at == self.at else name
            for at, name in enumerate(self.offered)
            if at == self.at or not _holds_key(name)
        )

    def answered(self, picked: bytes | None, token: bytes | None) -> bytes | None:
        """The subprotocol to answer. A client accepts only what it has offered.

        Browsers close a connection for which none is picked. A backend that was shown none, or
        that knows of none, picks none.

        picked: the backend's answer; None without one
        token: the session's
        """
        own = self.mark or self.offered[self.at]
        if picked is None:
            return None if self.others else own
        return own if token is not None and picked == self._spelled(token) else picked

    def _spelled(self, token: bytes) -> bytes:
        if not self.prefix:
            return token
        return self.prefix + base64.urlsafe_b64encode(token).rstrip(b"=")


def find(value: bytes) -> Offer | tuple[bytes, ...]:
    """Cut the key out of the offer, or the subprotocols that might hide a key."""
    offered = tuple(name.strip(b" \t") for name in value.split(b","))
    found = [(at, *_read(name)) for at, name in enumerate(offered)]
    held = [(at, prefix, key) for at, prefix, key in found if key]
    if not held:
        return tuple(name for name in offered if not _holds_key(name))
    at, prefix, _ = held[0]
    before = offered[at - 1] if at and not prefix else b""
    mark = before if before.lower() in _MARKS else b""
    return Offer(offered, at, tuple(dict.fromkeys(key for _, _, key in held)), prefix, mark)


def joined(names: Sequence[bytes]) -> bytes:
    """The field line of these subprotocols, or nothing for none."""
    return b"Sec-WebSocket-Protocol: %b\r\n" % b", ".join(names) if names else b""


def _read(name: bytes) -> tuple[bytes, bytes]:
    """The prefix before a key in base64url, and the key; either may be empty."""
    encoded = _ENCODED.fullmatch(name)
    prefix, text = (encoded[1], keys.from_base64(encoded[2])) if encoded else (b"", name)
    key = keys.bare(text)
    return (prefix, key) if keys.KEY_PATTERN.fullmatch(key) else (b"", b"")


def _holds_key(name: bytes) -> bool:
    return keys.stands_in_authorization(name)
