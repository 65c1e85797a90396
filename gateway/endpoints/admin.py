"""The admin listener: health, readiness, metrics and the admin API."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from aiohttp import web

from gateway import __version__
from gateway.concurrency.off_loop import off_loop
from gateway.core.http import content_codings
from gateway.core.http.refusals import Refusal
from gateway.core.secret import Secret
from gateway.endpoints.admin_sessions import build_admin_sessions
from gateway.endpoints.answers import REFUSED, refusals_as_problems, without_server_field
from gateway.store.sessions import Sessions

# Prometheus's text format.
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GZIP_LEVEL = 1  # the fastest: the text repeats itself so much that others save little


def build_admin(
    sessions: Sessions,
    *,
    secret: Secret | None,
    is_draining: Callable[[], bool],
    metrics: Callable[[], bytes],
    refused: Callable[[Refusal], None],
) -> web.Application:
    """The application of the admin listener.

    `/healthz` is for process managers, `/readyz` for load balancers, `/metrics` for Prometheus, and
    `/sessions` for operators with the secret. A store that is down makes the gateway unready, but
    not unhealthy: a restart would not help.

    secret: the admin secret; without one, the admin API is off
    is_draining: whether this worker is about to end
    metrics: renders the metrics
    refused: counts a refusal
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "draining" if is_draining() else "ok",
                "store": "up" if sessions.available else "down",
                "version": __version__,
            }
        )

    async def readyz(_request: web.Request) -> web.Response:
        ready = sessions.available and not is_draining()
        policy = sessions.eviction_policy
        warnings = {"warnings": [f"maxmemory-policy {policy}"]} if policy else {}
        return web.json_response({"ready": ready, **warnings}, status=200 if ready else 503)

    async def render(request: web.Request) -> web.Response:
        accepted = ",".join(request.headers.getall("Accept-Encoding", ()))
        packed = content_codings.chosen(accepted, ["gzip"]) is not None
        coding = {"Content-Encoding": "gzip"} if packed else {}
        body = await off_loop(True, _rendered, metrics, packed=packed)  # noqa: FBT003 (it is long)
        return web.Response(
            body=body,
            headers={"Content-Type": _METRICS_TYPE, "Vary": "Accept-Encoding", **coding},
        )

    app = web.Application(middlewares=[refusals_as_problems])
    app[REFUSED] = refused
    app.on_response_prepare.append(without_server_field)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render)
    app.add_subapp("/sessions", build_admin_sessions(sessions, secret))
    return app


def _rendered(metrics: Callable[[], bytes], *, packed: bool) -> bytes:
    text = metrics()
    return gzip.compress(text, _GZIP_LEVEL) if packed else text
