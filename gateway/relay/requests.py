"""Reading a request's head: from bytes to a `RequestHead`, or to a refusal.

The rules are data: each field name has a rule (a function), and a name without one passes as it
came. Names are looked up by their bytes as spelled; the memo spares folding them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.core import refusals
from gateway.core.carriers import TRIP_MARK
from gateway.core.fields import (
    FORWARDING,
    FORWARDING_PREFIX,
    HOP_BY_HOP,
    NEVER_TRAILERS,
    ORIGINALS,
    OVERRIDES,
    OWN_PREFIX,
    fold,
)
from gateway.core.keys import KEY_PATTERN
from gateway.core.refusals import Refusal
from gateway.observe.events import Event
from gateway.relay import grammar

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]+)(/[^?]*)?(\?.*)?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2}).*"
)
_KEY_COOKIE = re.compile(
    rb"[ \t]*+([^=;\s]++)[ \t]*+=[ \t]*+\"?(%b)\"?[ \t]*+" % KEY_PATTERN.pattern
)
_TRIP_COOKIE = re.compile(
    rb"[ \t]*+[^=;\s]++=%b[A-Za-z0-9_-]++[ \t]*+" % re.escape(TRIP_MARK.encode())
)

# Names are the client's to choose, so the memo must not grow with them.
_MOST_NAMES = 2048
_LONGEST_NAME = 64

_UPGRADES = frozenset({b"websocket"})


class Refused(Exception):
    """Ends a request's way through the gateway with one refusal, and more fields if need be.

    `event` is for the audit log, when it is a credential that was refused.
    """

    def __init__(
        self,
        refusal: Refusal,
        fields: Mapping[str, str] | None = None,
        event: Event | None = None,
    ) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.fields = dict(fields or {})
        self.event = event


class Answered(Exception):
    """Ends a request's way through the gateway with an answer without a body, and no refusal.

    `event` is for the audit log, when a credential was refused all the same.
    """

    def __init__(self, status: int, fields: Mapping[str, str], event: Event | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields
        self.event = event


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a request that did not come itself: a proxy has described it."""

    site: str  # scheme and authority as the browser knows them; empty if that is not known
    redirects: bool  # the proxy hands a redirect on to the browser


class RequestHead:
    """One request's head.

    Defaults stand on the class, since a request sets few of them: an instance costs what it uses.
    """

    host: bytes | None = None
    path: bytes  # origin-form without the query, as it came
    query: bytes = b""  # with its question mark, as it came
    passed: list[bytes]  # the field lines that go on, with their CRLF, as they came
    length: int = 0  # what Content-Length says
    has_length = False
    chunked = False
    close = False  # the client wants the connection closed after the answer
    keep_alive = False  # an HTTP/1.0 client wants it kept open
    named: tuple[bytes, ...] = ()  # what Connection names besides
    upgrade: bytes | None = None  # an upgrade that could be granted, lower-cased
    trailers = False  # TE: trailers
    expects_continue = False
    credential: bytes | None = None  # what may be a key: after "Bearer " or in a cookie
    cookie: bytes | None = None  # the name of the cookie that held the credential
    trips: tuple[bytes, ...] = ()  # cookies of browsers that are on their way to log in
    authorization: bytes | None = None  # the Authorization line, as it came
    ambiguous = False  # it carries several credentials, and none may be picked by chance
    trace: tuple[bytes, bytes] | None = None  # trace id and flags of a valid traceparent
    forwarding: tuple[tuple[bytes, bytes], ...] = ()  # (folded name, value) to trust or to drop
    originals: tuple[tuple[bytes, bytes], ...] = ()  # those of nginx, which describe a request
    purged = False  # a field was dropped that other proxies would pass on
    described: RequestHead | None = None  # the request that this one asks about
    told: Told | None = None  # for one that is asked about
    loop = False  # the request has passed through this gateway before
    max_forwards: int | None = None

    def __init__(self, method: bytes, target: bytes, minor: bytes) -> None:
        self.method = method
        self.target = target
        self.old = minor == b"0"  # HTTP/1.0

    def passed_value(self, name: bytes) -> str | None:
        """The value of the first field of this name (in lower case) among those that go on.

        Slow, as it looks through them all: for what few requests need.
        """
        for line in self.passed:
            given, _, value = line.partition(b":")
            if given.lower() == name:
                return value.strip(b" \t\r\n").decode("latin-1")
        return None

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head; one of no bytes is none."""
        return self.chunked or self.length > 0


Rule = Callable[[RequestHead, bytes, bytes], None]


class RequestReader:
    """Reads request heads by one gateway's rules."""

    def __init__(
        self,
        *,
        instance: str,
        identity: Iterable[str],
        most_fields: int,
        key_field: str | None = None,
    ) -> None:
        """`instance` tells this gateway's `Via` from another's; `identity` are the names of the
        fields that tell upstreams of the subject; `most_fields` is how many lines a head may have;
        `key_field` is a field in which a key may come, beside Authorization.
        """
        self._most_fields = most_fields
        self._instance = b"latchkey (" + instance.encode() + b")"
        self._guarded = {fold(name.encode()) for name in identity}
        self._by_name: dict[bytes, Rule] = {
            b"host": _host,
            b"content-length": _content_length,
            b"transfer-encoding": _transfer_encoding,
            b"connection": _connection,
            b"authorization": _authorization,
            b"cookie": _cookie,
            b"expect": _expect,
            b"upgrade": _upgrade,
            b"te": _te,
            b"via": self._via,
            b"traceparent": _traceparent,
            b"max-forwards": _max_forwards,
        }
        if key_field is not None:
            self._by_name[key_field.lower().encode()] = _key_field
        self._rules: dict[bytes, Rule | None] = {b"": _malformed}

    def read(self, data: bytes, end: int) -> RequestHead:
        """The head that ends (before its empty line) at `end`. Raises `Refused`."""
        try:
            method, target, minor, start = grammar.request_line(data)
            head = RequestHead(method, target, minor)
            lines = grammar.fields(data, start, end + 2)
            passed = head.passed = []
            rules, unseen = self._rules, self._unseen
            for line, name in lines:
                rule = rules.get(name, unseen)
                if rule is None:
                    passed.append(line)
                else:
                    rule(head, name, line)
            if len(lines) > self._most_fields:
                raise Refused(refusals.HEAD_TOO_LARGE)
            _finish(head)
        except grammar.OtherVersion:
            raise Refused(refusals.VERSION) from None
        except grammar.Malformed:
            raise Refused(refusals.MALFORMED) from None
        return head

    def guards(self, name: bytes) -> bool:
        """Whether a folded name is the gateway's to set, so that a client must not."""
        return (
            name in self._guarded
            or name in FORWARDING
            or name in OVERRIDES
            or name.startswith((FORWARDING_PREFIX, OWN_PREFIX))
        )

    def may_trail(self, name: bytes) -> bool:
        """Whether a trailer of this folded name may pass (RFC 9110 §6.5.1)."""
        return name not in NEVER_TRAILERS and not self.guards(name)

    def _unseen(self, head: RequestHead, name: bytes, line: bytes) -> None:
        """Finds the rule for a name that has not been spelled like this before."""
        rule = self._classify(name)
        if len(self._rules) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self._rules[name] = rule
        if rule is None:
            head.passed.append(line)
        else:
            rule(head, name, line)

    def _classify(self, name: bytes) -> Rule | None:
        lower, folded = name.lower(), fold(name)
        if lower in self._by_name:
            return self._by_name[lower]
        if lower in FORWARDING or lower.startswith(FORWARDING_PREFIX):
            return _forwarding
        if lower in ORIGINALS:
            return _original
        if folded in self._by_name or folded in HOP_BY_HOP or self.guards(folded):
            return _drop if folded == lower else _purge
        return None

    def _via(self, head: RequestHead, name: bytes, line: bytes) -> None:
        head.passed.append(line)
        if self._instance in line:
            head.loop = True


def _finish(head: RequestHead) -> None:
    """Checks what no single line can tell: the target, the host and the framing together."""
    if head.chunked and (head.has_length or head.old):
        raise grammar.Malformed
    _read_target(head)
    if head.host is None and not head.old:
        raise grammar.Malformed
    if b"lk_" in b"".join(head.passed):
        # A key in a field where none belongs is still a key, and no upstream may see it.
        kept = [line for line in head.passed if not KEY_PATTERN.search(line)]
        head.purged = head.purged or len(kept) < len(head.passed)
        head.passed = kept
    if head.named:
        head.passed = [
            line for line in head.passed if line.partition(b":")[0].lower() not in head.named
        ]
    if head.upgrade is not None and (head.old or b"upgrade" not in head.named):
        head.upgrade = None


def _read_target(head: RequestHead) -> None:
    """RFC 9112 §3.2: origin-form; absolute-form, whose authority wins; and `*` for OPTIONS."""
    target = head.target
    if target[0] != 0x2F:
        if target == b"*" and head.method == b"OPTIONS":
            head.path = target
            return
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not _HOST.fullmatch(absolute[1]):
            # CONNECT's authority-form names no path, but its refusal is the method's.
            if head.method == b"CONNECT":
                raise Refused(refusals.METHOD)
            raise grammar.Malformed
        if head.host is None and not head.old:
            raise grammar.Malformed
        head.host = absolute[1]
        target = head.target = (absolute[2] or b"/") + (absolute[3] or b"")
    if b"%" in target and _BAD_ESCAPE.search(target):
        raise grammar.Malformed
    mark = target.find(b"?")
    if mark < 0:
        head.path = target
    else:
        head.path, head.query = target[:mark], target[mark:]


def _malformed(head: RequestHead, name: bytes, line: bytes) -> None:
    raise grammar.Malformed


def _drop(head: RequestHead, name: bytes, line: bytes) -> None:
    pass


def _purge(head: RequestHead, name: bytes, line: bytes) -> None:
    head.purged = True


def _host(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name)
    if head.host is not None or not _HOST.fullmatch(value):
        raise grammar.Malformed
    head.host = value


def _content_length(head: RequestHead, name: bytes, line: bytes) -> None:
    if head.has_length:
        raise grammar.Malformed
    head.length, head.has_length = grammar.length(grammar.value(line, name)), True


def _transfer_encoding(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name).lower()
    if head.chunked or not value:
        raise grammar.Malformed
    if value != b"chunked":
        raise Refused(refusals.UNKNOWN_CODING)
    head.chunked = True


def _connection(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name).lower()
    if value == b"keep-alive":
        head.keep_alive = True
    elif value == b"close":
        head.close = True
    else:
        named = grammar.tokens(value)
        head.named += tuple(named)
        head.close = head.close or b"close" in named
        head.keep_alive = head.keep_alive or b"keep-alive" in named


def _key_field(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name)
    if head.credential is not None and head.credential != value:
        head.ambiguous = True
    head.credential, head.cookie = value, None


def _authorization(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name)
    if head.authorization is not None:
        head.ambiguous = True
    head.authorization = line
    if value[:7].lower() == b"bearer " or value.lower() == b"bearer":
        # Some backends hand the token out in the body and in a cookie; so the key comes back twice.
        other = head.credential is not None and head.credential != value[7:]
        head.ambiguous = head.ambiguous or other
        head.credential, head.cookie = value[7:], None


def _cookie(head: RequestHead, name: bytes, line: bytes) -> None:
    """Cuts the gateway's own out; the other cookies keep their bytes, and an empty field
    disappears.
    """
    if b"lk_" not in line:
        head.passed.append(line)
        return
    kept = []
    for pair in line[len(name) + 1 : -2].split(b";"):
        found = _KEY_COOKIE.fullmatch(pair)
        if found is None:
            if _TRIP_COOKIE.fullmatch(pair):
                head.trips += (pair.strip(b" \t"),)
            else:
                kept.append(pair)
            continue
        if head.credential is None:
            head.cookie, head.credential = found[1], found[2]
        elif head.cookie is not None or head.credential != found[2]:
            head.ambiguous = True
    rest = b";".join(kept)
    if rest.strip(b" \t;"):
        head.passed.append(name + b": " + rest.lstrip(b" \t") + b"\r\n")


def _expect(head: RequestHead, name: bytes, line: bytes) -> None:
    if grammar.value(line, name).lower() != b"100-continue":
        raise Refused(refusals.EXPECTATION)
    # RFC 9110 §10.1.1: an HTTP/1.0 client cannot mean it.
    head.expects_continue = not head.old


def _upgrade(head: RequestHead, name: bytes, line: bytes) -> None:
    wanted = grammar.value(line, name).lower()
    if wanted in _UPGRADES:
        head.upgrade = wanted
    else:
        head.purged = True


def _te(head: RequestHead, name: bytes, line: bytes) -> None:
    if b"trailers" in grammar.tokens(grammar.value(line, name)):
        head.trailers = True


def _traceparent(head: RequestHead, name: bytes, line: bytes) -> None:
    """W3C Trace Context §3.2: an invalid one counts as none."""
    found = _TRACEPARENT.fullmatch(grammar.value(line, name))
    if found is not None:
        head.trace = (found[1], found[2])


def _max_forwards(head: RequestHead, name: bytes, line: bytes) -> None:
    if head.method == b"OPTIONS":
        head.max_forwards = grammar.length(grammar.value(line, name))
    else:
        head.passed.append(line)


def _forwarding(head: RequestHead, name: bytes, line: bytes) -> None:
    head.forwarding += ((name.lower(), grammar.value(line, name)),)


def _original(head: RequestHead, name: bytes, line: bytes) -> None:
    head.originals += ((name.lower(), grammar.value(line, name)),)
