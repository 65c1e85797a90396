"""The admin API: all sessions, for operators with the admin secret."""

from __future__ import annotations

import hmac

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.secret import Secret
from gateway.core.timestamps import BadTimestamp, parse_timestamp
from gateway.endpoints.answers import EndpointRefused, Handler
from gateway.observe.events import Event, Report
from gateway.store.administration import Administration
from gateway.store.sessions import Sessions

_NO_STORE = {"Cache-Control": "no-store"}


def build_admin_sessions(sessions: Sessions, secret: Secret | None) -> web.Application:
    """The application below `/sessions` of the admin listener.

    Without a secret it refuses all.
    """
    api = _Api(Administration(sessions, "admin"))
    app = web.Application(middlewares=[_guard(secret, sessions.report)])
    app.router.add_get("", api.listed)
    app.router.add_delete("", api.end_many)
    app.router.add_get("/count", api.count)
    app.router.add_delete("/{handle}", api.end)
    return app


def _guard(secret: Secret | None, report: Report) -> Middleware:
    """A middleware that lets requests with the secret pass."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if secret is None:
            raise EndpointRefused(refusals.ADMIN_OFF)
        if not _has_secret(request, secret):
            report(Event("refused", address=request.remote or "", reason="admin_secret"))
            raise EndpointRefused(refusals.ADMIN_SECRET)
        return await handler(request)

    return guard


def _has_secret(request: web.Request, secret: Secret) -> bool:
    """Whether the request holds the secret, compared in constant time.

    A request that holds another one as well does not pass.
    """
    scheme, _, given = ",".join(request.headers.getall("Authorization", [])).partition(" ")
    known = hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), secret.reveal().encode("utf-8")
    )
    return known and scheme.lower() == "bearer"


class _Api:
    """The handlers. They raise `EndpointRefused` and `StoreUnavailable`."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def listed(self, request: web.Request) -> web.Response:
        subject = _query(request, "subject").get("subject", "")
        if not subject:
            raise EndpointRefused(_bad("Say whose sessions: /sessions?subject=…"))
        return _json({"sessions": await self._administration.listed(subject)})

    async def count(self, request: web.Request) -> web.Response:
        query = _query(request, "subject")
        if query.get("subject") == "":
            raise EndpointRefused(_bad("The subject is empty."))
        return _json({"count": await self._administration.count(**query)})

    async def end(self, request: web.Request) -> web.Response:
        _query(request)
        count = await self._administration.end(request.match_info["handle"])
        if not count:
            raise EndpointRefused(refusals.NO_SUCH_SESSION)
        return _json({"revoked": count})

    async def end_many(self, request: web.Request) -> web.Response:
        """End all sessions of a subject, or all that were issued before a time.

        A request without either is refused, so that no mistake ends all sessions.
        """
        query = _query(request, "subject", "issued_before")
        if len(query) != 1 or "" in query.values():
            raise EndpointRefused(
                _bad("Say which sessions: ?subject=… or ?issued_before=…, one of them.")
            )
        if "subject" in query:
            return _json({"revoked": await self._administration.end_all_of(query["subject"])})
        try:
            moment = parse_timestamp(query["issued_before"])
        except BadTimestamp:
            raise EndpointRefused(
                _bad("issued_before is a time as 2026-01-31T12:00:00Z, or UNIX seconds.")
            ) from None
        return _json({"revoked": await self._administration.end_issued_before(moment)})


def _query(request: web.Request, *known: str) -> dict[str, str]:
    """The parameters.

    Raises `EndpointRefused` if one is unknown or comes twice.
    """
    query = dict(request.query)
    if set(query) - set(known) or len(request.query) > len(query):
        listed = " and ".join(known) or "none"
        raise EndpointRefused(
            _bad(f"A parameter is not known here, or is said twice; known: {listed}.")
        )
    return query


def _bad(title: str) -> Refusal:
    return Refusal(400, "bad_parameter", title)


def _json(data: object) -> web.Response:
    return web.json_response(data, headers=_NO_STORE)
