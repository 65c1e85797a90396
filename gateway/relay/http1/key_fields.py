"""Reads keys in fields: in Authorization behind known schemes, in others.

The rule of gateways that take bearer keys alone is `request_fields.authorization`: it is the one
that most requests meet.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.logins.token_sending import NO_SCHEME
from gateway.core.sessions import keys
from gateway.relay.http1 import grammar, request_fields
from gateway.relay.http1.request_fields import Rule
from gateway.relay.http1.request_head import RequestHead

_BASIC = b"basic"
_ONLY_BEARER = frozenset({b"bearer"})


class KeyFields:
    """The rules of the fields that may hold keys."""

    def __init__(
        self, *, schemes: Iterable[str], fields: Iterable[str] = (), maybe: Iterable[str] = ()
    ) -> None:
        """Take the section `keys` of config.yaml.

        schemes: of Authorization; `none` for a key without one
        fields: whatever stands there counts as a key
        maybe: upstreams read their token there, so a key may come there as well
        """
        lower = frozenset(scheme.lower().encode() for scheme in schemes)
        self._takes_basic = _BASIC in lower
        self._takes_bare = NO_SCHEME.encode() in lower
        self._schemes = lower - {_BASIC, NO_SCHEME.encode()}
        authorization = self._authorization
        if lower == _ONLY_BEARER:
            authorization = request_fields.authorization
        self.rules: dict[bytes, Rule] = {
            **{name.lower().encode(): self._maybe_key_field for name in maybe},
            **{name.lower().encode(): self._key_field for name in fields},
            b"authorization": authorization,
        }

    def _authorization(self, head: RequestHead, name: bytes, line: bytes) -> None:
        """Take a key behind a scheme. Behind `Bearer`, any text counts as a key."""
        value = grammar.value(line, name)
        scheme, _, rest = value.partition(b" ")
        scheme = scheme.lower()
        if scheme == b"bearer" and scheme in self._schemes:
            request_fields.authorization(head, name, line)
            return
        if head.authorization is not None:
            head.ambiguous = True
        head.authorization = line
        for key in dict.fromkeys(self._keys(scheme, rest, value)):
            request_fields.take(head, key, ())

    def _keys(self, scheme: bytes, rest: bytes, value: bytes) -> Iterable[bytes]:
        if scheme == _BASIC:
            return keys.in_basic(rest) if self._takes_basic else ()
        if scheme in self._schemes:
            value = rest
        elif not self._takes_bare:
            return ()
        key = keys.bare(value)
        return (key,) if keys.KEY_PATTERN.fullmatch(key) else ()

    def _key_field(self, head: RequestHead, name: bytes, line: bytes) -> None:
        value = self._without_scheme(grammar.value(line, name))
        request_fields.take(head, keys.bare(value), (name,))

    def _maybe_key_field(self, head: RequestHead, name: bytes, line: bytes) -> None:
        value = keys.bare(self._without_scheme(grammar.value(line, name)))
        if keys.KEY_PATTERN.fullmatch(value):
            request_fields.take(head, value, (name,))
        else:
            head.passed.append(line)

    def _without_scheme(self, value: bytes) -> bytes:
        scheme, space, rest = value.partition(b" ")
        return rest if space and scheme.lower() in (self._schemes | _ONLY_BEARER) else value
