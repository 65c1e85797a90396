"""The head of a request as an upstream gets it.

What a client must not decide is removed while its head is read (`relay/http1/request_reader.py`);
here the gateway's own fields are added. So no field that a client names in `Connection` can be one
of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import caller_fields, refusals
from gateway.core.http.forwarding import UNKNOWN
from gateway.core.http.refusals import Refusal
from gateway.core.sessions import keys
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.core.tokens import jwt_text
from gateway.relay.http1 import request_ids
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route
    from gateway.store.resolved_session import ResolvedSession


def request_head(
    head: RequestHead,
    route: Route,
    entry: ResolvedSession | None,
    peer: Peer,
    own_id: bytes,
) -> bytes:
    """The head as the upstream gets it; `own_id` is this gateway's name for the request."""
    action = route.action
    host = head.host or action.host  # an HTTP/1.0 client need not name one
    request_id = own_id
    parts = [
        head.method,
        b" ",
        route.target(head) if route.rewrites else head.target,
        b" HTTP/1.1\r\nHost: ",
        host if action.keeps_host else action.host,
        b"\r\n",
        *head.passed,
    ]
    if head.has_length:
        parts.append(b"Content-Length: %d\r\n" % head.length)
    elif head.chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if head.upgrade is not None and action.websocket:
        parts.append(b"Connection: Upgrade\r\nUpgrade: %b\r\n" % head.upgrade)
    elif head.trailers:
        parts.append(b"Connection: TE\r\nTE: trailers\r\n")
    if head.expects_continue and head.has_body:
        parts.append(b"Expect: 100-continue\r\n")
    if head.max_forwards is not None:
        parts.append(b"Max-Forwards: %d\r\n" % (head.max_forwards - 1))
    if peer.trusted and head.forwarding:
        parts.append(_merged(head, peer))
        request_id = request_ids.given_id(head) or own_id
    else:
        parts += (peer.forwarded, b"X-Forwarded-Host: ", host, b"\r\n")
    parts += (b"X-Request-Id: ", request_id, b"\r\n", request_ids.traceparent(head, own_id))
    if entry is not None:
        parts += (b"Authorization: Bearer ", entry.token, b"\r\n", entry.lines)
    if route.in_process:
        parts.append(_endpoint_lines(head, route, entry))
    parts.append(b"\r\n")
    return b"".join(parts)


def _endpoint_lines(head: RequestHead, route: Route, entry: ResolvedSession | None) -> bytes:
    """What the gateway's own endpoints are told: which session, and how its key came, and what
    other keys its cookies hold; the key itself where that is needed to open and seal the session,
    or to take leave of it; and what a browser that is on its way to log in has with it.

    A login may carry an Authorization of its own (Basic, say), which goes on unless it is a key.
    """
    lines = _unread_line(head, entry)
    if head.login_states:
        lines += caller_fields.line(caller_fields.LOGIN_STATES, b"; ".join(head.login_states))
    if head.credential is None:
        given = head.authorization or b""
        return lines if KEY_PATTERN.search(given) else lines + given
    if entry is not None:
        lines += caller_fields.line(caller_fields.SESSION, entry.session.id.encode())
    captures = route.action.captures
    if captures is not None:
        lines += caller_fields.line(caller_fields.CAPTURE, b"%d" % captures)
    if captures is not None or (head.cookie is not None and entry is not None):
        lines += caller_fields.line(caller_fields.KEY, head.credential)
    if head.cookie is None:
        return lines + caller_fields.line(caller_fields.CARRIER, caller_fields.BY_HEADER.encode())
    return lines + _cookie_lines(head, entry)


def _unread_line(head: RequestHead, entry: ResolvedSession | None) -> bytes:
    """Why a key that came opens nothing, unless its session has ended."""
    refusal = None if entry is not None else _unread(head)
    if refusal is None:
        return b""
    return caller_fields.line(caller_fields.UNREAD, refusal.reason.encode())


def _unread(head: RequestHead) -> Refusal | None:
    """Whether what came is no key, or is one that stands where no key is read."""
    credential = head.credential
    if credential is not None and head.cookie is None and not KEY_PATTERN.fullmatch(credential):
        is_jwt = jwt_text.sole(credential.decode("latin-1"))
        return refusals.TOKEN_NOT_KEY if is_jwt else refusals.NOT_A_KEY
    given = (head.authorization or b"").partition(b":")[2]
    if head.stray_key or (credential is None and keys.stands_in_authorization(given)):
        return refusals.KEY_NOT_READ
    return None


def _cookie_lines(head: RequestHead, entry: ResolvedSession | None) -> bytes:
    """The name of the cookie that counts, with what its session keeps of it; and the names of the
    others with keys, and the ids of their sessions, for these end with it.
    """
    chosen = (head.cookie, head.credential)
    names = [name for name, key in dict.fromkeys(head.key_cookies) if (name, key) != chosen]
    current = None if entry is None else entry.session.id
    others = [session_id for session_id in head.session_ids if session_id != current]
    lines = caller_fields.line(caller_fields.CARRIER, caller_fields.BY_COOKIE.encode())
    lines += caller_fields.line(caller_fields.COOKIE, _kept_cookie(head, entry))
    if names:
        lines += caller_fields.line(caller_fields.OTHER_COOKIES, b" ".join(names))
    if others:
        lines += caller_fields.line(caller_fields.OTHER_SESSIONS, " ".join(others).encode())
    return lines


def _kept_cookie(head: RequestHead, entry: ResolvedSession | None) -> bytes:
    name = head.cookie or b""
    kept = b"" if entry is None else entry.session.cookie.encode("ascii")
    return kept if kept.startswith(name + b"; ") else name


def _merged(head: RequestHead, peer: Peer) -> bytes:
    """A trusted proxy's forwarding fields, with the proxy itself appended (RFC 7239 §5).

    One without an address, on a unix socket, is not appended to a chain: backends that read it from
    the right would find no address there.
    """
    fields: dict[bytes, list[bytes]] = {}
    for name, value in head.forwarding:
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
    for name in (b"x-real-ip", b"x-request-id", b"x-forwarded-proto", b"x-forwarded-host"):
        fields.pop(name, None)
    lines += [name + b": " + b", ".join(values) for name, values in fields.items()]
    return b"\r\n".join(lines) + b"\r\n" + peer.via
