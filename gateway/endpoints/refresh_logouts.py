"""Logouts with a refresh key alone, as for token revocation (RFC 7009).

simplejwt's blacklist and Keycloak's end of a session get nothing else.
"""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.http import caller_fields, refusals
from gateway.core.logins import refresh_calls
from gateway.core.sessions import refresh_keys
from gateway.core.sessions.keys import Key
from gateway.endpoints.answers import EndpointRefused
from gateway.endpoints.own_site import is_own_site
from gateway.store.resolved_session import ResolvedSession
from gateway.store.sessions import Sessions


def key_of(request: web.Request, body: bytes, sessions: Sessions) -> Key | None:
    """The session's key, by a refresh key in the body, a field or a cookie.

    Raises `EndpointRefused` if another site's page may have had a browser send the cookie.
    """
    in_field = request.headers.get(caller_fields.REFRESH_KEY, "")
    _, _, in_cookie = request.headers.get(caller_fields.REFRESH_COOKIE, "").partition(" ")
    presented = refresh_calls.refresh_key_in(body) or in_field.encode() or in_cookie.encode()
    opened = refresh_keys.opened(presented, sessions.sealer)
    if opened is not None and presented == in_cookie.encode() and not is_own_site(request):
        raise EndpointRefused(refusals.CROSS_SITE)
    return None if opened is None else opened.key


async def as_caller(request: web.Request, key: Key, sessions: Sessions) -> web.Request:
    """The request as if the key of its session had come in Authorization.

    The same request if the session has ended. Raises `StoreUnavailable`.
    """
    resolved = await sessions.resolve(key.raw, renew=False)
    if not isinstance(resolved, ResolvedSession):
        return request
    session = resolved.session
    fields = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if value.isascii() and name.lower() != "authorization"
    )
    fields[caller_fields.SESSION] = session.id
    fields[caller_fields.KEY] = key.reveal()
    fields[caller_fields.CARRIER] = caller_fields.BY_HEADER
    fields["Authorization"] = f"Bearer {session.token.reveal()}"
    if session.sending:
        fields[caller_fields.SENDING] = session.sending
    return request.clone(headers=fields)
