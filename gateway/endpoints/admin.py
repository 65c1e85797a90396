"""The admin listener: whether this worker lives and can do its work, the metrics, the admin API."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from gateway import __version__
from gateway.core.http.refusals import Refusal
from gateway.core.secret import Secret
from gateway.endpoints.admin_sessions import build_admin_sessions
from gateway.endpoints.answers import REFUSED, refusals_as_problems, without_server_field
from gateway.store.sessions import Sessions

# Prometheus's text format.
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_admin(
    sessions: Sessions,
    *,
    secret: Secret | None,
    is_draining: Callable[[], bool],
    metrics: Callable[[], bytes],
    refused: Callable[[Refusal], None],
) -> web.Application:
    """`/healthz` is for who restarts the process, `/readyz` for who sends it traffic, `/metrics`
    for Prometheus; `/sessions` is for who has the secret. `refused` is told of each refusal.

    A store that is down makes the gateway unready, and not unhealthy: a restart would not help.
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
        warnings = {"warnings": [f"maxmemory-policy {sessions.evicts}"]} if sessions.evicts else {}
        return web.json_response({"ready": ready, **warnings}, status=200 if ready else 503)

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": _METRICS_TYPE})

    app = web.Application(middlewares=[refusals_as_problems])
    app[REFUSED] = refused
    app.on_response_prepare.append(without_server_field)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render)
    app.add_subapp("/sessions", build_admin_sessions(sessions, secret))
    return app
