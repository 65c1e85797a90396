"""The login endpoint: answers attempts to log in, for programs and people."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals, return_paths, set_cookies
from gateway.core.logins import refresh_calls
from gateway.core.logins.replies import Reply
from gateway.endpoints import pages
from gateway.endpoints.answers import (
    LOGIN_PAGE,
    RETRY_PAGE,
    EndpointRefused,
    RetryPage,
    refuse,
    replied,
)
from gateway.endpoints.callers import deletions
from gateway.endpoints.forms import form_field
from gateway.endpoints.login_attempts import AttemptReader, is_preflight, read_body
from gateway.endpoints.login_page import LoginPageEndpoint
from gateway.endpoints.refresh import RefreshEndpoint
from gateway.logins import Answer, Attempt, LoggedIn, LoginRefused
from gateway.pages.rendering import REFUSAL
from gateway.pages.texts import Notice

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.session_sections import Keys
    from gateway.core.logins.login_paths import LoginPath

# The field of a login form with the path to go to afterwards.
_RETURN_TO = "return_to"


class LoginEndpoint:
    """Answers at one path of a login."""

    def __init__(
        self,
        section: LoginSection,
        path: LoginPath,
        answer: Answer,
        *,
        keys: Keys,
        identity: Iterable[str],
        login_page: LoginPageEndpoint | None,
        return_origins: Collection[str],
        refresh: RefreshEndpoint | None = None,
    ) -> None:
        """Take the rules of one path.

        section: the login in config.yaml
        path: the path, with its methods and limits
        answer: answers attempts
        keys: the section `keys` of config.yaml
        identity: the names of the fields that tell upstreams the subject
        login_page: the login page, if it has a form that leads here
        return_origins: the other sites to which a login may send a browser
        refresh: answers refresh calls at the same path, if there are any
        """
        self._path = path
        self._answer = answer
        self._login_page = login_page
        self._return_origins = return_origins
        self._refresh = refresh
        self._attempts = AttemptReader(path, keys, identity, section)

    async def __call__(self, request: web.Request) -> web.Response:
        if is_preflight(request) and not self._path.skips_origin_check:
            return replied(await self._answer(self._attempts.preflight(request)))
        if request.method not in self._path.methods:
            looks = request.method in ("GET", "HEAD")
            if self._login_page is not None and looks and pages.wants_page(request):
                # A person who reloads the form after a refusal wants the form.
                return pages.redirected(self._login_page.path)
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(self._path.methods)})
        body = await read_body(request, self._path)
        if self._refresh is not None and self._is_refresh(request, body):
            return await self._refresh.answer(request, body)
        attempt = self._attempts.attempt(request, body)
        if not self._path.skips_origin_check:
            _require_own_site(attempt)
        retry_page: RetryPage = partial(self._retry_page, request, body)
        request[RETRY_PAGE] = retry_page
        try:
            return with_one_key(request, await self._answer(attempt))
        except LoginRefused as failed:
            response = refuse(request, failed.refusal, again=failed.again)
            for cookie in failed.cookies:
                response.headers.add("Set-Cookie", cookie)
            return response

    @staticmethod
    def _is_refresh(request: web.Request, body: bytes) -> bool:
        """Whether an OAuth request is a refresh call; the path is the same."""
        content_type = request.headers.get("Content-Type", "")
        query = request.raw_path.partition("?")[2]
        return refresh_calls.is_refresh_grant(query, content_type, body)

    def _retry_page(
        self, request: web.Request, body: bytes, notice: Notice, status: int
    ) -> web.Response:
        """The page after a refused login: the form, or a link to the login page."""
        given = form_field(request, body, _RETURN_TO) or request.query.get(_RETURN_TO, "/")
        back = return_paths.safe(given, self._return_origins)
        if self._login_page is not None:
            path = self._path.path
            return self._login_page.page(request, back, failed=path, notice=notice, status=status)
        page = request.config_dict[LOGIN_PAGE]
        again = None if page is None else return_paths.login_url(page, back)
        return pages.show(request, REFUSAL, status, notice=notice, back=None, again=again)


def _require_own_site(attempt: Attempt) -> None:
    """Raises `EndpointRefused` for a login that another site's page causes.

    It could log a visitor in as another subject, or out (CWE-352). Without a cookie, a browser does
    nothing for another site.
    """
    sets = attempt.cookie is not None and not attempt.may_set_cookie
    ends = bool(attempt.replaces) and attempt.is_foreign
    if sets or ends:
        raise EndpointRefused(refusals.CROSS_SITE)


def with_one_key(request: web.Request, reply: Reply) -> web.Response:
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
