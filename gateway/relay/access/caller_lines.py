"""The field lines by which the endpoints learn of a caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import caller_fields, refusals
from gateway.core.http.refusals import Refusal
from gateway.core.sessions import keys
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.core.sessions.refresh_keys import REFRESH_KEY_PATTERN
from gateway.core.tokens import jwt_text
from gateway.relay.access import own_authorization
from gateway.relay.http1.request_head import RequestHead

if TYPE_CHECKING:
    from gateway.relay.access.route import Route
    from gateway.store.resolved_session import ResolvedSession


def lines(head: RequestHead, route: Route, resolved: ResolvedSession | None) -> bytes:
    """The field lines about a caller: its session, and how its key came.

    The key itself is among them, since endpoints open the session: to capture a token, or for what
    a logout tells others. A client may bring an Authorization of its own (Basic, say), for the
    backend's login.
    """
    added = _unread_line(head, resolved)
    added += _refresh_lines(head)
    if head.login_states:
        added += caller_fields.line(caller_fields.LOGIN_STATES, b"; ".join(head.login_states))
    if route.action.whole is not None:
        added += caller_fields.line(caller_fields.CAPTURE, b"%d" % route.action.whole)
    if own := own_authorization.line(head, route):
        added += own if resolved is None else _beside_token(own)
    if head.presented_key is None:
        return added
    if resolved is not None:
        added += caller_fields.line(caller_fields.SESSION, resolved.session.id.encode())
        if resolved.session.sending:
            added += caller_fields.line(caller_fields.SENDING, resolved.session.sending.encode())
        added += caller_fields.line(caller_fields.KEY, head.presented_key)
    if head.cookie is None:
        return added + caller_fields.line(caller_fields.CARRIER, caller_fields.BY_HEADER.encode())
    return added + _cookie_lines(head, resolved)


def _beside_token(own: bytes) -> bytes:
    """The client's own Authorization, renamed: the token takes that name."""
    return caller_fields.line(caller_fields.AUTHORIZATION, own.partition(b":")[2].strip())


def _refresh_lines(head: RequestHead) -> bytes:
    """The refresh keys of a refresh call: in a field, and in a cookie."""
    given = (head.refresh_key, head.presented_key, head.authorization)
    found = REFRESH_KEY_PATTERN.search(b" ".join(filter(None, given)))
    lines = b"" if found is None else caller_fields.line(caller_fields.REFRESH_KEY, found[0])
    cookie = head.refresh_cookie
    if cookie is not None:
        lines += caller_fields.line(caller_fields.REFRESH_COOKIE, b" ".join(cookie))
    return lines


def _unread_line(head: RequestHead, resolved: ResolvedSession | None) -> bytes:
    """The reason why a key opens nothing, unless its session has ended."""
    refusal = None if resolved is not None else _unread(head)
    if refusal is None:
        return b""
    return caller_fields.line(caller_fields.UNREAD, refusal.reason.encode())


def _unread(head: RequestHead) -> Refusal | None:
    """The refusal of text that is no key, or of a key in a wrong place."""
    presented_key = head.presented_key
    if (
        presented_key is not None
        and head.cookie is None
        and not KEY_PATTERN.fullmatch(presented_key)
    ):
        is_jwt = jwt_text.sole(presented_key.decode("latin-1"))
        return refusals.TOKEN_NOT_KEY if is_jwt else refusals.NOT_A_KEY
    given = (head.authorization or b"").partition(b":")[2]
    if head.stray_key or (presented_key is None and keys.stands_in_authorization(given)):
        return refusals.KEY_NOT_READ
    return None


def _cookie_lines(head: RequestHead, resolved: ResolvedSession | None) -> bytes:
    """The lines about the cookies with keys.

    They name the cookie that counts, with the attributes that its session keeps, and the other
    cookies with the ids of their sessions: a logout ends these as well.
    """
    chosen = (head.cookie, head.presented_key)
    names = [name for name, key in dict.fromkeys(head.key_cookies) if (name, key) != chosen]
    current = None if resolved is None else resolved.session.id
    others = [session_id for session_id in head.session_ids if session_id != current]
    lines = caller_fields.line(caller_fields.CARRIER, caller_fields.BY_COOKIE.encode())
    lines += caller_fields.line(caller_fields.COOKIE, _kept_cookie(head, resolved))
    if names:
        lines += caller_fields.line(caller_fields.OTHER_COOKIES, b" ".join(names))
    if others:
        lines += caller_fields.line(caller_fields.OTHER_SESSIONS, " ".join(others).encode())
    return lines


def _kept_cookie(head: RequestHead, resolved: ResolvedSession | None) -> bytes:
    name = head.cookie or b""
    kept = b"" if resolved is None else resolved.session.cookie.encode("ascii")
    return kept if kept.startswith(name + b"; ") else name
