"""The rules of single request fields: what a field does to the head.

A field without a rule passes as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container

from gateway.core.http import refusals, subprotocols
from gateway.core.http.forwarding import host_value
from gateway.core.http.subprotocols import Offer
from gateway.core.logins.carriers import LOGIN_STATE_MARK
from gateway.core.sessions import keys
from gateway.core.sessions.refresh_keys import REFRESH_KEY_PATTERN
from gateway.relay.http1 import grammar
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2}).*"
)
# A backend's own cookie may hold `Bearer ` before the token, in quotes or in escapes.
_KEY_COOKIE = re.compile(
    rb"[ \t]*+([^=;\s]++)[ \t]*+=[ \t]*+\"?(?:(?i:bearer|token|jwt)(?:[ +]|%%20))?%b\"?[ \t]*+"
    % keys.SPELLED_PATTERN.pattern
)
_REFRESH_COOKIE = re.compile(
    rb"[ \t]*+([^=;\s]++)[ \t]*+=[ \t]*+\"?(%b)\"?[ \t]*+" % REFRESH_KEY_PATTERN.pattern
)
_LOGIN_STATE_COOKIE = re.compile(
    rb"[ \t]*+[^=;\s]++=%b[A-Za-z0-9_-]++[ \t]*+" % re.escape(LOGIN_STATE_MARK.encode())
)

_COOKIE = (b"Cookie",)

_KEY_CHARACTERS = keys.KEY_CHARACTERS  # looked up once

# With it begins a subprotocol that may hold a key in base64url.
_ENCODED_TOKEN = b"base64url."

# Each is searched for a key, if there is one among them. Frontends offer a few.
_MAX_SUBPROTOCOLS = 64

# Called with the head, the field's name as spelled, and its line.
Rule = Callable[[RequestHead, bytes, bytes], None]


def malformed(head: RequestHead, name: bytes, line: bytes) -> None:
    raise grammar.Malformed


def drop(head: RequestHead, name: bytes, line: bytes) -> None:
    pass


def purge(head: RequestHead, name: bytes, line: bytes) -> None:
    head.purged = True


def host(head: RequestHead, name: bytes, line: bytes) -> None:
    value = host_value(grammar.value(line, name))
    if head.host is not None or value is None:
        raise grammar.Malformed
    head.host = value


def content_length(head: RequestHead, name: bytes, line: bytes) -> None:
    if head.has_length:
        raise grammar.Malformed
    head.length, head.has_length = grammar.length(grammar.value(line, name)), True


def transfer_encoding(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name).lower()
    if head.chunked or not value:
        raise grammar.Malformed
    if value != b"chunked":
        raise Refused(refusals.UNKNOWN_CODING)
    head.chunked = True


def authorization(head: RequestHead, name: bytes, line: bytes) -> None:
    value = grammar.value(line, name)
    if head.authorization is not None:
        head.ambiguous = True
    head.authorization = line
    if value[:7].lower() == b"bearer " or value.lower() == b"bearer":
        presented_key = value[7:]
        if len(presented_key) > _KEY_CHARACTERS:
            presented_key = keys.bare(presented_key)
        # Some backends hand out the token in the body and in a cookie, so the key comes back twice.
        if head.presented_key is not None:
            if presented_key in keys.NOTHING:
                return
            _compare(head, head.presented_key, presented_key)
        head.presented_key, head.cookie, head.key_fields = presented_key, None, ()


def take(head: RequestHead, presented_key: bytes, key_fields: tuple[bytes, ...]) -> None:
    """Take what a field presents as a key.

    key_fields: the field that held it, if not Authorization
    """
    if head.presented_key in keys.NOTHING:
        head.presented_key = None
    if head.presented_key is not None:
        if presented_key in keys.NOTHING:
            return
        _compare(head, head.presented_key, presented_key)
    if head.presented_key is None or head.cookie is not None:
        head.key_fields = key_fields
    head.presented_key, head.cookie = presented_key, None


def _compare(head: RequestHead, earlier: bytes, presented_key: bytes) -> None:
    """Note that an earlier presented key differs from that of a field."""
    if earlier != presented_key and earlier not in keys.NOTHING:
        head.disputed = head.disputed or head.cookie is not None
        head.ambiguous = head.ambiguous or head.cookie is None


def cookie(head: RequestHead, name: bytes, line: bytes) -> None:
    """Cut the gateway's own cookies out.

    The others keep their bytes; an empty field disappears.
    """
    if line.find(b"lk_") < 0:
        head.passed.append(line)
        return
    kept, login_states = [], []
    for pair in line[len(name) + 1 : -2].split(b";"):
        if pair.find(b"lk_") < 0:
            kept.append(pair)
            continue
        found = _KEY_COOKIE.fullmatch(pair)
        if found is None:
            if _LOGIN_STATE_COOKIE.fullmatch(pair):
                login_states.append(pair.strip(b" \t"))
            elif refresh := _REFRESH_COOKIE.fullmatch(pair):
                head.refresh_cookie = head.refresh_cookie or (refresh[1], refresh[2])
            else:
                kept.append(pair)
            continue
        head.key_cookies += ((found[1], found[2]),)
        if head.presented_key is None:
            head.cookie, head.presented_key, head.key_fields = found[1], found[2], _COOKIE
        elif head.presented_key != found[2] or head.cookie not in (None, found[1]):
            head.disputed = True
    head.login_states += tuple(login_states)
    rest = b";".join(kept)
    if rest.strip(b" \t;"):
        head.passed.append(name + b": " + rest.lstrip(b" \t") + b"\r\n")


def subprotocol(head: RequestHead, name: bytes, line: bytes) -> None:
    """Cut keys out of the subprotocols of a WebSocket."""
    if line.find(b"lk_") < 0 and line.find(_ENCODED_TOKEN) < 0:
        head.passed.append(line)
        return
    if line.count(b",") >= _MAX_SUBPROTOCOLS:
        raise grammar.Malformed
    found = subprotocols.find(grammar.value(line, name))
    head.purged = True  # a proxy that asks would pass it on
    if not isinstance(found, Offer):
        head.passed.append(subprotocols.joined(found))
        return
    if head.subprotocols is not None:
        raise grammar.Malformed
    head.subprotocols, head.brings_key_aside = found, True


def expect(head: RequestHead, name: bytes, line: bytes) -> None:
    if grammar.value(line, name).lower() != b"100-continue":
        raise Refused(refusals.EXPECTATION)
    # A client of HTTP/1.0 cannot mean it (RFC 9110 §10.1.1).
    head.expects_continue = not head.old


def upgrade(protocols: Container[bytes]) -> Rule:
    """The rule of Upgrade where some route takes these protocols.

    Any other one is dropped, above all `h2c`: its requests would be read by no one
    (wire-rules.md#B13).
    """

    def take_upgrade(head: RequestHead, name: bytes, line: bytes) -> None:
        wanted = [token.strip(b" \t") for token in grammar.value(line, name).lower().split(b",")]
        known = [token for token in wanted if token in protocols]
        if known:
            head.upgrade = b", ".join([head.upgrade, *known] if head.upgrade else known)
        head.purged = head.purged or known != wanted

    return take_upgrade


def te(head: RequestHead, name: bytes, line: bytes) -> None:
    if b"trailers" in grammar.tokens(grammar.value(line, name)):
        head.takes_trailers = True


def traceparent(head: RequestHead, name: bytes, line: bytes) -> None:
    """An invalid one counts as none (W3C Trace Context §3.2)."""
    found = _TRACEPARENT.fullmatch(grammar.value(line, name))
    if found is not None:
        head.trace = (found[1], found[2])


def max_forwards(head: RequestHead, name: bytes, line: bytes) -> None:
    if head.method == b"OPTIONS":
        head.max_forwards = grammar.length(grammar.value(line, name))
    else:
        head.passed.append(line)


def forwarding(head: RequestHead, name: bytes, line: bytes) -> None:
    head.forwarding += ((name.lower(), grammar.value(line, name)),)


def original(head: RequestHead, name: bytes, line: bytes) -> None:
    head.originals += ((name.lower(), grammar.value(line, name)),)
