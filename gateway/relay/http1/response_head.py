"""Reads an upstream's response head, with the framing of its body."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from gateway.core.http import shared_caches
from gateway.core.http.field_names import HOP_BY_HOP, OWN_PREFIX, fold
from gateway.core.logins import cookie_logouts
from gateway.core.logins.carriers import LOGIN_STATE_MARK
from gateway.relay.http1 import broken_rules, grammar
from gateway.relay.http1.field_rules import FieldRules
from gateway.relay.http1.grammar import Malformed

# No honest answer has as many fields, and each of them takes a worker's time.
_MAX_FIELDS = 1000

_LOGIN_STATE = f"={LOGIN_STATE_MARK}".encode()

# Server-sent events (HTML §9.2), sequences of JSON texts (RFC 7464 and RFC 8091, or a text in each
# line), pictures of cameras, the streams of gRPC-Web and Connect, what containers write (Docker
# Engine API, "Attach to a container"), and watches of Kubernetes in other forms than JSON.
_EVENT_STREAM = re.compile(
    rb"(?i)content-type:[ \t]*(?:text/event-stream|multipart/x-mixed-replace"
    rb"|application/(?:(?:x-)?(?:ndjson|jsonl|jsonlines|json-stream)|json-seq|stream\+json"
    rb"|[\w.-]+\+json-seq|(?:grpc|grpc-web|grpc-web-text|connect)(?:\+[\w.-]+)?"
    rb"|vnd\.docker\.(?:raw|multiplexed)-stream|[\w.-]+;[ \t]*stream=watch))[ \t]*[;\r]"
)


class ResponseHead:
    """One response's head. Each attribute has a slot, as those of `RequestHead`."""

    __slots__ = (
        "chunked",
        "clears_cookies",
        "close",
        "for_caches",
        "has_date",
        "keep_alive",
        "length",
        "named",
        "old",
        "passed",
        "reason",
        "set_cookies",
        "status",
        "upgrade",
        "vary",
    )

    def __init__(self, minor: bytes, status: int, reason: bytes) -> None:
        self.old = minor == b"0"
        self.status = status
        self.reason = reason  # with its leading space
        self.passed: list[bytes] = []
        self.length: int | None = None
        self.chunked = False
        self.close = False
        self.keep_alive = False
        self.named: tuple[bytes, ...] = ()
        self.upgrade: bytes | None = None
        self.has_date = False
        self.for_caches: tuple[bytes, ...] = ()  # the lines that tell caches what to keep
        # All Set-Cookie lines, with those that do not pass.
        self.set_cookies: tuple[bytes, ...] = ()
        self.clears_cookies = False  # the browser is told to forget all cookies
        self.vary: tuple[bytes, ...] = ()  # the lines that tell caches for which requests

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events, with quiet times between."""
        return any(_EVENT_STREAM.match(line) for line in self.passed)

    def keeps_open(self) -> bool:
        """Whether the connection stays open after the body (RFC 9112 §9.3)."""
        if self.old:
            return self.keep_alive and not self.close
        return not self.close


Rule = Callable[[ResponseHead, bytes, bytes], None]


class ResponseReader:
    """Reads response heads by one gateway's rules."""

    def __init__(
        self,
        *,
        own_cookies: Collection[bytes],
        lenient: bool = False,
    ) -> None:
        """Take the rules for one upstream's answers.

        own_cookies: cookies that hold keys: no upstream may set one, nor one that a browser
            carries on its way to log in (wire-rules.md#E7); without names, any may be set
        lenient: takes LF for CRLF in heads, and chunks in HTTP/1.0
        """
        self.lenient = lenient
        self._own_cookies = own_cookies
        self._by_name: dict[bytes, Rule] = {
            b"": _no_field,
            b"content-length": _content_length,
            b"transfer-encoding": _transfer_encoding,
            b"connection": grammar.connection,
            b"upgrade": _upgrade,
            b"vary": _vary,
            b"date": _date,
            b"clear-site-data": _clear_site_data,
            b"set-cookie": self._set_cookie,
        }
        self._rules = FieldRules(self._classify)

    def read(self, data: bytes, end: int) -> ResponseHead:
        """The head that ends (before its empty line) at `end`. Raises `Malformed`."""
        minor, status, reason, start = grammar.status_line(data)
        head = ResponseHead(minor, status, reason)
        passed = head.passed
        rules = self._rules.known
        lines = grammar.fields(data, start, end + 2)
        if len(lines) > _MAX_FIELDS:
            raise Malformed("it has more than a thousand fields")
        try:
            for line, name in lines:
                try:
                    rule = rules[name]
                except KeyError:
                    rule = self._rules.learn(name)
                if rule is None:
                    passed.append(line)
                else:
                    rule(head, name, line)
        except _NoField:
            raise Malformed(broken_rules.of_fields(data[start:end])) from None
        if head.chunked and head.length is not None:
            raise Malformed("Content-Length and Transfer-Encoding came together (RFC 9112 §6.1)")
        if head.chunked and head.old:
            if not self.lenient:
                raise Malformed("chunks came in HTTP/1.0 (RFC 9112 §6.1)")
            head.close = True
        if head.named:
            _strip_named(head)
        return head

    def _classify(self, name: bytes) -> Rule | None:
        lower = name.lower()
        if lower in self._by_name:
            return self._by_name[lower]
        if lower in HOP_BY_HOP or lower == b"x-request-id" or fold(name).startswith(OWN_PREFIX):
            return _drop
        return _for_caches if shared_caches.is_for_caches(lower) else None

    def _set_cookie(self, head: ResponseHead, name: bytes, line: bytes) -> None:
        head.set_cookies += (line,)
        own = self._own_cookies
        if not own or not (cookie_name(line) in own or _LOGIN_STATE in line):
            head.passed.append(line)


def cookie_name(line: bytes) -> bytes:
    """The name of the cookie that a Set-Cookie line sets (RFC 6265 §4.1.1)."""
    return line.partition(b":")[2].partition(b"=")[0].strip(b" \t")


class _NoField(Exception):
    """A line is no field line."""


def _no_field(head: ResponseHead, name: bytes, line: bytes) -> None:
    raise _NoField


def _drop(head: ResponseHead, name: bytes, line: bytes) -> None:
    pass


def _content_length(head: ResponseHead, name: bytes, line: bytes) -> None:
    if head.length is not None:
        raise Malformed("Content-Length came twice (RFC 9112 §6.3)")
    head.length = grammar.length(grammar.value(line, name))


def _transfer_encoding(head: ResponseHead, name: bytes, line: bytes) -> None:
    if head.chunked or grammar.value(line, name).lower() != b"chunked":
        raise Malformed("Transfer-Encoding is not chunked alone (RFC 9112 §6.1)")
    head.chunked = True


def _upgrade(head: ResponseHead, name: bytes, line: bytes) -> None:
    head.upgrade = grammar.value(line, name).lower()


def _for_caches(head: ResponseHead, name: bytes, line: bytes) -> None:
    head.for_caches += (line,)
    head.passed.append(line)


def _clear_site_data(head: ResponseHead, name: bytes, line: bytes) -> None:
    """Clear Site Data §3.1: cookies are forgotten, and with `*` everything."""
    head.clears_cookies |= cookie_logouts.clears(line)
    head.passed.append(line)


def _date(head: ResponseHead, name: bytes, line: bytes) -> None:
    head.has_date = True
    head.passed.append(line)


def _vary(head: ResponseHead, name: bytes, line: bytes) -> None:
    head.vary += (line,)
    head.passed.append(line)


def _strip_named(head: ResponseHead) -> None:
    """Remove the fields that Connection names (RFC 9110 §7.6.1)."""
    named = frozenset(head.named)

    def passes(line: bytes) -> bool:
        return line.partition(b":")[0].lower() not in named

    head.passed = list(filter(passes, head.passed))
    head.for_caches = tuple(filter(passes, head.for_caches))
    head.vary = tuple(filter(passes, head.vary))
    head.has_date = head.has_date and b"date" not in named
