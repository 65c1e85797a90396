"""The caller of an endpoint: its session, its key and its cookies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.concurrency.off_loop import off_loop
from gateway.core.http import caller_fields, refusals
from gateway.core.logins import cookie_deletions, token_sending
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.request_readings import UnreadableRequest, readings
from gateway.core.logins.token_sending import TokenSending
from gateway.core.sessions import keys, subjects
from gateway.core.sessions.records import SessionInfo
from gateway.endpoints.answers import EndpointRefused
from gateway.store.directory import Directory

# In a request without a key, so much of the body is searched for one.
_MAX_BODY_BYTES = 65536
_BODY_SECONDS = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Caller:
    """The session of the key that counts."""

    session_id: str
    session: SessionInfo

    @property
    def subject(self) -> str:
        return self.session.subject

    @property
    def is_unnamed(self) -> bool:
        """Whether the token names no subject.

        Then the caller's other sessions are unknown.
        """
        return subjects.is_unnamed(self.subject)


async def caller(request: web.Request, directory: Directory) -> Caller:
    """The caller's session.

    Raises `EndpointRefused` without one, and `StoreUnavailable`.

    It asks the store, because the relay may remember an ended session for a moment.
    """
    current = session_id(request)
    if current is None:
        with_key = caller_fields.CARRIER in request.headers
        raise EndpointRefused(refusals.BAD_KEY if with_key else refusals.NO_KEY)
    info = (await directory.infos([current])).get(current)
    if info is None or (info.parent_id and not await directory.infos([info.parent_id])):
        raise EndpointRefused(refusals.BAD_KEY)
    return Caller(current, info)


def session_id(request: web.Request) -> str | None:
    """The id of the session whose key counts."""
    return request.headers.get(caller_fields.SESSION)


def presented_key(request: web.Request) -> str | None:
    """The key that counts, where an endpoint has to open its session."""
    return request.headers.get(caller_fields.KEY)


def passed_fields(request: web.Request) -> Iterator[tuple[str, str]]:
    """The client's fields as a route passes them on.

    They are without those of the relay about the caller. The session's token stands in
    Authorization.
    """
    return caller_fields.removed(request.headers.items())


def with_token(
    request: web.Request, target: str, sending: TokenSending | None
) -> tuple[str, list[tuple[str, str]]]:
    """A target and the client's fields with the token, as upstreams get it.

    `sending` says how it is sent; None: as it came.
    """
    fields = list(passed_fields(request))
    came = token_sending.as_it_came(request.headers.get(caller_fields.SENDING, ""))
    if (sending or came) is None or session_id(request) is None:
        return target, fields
    token = session_token(request).encode()
    lines = [
        f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")
        for name, value in fields
        if name.lower() != "authorization"
    ]
    if sending is not None:
        sent = token_sending.put(sending, token, target.encode(), lines)
    else:
        assert came is not None
        sent = token_sending.put_as_it_came(
            came, token, target.encode(), lines, by_cookie=by_cookie(request)
        )
    texts = [line.decode("utf-8", "surrogateescape") for line in (*sent.lines, *sent.token_lines)]
    named = [text[:-2].partition(":") for text in texts]
    return sent.target.decode(), [(name, value.strip()) for name, _, value in named]


def session_token(request: web.Request) -> str:
    """The token of the caller's session, which the relay sends for the key."""
    return request.headers.get("Authorization", "").partition(" ")[2]


def own_fields(request: web.Request) -> Iterator[tuple[str, str]]:
    """The client's own fields, without those of its session.

    With a session, Authorization holds that session's token, which the relay has put there in place
    of the key. Without one it is the client's own, Basic for instance.
    """
    has_session = session_id(request) is not None
    for name, value in passed_fields(request):
        if not (has_session and name.lower() == "authorization"):
            yield name, value


async def sent_by(request: web.Request) -> EchoDetector:
    """All that the client has sent."""
    return EchoDetector(request.raw_path, own_fields(request), await request.read())


def by_cookie(request: web.Request) -> bool:
    """Whether the caller's key came in a cookie."""
    return request.headers.get(caller_fields.CARRIER) == caller_fields.BY_COOKIE


def cookies_with_keys(request: web.Request) -> list[str]:
    """The names of the cookies in which keys came, the one that counts first."""
    name = kept_cookie(request).partition(";")[0]
    others = request.headers.get(caller_fields.OTHER_COOKIES, "").split()
    return [name, *others] if name else []


def kept_cookie(request: web.Request) -> str:
    """The cookie whose key counts, with the attributes that its session keeps.

    "" if the key came in a field.
    """
    return request.headers.get(caller_fields.COOKIE, "")


def other_sessions(request: web.Request) -> list[str]:
    """The ids of the sessions of further cookies, which do not count."""
    return request.headers.get(caller_fields.OTHER_SESSIONS, "").split()


# By the relay's word: the refusal of a key that opens nothing.
_UNREAD = {
    refusal.reason: refusal
    for refusal in (refusals.NOT_A_KEY, refusals.TOKEN_NOT_KEY, refusals.KEY_NOT_READ)
}


async def require_readable_key(request: web.Request, body: bytes) -> None:
    """Raises `EndpointRefused` for no key, or a key in a wrong place.

    A logout would seem to be done, and the session would live on.

    body: its beginning
    """
    unread = request.headers.get(caller_fields.UNREAD)
    if unread is not None:
        raise EndpointRefused(_UNREAD[unread])
    packings = request.headers.getall("Content-Encoding", ())
    is_unread = await off_loop(bool(packings), _may_hold_key, body, packings)
    if body and is_unread:
        raise EndpointRefused(refusals.KEY_NOT_READ)


def _may_hold_key(body: bytes, packings: Sequence[str]) -> bool:
    """Whether a body holds a key, or cannot be unpacked and might hold one.

    `packings` are the values of Content-Encoding.
    """
    if not packings:
        return keys.holds_key(body)
    try:
        texts = readings("", [("content-encoding", value) for value in packings], body)
        return any(keys.holds_key(text.encode("utf-8", "replace")) for text in texts)
    except UnreadableRequest:
        return True


async def beginning_of_body(request: web.Request) -> bytes:
    """The beginning of the body. Raises `EndpointRefused` if it does not come."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > _MAX_BODY_BYTES:
                    break
    except TimeoutError:
        raise EndpointRefused(refusals.BODY_TIMEOUT) from None
    return body[:_MAX_BODY_BYTES]


def deletions(request: web.Request) -> list[str]:
    """Set-Cookie values by which a browser forgets the cookies with keys.

    The session knows the attributes of the cookie that counts. If there are several cookies, all
    likely attributes are tried.
    """
    names, path = cookies_with_keys(request), request.rel_url.raw_path
    if not names:
        return []
    values = [cookie_deletions.deletion_from(kept_cookie(request), names[0])]
    if len(names) > 1:
        asked = asked_host(request)
        for name in names:
            values += cookie_deletions.deletions(name, asked, path)
    return list(dict.fromkeys(values))[: cookie_deletions.MAX_DELETIONS]


def asked_host(request: web.Request) -> str:
    """The host, and its port, that the client asked."""
    return request.headers.get("X-Forwarded-Host", request.host)
