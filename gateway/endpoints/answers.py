"""Answers of the endpoints: refusals for programs and for people."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.http import refusals, return_paths
from gateway.core.http.origins import SAFE_METHODS
from gateway.core.http.refusals import PROBLEM_TYPE, Refusal
from gateway.core.logins.replies import Reply
from gateway.endpoints import pages
from gateway.outbound.backends import BackendFailed
from gateway.pages import policy
from gateway.pages.rendering import REFUSAL
from gateway.pages.texts import Notice
from gateway.store.errors import StoreUnavailable
from gateway.store.login_failures import TooManyFailures

_log = logging.getLogger("gateway.endpoints")

# Counts a refusal.
REFUSED: web.AppKey[Callable[[Refusal], None]] = web.AppKey("REFUSED")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The path where browsers log in, if there is one.
LOGIN_PAGE: web.AppKey[str | None] = web.AppKey("login_page")

# Makes the page on which a person can try again, from a notice and the status.
RetryPage = Callable[[Notice, int], web.Response]
RETRY_PAGE: web.RequestKey[RetryPage] = web.RequestKey("RETRY_PAGE")

_UNAUTHENTICATED = 401

_BY_STATUS = {404: refusals.NO_ROUTE, 405: refusals.METHOD, 413: refusals.BODY_TOO_LARGE}


class EndpointRefused(Exception):
    """The endpoint refuses the request.

    `back` is a path where people can go on.
    """

    def __init__(self, refusal: Refusal, *, back: str | None = None) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.back = back


def refuse(
    request: web.Request,
    refusal: Refusal,
    fields: Mapping[str, str] | None = None,
    *,
    back: str | None = None,
    again: str | None = None,
) -> web.Response:
    """A refusal as a response: a JSON problem for programs, a page for people.

    A person without a session is sent to the login page.

    fields: more fields of the response
    back: a path where people can go on
    again: a path where people can try again; without it, the request's RETRY_PAGE is shown, if any
    """
    if not pages.wants_page(request):
        return problem(request, refusal, fields)
    request.config_dict[REFUSED](refusal)
    retry_page: RetryPage | None = None if again is not None else request.get(RETRY_PAGE)
    attempted = again is not None or retry_page is not None
    login_page = request.config_dict[LOGIN_PAGE]
    if refusal.status == _UNAUTHENTICATED and login_page is not None and not attempted:
        here = request.raw_path if request.method in SAFE_METHODS else "/"
        return pages.redirected(return_paths.login_url(login_page, return_paths.safe(here)))
    notice = pages.texts_for(request).notice(refusal.reason)
    if retry_page is not None:
        response = retry_page(notice, refusal.status)
    else:
        response = pages.show(
            request, REFUSAL, refusal.status, notice=notice, back=back, again=again
        )
    response.headers.update({**refusal.fields, **(fields or {})})
    return response


def problem(
    request: web.Request, refusal: Refusal, fields: Mapping[str, str] | None = None
) -> web.Response:
    """A refusal as a JSON problem (RFC 9457)."""
    request.config_dict[REFUSED](refusal)
    headers = CIMultiDict({**refusal.fields, **(fields or {}), "Cache-Control": "no-store"})
    headers["Content-Type"] = PROBLEM_TYPE
    headers["Vary"] = policy.VARY
    body = refusal.body(request.headers.get("X-Request-Id"))
    return web.Response(status=refusal.status, headers=headers, body=body)


def replied(reply: Reply) -> web.Response:
    """The response for a backend's reply."""
    return web.Response(
        status=reply.status,
        reason=reply.reason or None,
        headers=CIMultiDict(reply.fields),
        body=reply.body,
    )


@web.middleware
async def refusals_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A middleware that turns errors into refusals, without their text."""
    try:
        return await handler(request)
    except EndpointRefused as refused:
        return refuse(request, refused.refusal, back=refused.back)
    except BackendFailed as failed:
        return refuse(request, failed.refusal)
    except TooManyFailures as failed:
        again = {"Retry-After": str(failed.seconds)}
        return refuse(request, refusals.TOO_MANY_ATTEMPTS, again)
    except StoreUnavailable:
        return refuse(request, refusals.STORE_DOWN)
    except ConnectionResetError:
        # The relay has ended the request, and has counted why: this answer is never read.
        return web.Response(status=refusals.BODY_TIMEOUT.status)
    except web.HTTPException as error:
        allow = error.headers.get("Allow", "").replace(",", ", ")
        fields = {"Allow": allow} if allow else None
        return refuse(request, _BY_STATUS.get(error.status, refusals.MALFORMED), fields)
    except Exception as error:
        # An error's text may hold bytes of the client. The place where it arose tells enough.
        trace = "".join(traceback.format_tb(error.__traceback__))
        name = type(error).__name__
        _log.error("an endpoint failed: %s\nTraceback without the text:\n%s", name, trace)
        return problem(request, refusals.INTERNAL)


async def without_server_field(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove aiohttp's `Server`: it is the upstream's (wire-rules.md#B14)."""
    if response.headers.get("Server", "").startswith("Python/"):
        del response.headers["Server"]
