"""Reads a request's head: from bytes to a `RequestHead`, or to a refusal.

The rules are data: a field's name has a rule, which is a function, and a field without a rule
passes as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote_from_bytes

from gateway.core.http import queries, refusals
from gateway.core.http.field_names import (
    FORWARDING,
    FORWARDING_PREFIXES,
    HOP_BY_HOP,
    NEVER_TRAILERS,
    ORIGINALS,
    OVERRIDES,
    OWN_PREFIX,
    fold,
)
from gateway.core.http.forwarding import host_value
from gateway.core.sessions.keys import KEY_PATTERN, bare, holds_key
from gateway.core.sessions.refresh_keys import REFRESH_KEY_PATTERN
from gateway.relay.http1 import grammar, request_fields, websocket
from gateway.relay.http1.field_rules import FieldRules
from gateway.relay.http1.key_fields import KeyFields
from gateway.relay.http1.repeated_fields import RepeatedFields
from gateway.relay.http1.request_fields import Rule
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.loop.settings import Settings
from gateway.relay.outcomes import Refused

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]+)(/[^?]*)?(\?.*)?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

# An escape that could hide a key: of a character that needs none, or of a percent sign.
_NEEDLESS_ESCAPE = re.compile(rb"%(?:2[5Dd]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff])")

_OLD = b"0"  # HTTP/1.0

_VISIBLE = bytes(range(0x21, 0x7F))


def check_size(data: bytes, size: int, settings: Settings) -> None:
    """Raise `Refused` for a head of this size (bytes), or its first line, over a limit."""
    if size > settings.target_size:
        line = data.find(b"\r\n", 0, size)
        if line > settings.target_size or line < 0:
            raise Refused(refusals.TARGET_TOO_LONG)
    if size > settings.head_size:
        raise Refused(refusals.HEAD_TOO_LARGE)


class RequestReader:
    """Reads request heads by one gateway's rules."""

    def __init__(
        self,
        *,
        instance: str,
        identity: Iterable[str],
        max_fields: int,
        key_fields: KeyFields | None = None,
        token_fields: Iterable[str] = (),
        query_keys: Iterable[str] = (),
        upgrades: Iterable[str] = (),
    ) -> None:
        """Take the rules of one gateway.

        instance: tells this gateway's `Via` from another's
        identity: the names of the fields that tell upstreams the subject
        max_fields: the number of lines that a head may have
        key_fields: the rules of the fields in which a key may come; None: bearer keys alone
        token_fields: the fields in which upstreams get tokens; no trailer has such a name
        query_keys: the parameters of queries in which some route takes keys
        upgrades: the protocols to which some route upgrades, beside `websocket`
        """
        protocols = {websocket.PROTOCOL, *(token.encode() for token in upgrades)}
        self._max_fields = max_fields
        self._query_keys = tuple(dict.fromkeys(name.encode() for name in query_keys))
        self._instance = b"latchkey (" + instance.encode() + b")"
        self._identity = {name.lower().encode() for name in identity}
        self._identity_folded = {fold(name) for name in self._identity}
        self._by_name: dict[bytes, Rule] = {
            b"": request_fields.malformed,
            b"host": request_fields.host,
            b"content-length": request_fields.content_length,
            b"transfer-encoding": request_fields.transfer_encoding,
            b"connection": grammar.connection,
            **(key_fields or KeyFields(schemes=("Bearer",))).rules,
            b"cookie": request_fields.cookie,
            b"expect": request_fields.expect,
            b"upgrade": request_fields.upgrade(protocols),
            b"te": request_fields.te,
            b"via": self._via,
            b"sec-websocket-protocol": request_fields.subprotocol,
            b"traceparent": request_fields.traceparent,
            b"max-forwards": request_fields.max_forwards,
        }
        self._token_fields = frozenset(fold(name.encode()) for name in token_fields)
        self._read_folded = {fold(name) for name in self._by_name}
        self._rules = FieldRules(self._classify)

    def read(self, data: bytes, end: int, repeated: RepeatedFields | None = None) -> RequestHead:
        """The head that ends (before its empty line) at `end`. Raises `Refused`.

        repeated: the fields of the connection, which may come again
        """
        try:
            method, target, minor, start = grammar.request_line(data)
            head = RequestHead(method, target, minor)
            if data.find(b"lk_", 0, start) >= 0:
                self._take_query_key(head)
                _refuse_key(head.method + b" " + head.target)
            elif self._query_keys and target.find(b"%") >= 0:
                self._take_query_key(head)
            text = data[start : end + 2]
            if repeated is None:
                self._read_fields(head, text)
            else:
                repeated.read_into(head, text, self._read_fields)
            _finish(head)
        except grammar.OtherVersion:
            raise Refused(refusals.VERSION) from None
        except grammar.Malformed:
            raise Refused(refusals.MALFORMED) from None
        return head

    def check_beginning(self, data: bytes) -> None:
        """Raises `Refused` once an unfinished head can no longer become valid."""
        try:
            grammar.check_beginning(data)
            if b"\r\n" in data:
                method, target, _, _ = grammar.request_line(data)
                head = RequestHead(method, target, _OLD)  # HTTP/1.0 needs no Host
                self._take_query_key(head)
                _read_target(head)
        except grammar.OtherVersion:
            raise Refused(refusals.VERSION) from None
        except grammar.Malformed:
            raise Refused(refusals.MALFORMED) from None

    def _read_fields(self, head: RequestHead, text: bytes) -> None:
        """Read field lines. Raises `Malformed` or `Refused`."""
        lines = grammar.fields(text)
        passed = head.passed
        rules = self._rules.known
        for line, name in lines:
            try:
                rule = rules[name]
            except KeyError:
                rule = self._rules.learn(name)
            if rule is None:
                passed.append(line)
            else:
                rule(head, name, line)
        if len(lines) > self._max_fields:
            raise Refused(refusals.HEAD_TOO_LARGE)
        _check_fields(head)

    def may_trail(self, name: bytes) -> bool:
        """Whether a trailer of this folded name may pass (RFC 9110 §6.5.1)."""
        if name in NEVER_TRAILERS or name in self._token_fields:
            return False
        return not self._guards(name)

    def _take_query_key(self, head: RequestHead) -> None:
        """Cut a key out of the query, where a route takes one.

        Raises `Malformed` for two keys.
        """
        for name in self._query_keys:
            path, mark, query = head.target.partition(b"?")
            rest, values = queries.cut(mark + query, name)
            if not any(holds_key(value) for value in values):
                continue
            if len(values) > 1 or head.query_key is not None:
                raise grammar.Malformed
            head.query_key = (name, bare(queries.decoded(values[0])))
            head.target, head.brings_key_aside = path + rest, True

    def _classify(self, name: bytes) -> Rule | None:
        """The rule of a name; None if its lines pass.

        The names of `identity` come first, so that no other rule lets them pass. A proxy that asks
        at the verify endpoint overwrites these, and removes hop-by-hop fields. It would pass on all
        other fields that are dropped here, so `purge` makes its question be refused.
        """
        lower, folded = name.lower(), fold(name)
        if folded in self._identity_folded:
            return request_fields.drop if lower in self._identity else request_fields.purge
        if lower in self._by_name:
            return self._by_name[lower]
        if lower in ORIGINALS:
            return request_fields.original
        if lower in FORWARDING or lower.startswith(FORWARDING_PREFIXES):
            return request_fields.forwarding
        if lower in HOP_BY_HOP or lower.startswith(OWN_PREFIX):
            return request_fields.drop
        return request_fields.purge if self._guards(folded) else None

    def _guards(self, name: bytes) -> bool:
        """Whether the gateway reads or sets a folded name, and no client may."""
        return (
            name in self._identity_folded
            or name in self._read_folded
            or name in HOP_BY_HOP
            or name in FORWARDING
            or name in OVERRIDES
            or name.startswith((*FORWARDING_PREFIXES, OWN_PREFIX))
        )

    def _via(self, head: RequestHead, name: bytes, line: bytes) -> None:
        head.passed.append(line)
        if self._instance in line:
            head.loop = True


def _check_fields(head: RequestHead) -> None:
    """Check what the fields say together."""
    if head.chunked and (head.has_length or head.old):
        raise grammar.Malformed
    if b"".join(head.passed).find(b"lk_") >= 0:  # `in` raises and drops an error first: 0.2 µs
        # A key in any other field is still a key, and no upstream may see it.
        kept = [line for line in head.passed if not KEY_PATTERN.search(line)]
        head.stray_key = len(kept) < len(head.passed)
        refresh = REFRESH_KEY_PATTERN.search(b"".join(head.passed))
        head.refresh_key = None if refresh is None else refresh[0]
        head.purged = head.purged or head.stray_key
        head.passed = kept
    if head.named:
        named = frozenset(head.named)
        head.passed = [line for line in head.passed if line.partition(b":")[0].lower() not in named]
    if head.upgrade is not None and (head.old or b"upgrade" not in head.named):
        head.upgrade = None


def _finish(head: RequestHead) -> None:
    """Read the target. A request of HTTP/1.1 needs a host (RFC 9112 §3.2)."""
    _read_target(head)
    if head.host is None and not head.old:
        raise grammar.Malformed


def _read_target(head: RequestHead) -> None:
    """Read the target (RFC 9112 §3.2).

    It comes in origin-form, in absolute-form, or as `*` for OPTIONS. The authority of an absolute
    target comes before Host.
    """
    target = head.target
    if target[0] != 0x2F:
        if target == b"*" and head.method == b"OPTIONS":
            head.path = target
            return
        absolute = _ABSOLUTE.fullmatch(target)
        authority = None if absolute is None else host_value(absolute[1])
        if absolute is None or authority is None:
            # CONNECT's authority-form has no path, and its method is refused.
            if head.method == b"CONNECT":
                raise Refused(refusals.METHOD)
            raise grammar.Malformed
        if head.host is None and not head.old:
            raise grammar.Malformed
        head.host = authority
        target = head.target = (absolute[2] or b"/") + (absolute[3] or b"")
    mark = target.find(b"?")
    if mark < 0:
        head.path = target
    else:
        if not target.isascii():
            target = head.target = _escape_query(target)
        head.path, head.query = target[:mark], target[mark:]
    if target.find(b"%") >= 0:
        _check_escapes(head.path, target)


def _escape_query(target: bytes) -> bytes:
    """Escape the bytes above 127 in a query, as RFC 9112 §3.2 wants it.

    `curl` sends letters in a query as they were typed. Escaped, they mean the same (RFC 3987 §3.1).
    """
    return quote_from_bytes(target, safe=_VISIBLE).encode()


def _check_escapes(path: bytes, target: bytes) -> None:
    """Refuse escapes that hide a key, and a lone `%` in the path, which has several readings.

    In a query it is text: browsers send `?q=50%`. Raises `Malformed` and `Refused`.
    """
    if _BAD_ESCAPE.search(path):
        raise grammar.Malformed
    if _NEEDLESS_ESCAPE.search(target):
        _refuse_key(target)


def _refuse_key(text: bytes) -> None:
    """Raises `Refused` if a request line holds a key (wire-rules.md#C3).

    RFC 9700 §4.3.2: a key in a URL would stand in logs, histories and Referer fields. The head is
    not read, so no log and no upstream sees it.
    """
    if holds_key(text):
        raise Refused(refusals.KEY_IN_URL)
