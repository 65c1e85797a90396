"""The fifth phase of a decision: the head of a request for the upstream.

`RequestReader` has removed all fields that a client must not set. The gateway's own fields are
added here. So a client cannot remove one of them by naming it in `Connection`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.core.http.forwarding import UNKNOWN
from gateway.core.logins import double_submit, token_sending
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.relay.access import caller_lines, keys_aside, own_authorization
from gateway.relay.http1 import request_ids
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route
    from gateway.relay.access.route_action import Action
    from gateway.store.resolved_session import ResolvedSession

_PREFIX = b"x-forwarded-prefix"
_PLAIN_PREFIX = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")

_OF_PARTS = frozenset({b"accept-encoding", b"range", b"if-range"})


def request_head(
    head: RequestHead,
    route: Route,
    resolved: ResolvedSession | None,
    peer: Peer,
    own_id: bytes,
) -> bytes:
    """The head as the upstream gets it.

    `own_id` is this gateway's id of the request.
    """
    action = route.action
    host = head.host or action.host  # a client of HTTP/1.0 may leave it out
    request_id, forwarded = own_id, peer.forwarded
    target, lines = head.target, head.passed
    if route.rewrites:
        target, lines = route.target(head), _with_prefix(head, action, peer)
        if action.request_fields is not None:
            lines = action.request_fields.applied(lines, resolved, lambda: route.path_values(head))
        if action.drops_via:
            forwarded = forwarded.removesuffix(peer.via)
    token_line = None
    if resolved is not None and (action.send_token or resolved.sending):
        target, lines, token_line = _with_token(head, route, resolved, target, lines)
    parts = [
        head.method,
        b" ",
        target,
        b" HTTP/1.1\r\nHost: ",
        host if action.keeps_host else action.host,
        b"\r\n",
        *(_for_whole_reply(lines) if route.watch.refuses else lines),
    ]
    if head.has_length:
        parts.append(b"Content-Length: %d\r\n" % head.length)
    elif head.chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if head.upgrade is not None and head.upgrade in action.upgrades:
        parts.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade)
        parts.append(keys_aside.subprotocol_line(head, route, resolved))
    elif head.takes_trailers:
        parts.append(b"Connection: TE\r\nTE: trailers\r\n")
    if head.expects_continue and head.has_body:
        parts.append(b"Expect: 100-continue\r\n")
    if head.max_forwards is not None:
        parts.append(b"Max-Forwards: %d\r\n" % (head.max_forwards - 1))
    if peer.trusted and head.forwarding:
        parts.append(_forwarding_lines(head, action, peer))
        parts.append(b"" if action.drops_via else peer.via)
        request_id = request_ids.given_id(head) or own_id
    else:
        parts += (forwarded, b"X-Forwarded-Host: ", host, b"\r\n")
    parts += (b"X-Request-Id: ", request_id, b"\r\n", request_ids.traceparent(head, own_id))
    if resolved is None:
        if head.authorization is not None and not route.in_process:
            parts.append(own_authorization.line(head, route))
    elif token_line is None:
        parts += (b"Authorization: Bearer ", resolved.token, b"\r\n", resolved.lines)
    else:
        parts += (token_line, resolved.lines)
    if route.in_process:
        parts.append(caller_lines.lines(head, route, resolved))
    parts.append(b"\r\n")
    return b"".join(parts)


def _with_prefix(head: RequestHead, action: Action, peer: Peer) -> list[bytes]:
    """The lines, and the prefix that clients know and the upstream does not."""
    if not action.strip_prefix:
        return head.passed
    return [*head.passed, b"X-Forwarded-Prefix: %b\r\n" % told_prefix(head, action, peer)]


def told_prefix(head: RequestHead, action: Action, peer: Peer) -> bytes:
    """What the upstream is told in X-Forwarded-Prefix; empty if nothing."""
    return (_outer_prefix(head) if peer.trusted else b"") + action.strip_prefix


def _outer_prefix(head: RequestHead) -> bytes:
    """The prefix that a trusted proxy has cut off, without a slash at its end.

    Empty if it is no plain path, or one of several: the proxy may have passed on what its client
    wrote, and backends begin links with it.
    """
    values = [value.rstrip(b"/") for name, value in head.forwarding if name == _PREFIX]
    prefix = values[0] if len(values) == 1 else b""
    is_plain = _PLAIN_PREFIX.fullmatch(prefix) and not KEY_PATTERN.search(prefix)
    return prefix if is_plain else b""


def _with_token(
    head: RequestHead, route: Route, resolved: ResolvedSession, target: bytes, lines: list[bytes]
) -> token_sending.Request:
    """The target, and the lines with a further one and the token in its place.

    The endpoints get it as a bearer token, and learn how it goes to an upstream.
    """
    if resolved.csrf is not None:
        lines = double_submit.with_present(lines, *resolved.csrf)
    if route.in_process:
        return token_sending.Request(target, lines, token_sending.BEARER_LINE % resolved.token)
    if route.action.send_token is not None:
        return token_sending.put(route.action.send_token, resolved.token, target, lines)
    assert resolved.sending is not None
    by_cookie = head.cookie is not None
    return token_sending.put_as_it_came(
        resolved.sending, resolved.token, target, lines, by_cookie=by_cookie
    )


def _for_whole_reply(lines: list[bytes]) -> list[bytes]:
    """The field lines without those that ask for a packed or a partial reply.

    No token could be found in it.
    """
    return [line for line in lines if line.partition(b":")[0].lower() not in _OF_PARTS]


def _forwarding_lines(head: RequestHead, action: Action, peer: Peer) -> bytes:
    """A trusted proxy's forwarding fields, with the proxy appended (RFC 7239).

    A proxy on a unix socket has no address and is not appended to X-Forwarded-For: backends that
    read it from the right would find no address there.
    """
    fields: dict[bytes, list[bytes]] = {}
    for name, value in head.forwarding:
        if KEY_PATTERN.search(value):
            continue  # the client's own proxy may have passed on what it wrote
        fields.setdefault(name, []).append(value)
    client = peer.client(head)
    address = client.address.encode()
    chain = fields.pop(b"x-forwarded-for", [address] if address != peer.name else [])
    if peer.address != UNKNOWN or not chain:
        chain = [*chain, peer.name]
    lines = [
        b"X-Forwarded-For: " + b", ".join(chain),
        b"X-Real-IP: " + address,
        b"X-Forwarded-Proto: " + client.scheme,
        b"X-Forwarded-Host: " + (client.host or head.host or b""),
    ]
    forwarded = fields.pop(b"forwarded", [])
    if forwarded:
        node = b'"[%b]"' % peer.name if b":" in peer.name else peer.name
        lines.append(b"Forwarded: " + b", ".join([*forwarded, b"for=" + node]))
    prefix = _outer_prefix(head) if fields.pop(_PREFIX, None) else b""
    if prefix and not action.strip_prefix:
        lines.append(b"X-Forwarded-Prefix: " + prefix)
    for name in (b"x-real-ip", b"x-request-id", b"x-forwarded-proto", b"x-forwarded-host"):
        fields.pop(name, None)
    lines += [name + b": " + b", ".join(values) for name, values in fields.items()]
    return b"\r\n".join(lines) + b"\r\n"
