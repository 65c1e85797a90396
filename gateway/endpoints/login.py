"""The login endpoint: makes an attempt of a request and answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.core.http import (
    caller_fields,
    media_types,
    multipart,
    refusals,
    return_paths,
    set_cookies,
)
from gateway.core.http.field_names import fold
from gateway.core.http.origins import plain_authority
from gateway.core.logins import carriers
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.replies import Reply
from gateway.core.sessions import devices
from gateway.endpoints import pages
from gateway.endpoints.answers import (
    LOGIN_PAGE,
    RETRY_PAGE,
    EndpointRefused,
    RetryPage,
    refuse,
    replied,
)
from gateway.endpoints.callers import (
    asked_host,
    by_cookie,
    deletions,
    other_sessions,
    passed_fields,
    session_id,
)
from gateway.endpoints.login_page import LoginPageEndpoint
from gateway.endpoints.own_site import comes_from_other_site, is_own_site, is_secure, own_origin
from gateway.logins import Answer, Attempt, LoggedIn, LoginRefused
from gateway.pages.rendering import REFUSAL
from gateway.pages.texts import Notice

if TYPE_CHECKING:
    from gateway.config.model import Keys
    from gateway.core.logins.login_paths import LoginPath

# The field of a login form that says how the key is to travel: `cookie` or `reply`.
_CARRIER = "key_carrier"

# The field of a login form with the path to go to afterwards.
_RETURN_TO = "return_to"

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

# A larger form, or one with more fields, is not read: that would take a worker's time.
_MAX_FORM_BYTES = 65536
_MAX_FORM_FIELDS = 100


class LoginEndpoint:
    """Answers at one path of a login."""

    def __init__(
        self,
        path: LoginPath,
        answer: Answer,
        keys: Keys,
        identity: Iterable[str],
        login_page: LoginPageEndpoint | None,
    ) -> None:
        """Take the rules of one path.

        path: the path, with its methods and limits
        answer: answers attempts
        keys: the section `keys` of config.yaml
        identity: the names of the fields that tell upstreams the subject
        login_page: the login page, if it has a form that leads here
        """
        self._path = path
        self._answer = answer
        self._login_page = login_page
        self._keys = keys
        self._identity = frozenset(fold(name.encode()) for name in identity)

    async def __call__(self, request: web.Request) -> web.Response:
        if _is_preflight(request) and not self._path.skips_origin_check:
            return replied(await self._answer(self._preflight(request)))
        if request.method not in self._path.methods:
            looks = request.method in ("GET", "HEAD")
            if self._login_page is not None and looks and pages.wants_page(request):
                # A person who reloads the form after a refusal wants the form.
                return pages.redirected(self._login_page.path)
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(self._path.methods)})
        body = await self._body(request)
        attempt = self._attempt(request, body)
        if not self._path.skips_origin_check:
            _require_own_site(request, attempt)
        retry_page: RetryPage = partial(self._retry_page, request, body)
        request[RETRY_PAGE] = retry_page
        try:
            return _with_one_key(request, await self._answer(attempt))
        except LoginRefused as failed:
            fields = {} if failed.cookie is None else {"Set-Cookie": failed.cookie}
            return refuse(request, failed.refusal, fields, again=failed.again)

    async def _body(self, request: web.Request) -> bytes:
        """The body. Raises `EndpointRefused` if it is too large or too slow."""
        max_body, body = self._path.max_body, bytearray()
        if (request.content_length or 0) > max_body:
            raise EndpointRefused(refusals.BODY_TOO_LARGE)
        try:
            # The relay cuts a body that stops. This cuts one that never ends.
            async with asyncio.timeout(self._path.body_timeout):
                async for piece in request.content.iter_any():
                    body += piece
                    if len(body) > max_body:
                        raise EndpointRefused(refusals.BODY_TOO_LARGE)
        except TimeoutError:
            raise EndpointRefused(refusals.BODY_TIMEOUT) from None
        return bytes(body)

    def _preflight(self, request: web.Request) -> Attempt:
        """A preflight for the backend, without a query, a name or a password.

        Raises `EndpointRefused` if it has a body, which no browser sends.
        """
        if request.body_exists:
            raise EndpointRefused(refusals.MALFORMED)
        asked = self._attempt(request, b"")
        fields = tuple(line for line in asked.fields if _is_of_a_preflight(line[0].lower()))
        return replace(asked, query="", fields=fields)

    def _retry_page(
        self, request: web.Request, body: bytes, notice: Notice, status: int
    ) -> web.Response:
        """The page after a refused login: the form, or a link to the login page."""
        given = _field(request, body, _RETURN_TO) or request.query.get(_RETURN_TO, "/")
        back = return_paths.safe(given)
        if self._login_page is not None:
            path = self._path.path
            return self._login_page.page(request, back, failed=path, notice=notice, status=status)
        page = request.config_dict[LOGIN_PAGE]
        again = None if page is None else return_paths.login_url(page, back)
        return pages.show(request, REFUSAL, status, notice=notice, back=None, again=again)

    def _attempt(self, request: web.Request, body: bytes) -> Attempt:
        headers = request.headers
        _, mark, query = request.raw_path.partition("?")
        return Attempt(
            method=request.method,
            query=mark + query,
            fields=tuple(self._passed(request)),
            body=body,
            address=headers.get("X-Real-IP", "unknown"),
            device=devices.label(headers.get("User-Agent", "")),
            request_id=headers.get("X-Request-Id", ""),
            replaces=_replaced(request),
            is_foreign=comes_from_other_site(request),
            cookie=self._cookie(request, body),
            origin=own_origin(request, self._keys),
            authority=plain_authority(asked_host(request)),
            login_states=_cookies(headers.get(caller_fields.LOGIN_STATES, "")),
        )

    def _cookie(self, request: web.Request, body: bytes) -> KeyCookie | None:
        """The cookie that will hold the key; None if the key is for the reply."""
        headers, keys = request.headers, self._keys
        carrier = carriers.choose(
            self._path.carrier or keys.carrier,
            content_type=headers.get("Content-Type", ""),
            accept=",".join(headers.getall("Accept", ())),
            requested_with=headers.get("X-Requested-With", ""),
            wanted=_field(request, body, _CARRIER),
        )
        if carrier == "reply":
            return None
        return carriers.key_cookie(keys.cookie, secure=is_secure(request, keys))

    def _passed(self, request: web.Request) -> Iterable[tuple[str, str]]:
        """The client's own fields, without those of its present session.

        With a session, Authorization holds that session's token, which no login may see. Without
        one it is the client's own, Basic for instance.
        """
        has_session = session_id(request) is not None
        for name, value in passed_fields(request):
            folded = fold(name.encode("utf-8", "surrogateescape"))
            if folded in self._identity or (folded == b"authorization" and has_session):
                continue
            yield name, value


def _replaced(request: web.Request) -> tuple[str, ...]:
    """The sessions of the cookies that came.

    A session by a field is another device's.
    """
    if not by_cookie(request):
        return ()
    return tuple(filter(None, (session_id(request), *other_sessions(request))))


def _is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if another site's page may log in.

    The backend answers it.
    """
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _is_of_a_preflight(name: str) -> bool:
    return name in _OF_A_PREFLIGHT or name.startswith(_OF_PREFLIGHTS)


def _require_own_site(request: web.Request, attempt: Attempt) -> None:
    """Raises `EndpointRefused` for a login that another site's page causes.

    It could log a visitor in as another subject, or out (CWE-352). Without a cookie, a browser does
    nothing for another site.
    """
    sets = attempt.cookie is not None and not is_own_site(request)
    ends = bool(attempt.replaces) and attempt.is_foreign
    if sets or ends:
        raise EndpointRefused(refusals.CROSS_SITE)


def _with_one_key(request: web.Request, reply: Reply) -> web.Response:
    """A login's reply, which deletes the cookies of replaced sessions.

    The browser would send them beside the new key.
    """
    response = replied(reply)
    if isinstance(reply, LoggedIn):
        path = request.rel_url.raw_path
        put = {
            set_cookies.place(value, path) for value in response.headers.getall("Set-Cookie", ())
        }
        for value in deletions(request):
            if set_cookies.place(value, path) not in put:
                response.headers.add("Set-Cookie", value)
    return response


def _field(request: web.Request, body: bytes, name: str) -> str:
    """The value of a form's field; "" without one."""
    if len(body) > _MAX_FORM_BYTES:
        return ""
    content_type = request.headers.get("Content-Type", "")
    fields: Iterable[tuple[str, str]] = ()
    match media_types.essence(content_type):
        case media_types.FORM:
            with suppress(ValueError):
                fields = parse_qsl(body.decode("latin-1"), max_num_fields=_MAX_FORM_FIELDS)
        case media_types.FORM_OF_PARTS:
            fields = islice(multipart.fields(content_type, body), _MAX_FORM_FIELDS)
    return next((value for field, value in fields if field == name), "")


def _cookies(line: str) -> dict[str, str]:
    """The cookies of a Cookie field, by their names."""
    pairs = (pair.partition("=") for pair in line.split("; ") if pair)
    return {name: value for name, _, value in pairs}
