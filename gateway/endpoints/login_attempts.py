"""A request as an attempt to log in, or as a preflight of one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import caller_fields, path_shapes, refusals
from gateway.core.http.field_names import fold
from gateway.core.http.origins import plain_authority
from gateway.core.logins import carriers
from gateway.core.logins.carriers import KeyCookie
from gateway.core.sessions import devices
from gateway.core.sessions.session import AS_ALL, Life
from gateway.endpoints.answers import EndpointRefused
from gateway.endpoints.callers import (
    asked_host,
    by_cookie,
    other_sessions,
    passed_fields,
    session_id,
)
from gateway.endpoints.forms import form_field, login_field
from gateway.endpoints.own_site import (
    comes_from_other_site,
    is_own_site,
    is_secure,
    is_visit,
    own_origin,
)
from gateway.logins import Attempt, _lives

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.session_sections import Keys
    from gateway.core.logins.login_paths import LoginPath

# The field of a login form that says how the key is to travel: `cookie` or `reply`.
_CARRIER = "key_carrier"

# The backend gets these fields of a preflight: browsers send them (WHATWG Fetch §4.8), or proxies
# add them. A backend may take any request at its login's path for a login, so no other field may
# pass: it could be a guess.
_OF_A_PREFLIGHT = frozenset(
    {
        "accept",
        "accept-language",
        "forwarded",
        "host",
        "origin",
        "referer",
        "user-agent",
        "via",
        "x-real-ip",
        "x-request-id",
    }
)
_OF_PREFLIGHTS = ("access-control-request-", "sec-fetch-", "x-forwarded-")


class AttemptReader:
    """Reads the attempts at one path of a login."""

    def __init__(
        self,
        path: LoginPath,
        keys: Keys,
        identity: Iterable[str],
        section: LoginSection | None = None,
    ) -> None:
        """Take the rules of the path.

        path: the path, with its carrier of keys
        keys: the section `keys` of config.yaml
        identity: the names of the fields that tell upstreams the subject
        section: the login in config.yaml; None at a path where no session begins
        """
        self._section = section
        self._path = path
        self._keys = keys
        self._identity = frozenset(fold(name.encode()) for name in identity)

    def attempt(self, request: web.Request, body: bytes) -> Attempt:
        """The request as an attempt to log in."""
        headers = request.headers
        path, mark, query = request.raw_path.partition("?")
        may_lead = self._path.may_be_led_to and is_visit(request)
        is_remembered, life = self._life(request, body)
        return Attempt(
            method=request.method,
            query=mark + query,
            path=request.path,
            segments=path_shapes.values(self._path.path, path),
            fields=tuple(self._passed(request)),
            body=body,
            address=headers.get("X-Real-IP", "unknown"),
            device=devices.label(headers.get("User-Agent", "")),
            request_id=headers.get("X-Request-Id", ""),
            replaces=_replaced(request),
            is_foreign=not may_lead and comes_from_other_site(request),
            cookie=self._cookie(request, body),
            is_remembered=is_remembered,
            life=life,
            origin=own_origin(request, self._keys),
            may_set_cookie=may_lead or is_own_site(request),
            authority=plain_authority(asked_host(request)),
            login_states=_cookies(headers.get(caller_fields.LOGIN_STATES, "")),
        )

    def preflight(self, request: web.Request) -> Attempt:
        """A preflight for the backend, without a query, a name or a password.

        Raises `EndpointRefused` if it has a body, which no browser sends.
        """
        if request.body_exists:
            raise EndpointRefused(refusals.MALFORMED)
        asked = self.attempt(request, b"")
        fields = tuple(line for line in asked.fields if _is_of_a_preflight(line[0].lower()))
        return replace(asked, query="", fields=fields)

    def _life(self, request: web.Request, body: bytes) -> tuple[bool, Life]:
        """Whether the user asks for a session that lasts, and its timeouts.

        Another site that leads to a login does not ask for its visitor. What a page of another
        origin sends with a password, its user has chosen there.
        """
        if self._section is None:
            return False, AS_ALL
        is_led = is_visit(request) and comes_from_other_site(request)
        given = _nothing if is_led else partial(login_field, request, body)
        is_remembered = _lives.asks_to_be_remembered(self._section, given)
        return is_remembered, _lives.life_of(self._section, remembered=is_remembered)

    def _cookie(self, request: web.Request, body: bytes) -> KeyCookie | None:
        """The cookie that will hold the key; None if the key is for the reply."""
        headers, keys = request.headers, self._keys
        carrier = carriers.choose(
            self._path.carrier or keys.carrier,
            content_type=headers.get("Content-Type", ""),
            accept=",".join(headers.getall("Accept", ())),
            requested_with=headers.get("X-Requested-With", ""),
            wanted=form_field(request, body, _CARRIER),
        )
        if carrier == "reply":
            return None
        return carriers.key_cookie(keys.cookie, secure=is_secure(request, keys))

    def _passed(self, request: web.Request) -> Iterable[tuple[str, str]]:
        """The client's own fields, without those of its present session.

        With a session, Authorization holds that session's token, which no login may see: the
        client's own (Basic for instance) takes its place.
        """
        has_session = session_id(request) is not None
        for name, value in passed_fields(request):
            folded = fold(name.encode("utf-8", "surrogateescape"))
            if folded in self._identity or (folded == b"authorization" and has_session):
                continue
            yield name, value
        own = request.headers.get(caller_fields.AUTHORIZATION)
        if own is not None:
            yield "Authorization", own


async def read_body(request: web.Request, path: LoginPath) -> bytes:
    """The body. Raises `EndpointRefused` if it is too large or too slow."""
    max_body, body = path.max_body, bytearray()
    if (request.content_length or 0) > max_body:
        raise EndpointRefused(refusals.BODY_TOO_LARGE)
    try:
        # The relay cuts a body that stops. This cuts one that never ends.
        async with asyncio.timeout(path.body_timeout):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > max_body:
                    raise EndpointRefused(refusals.BODY_TOO_LARGE)
    except TimeoutError:
        raise EndpointRefused(refusals.BODY_TIMEOUT) from None
    return bytes(body)


def _nothing(_name: str) -> None:
    """Count the fields of a login for nothing."""


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if another site's page may log in.

    The backend answers it.
    """
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _replaced(request: web.Request) -> tuple[str, ...]:
    """The sessions of the cookies that came.

    A session by a field is another device's.
    """
    if not by_cookie(request):
        return ()
    return tuple(filter(None, (session_id(request), *other_sessions(request))))


def _is_of_a_preflight(name: str) -> bool:
    return name in _OF_A_PREFLIGHT or name.startswith(_OF_PREFLIGHTS)


def _cookies(line: str) -> dict[str, str]:
    """The cookies of a Cookie field, by their names."""
    pairs = (pair.partition("=") for pair in line.split("; ") if pair)
    return {name: value for name, _, value in pairs}
