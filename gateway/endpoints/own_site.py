"""The site's own origin, and whether its pages have caused a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import origins, refusals
from gateway.core.http.cors import Policy
from gateway.endpoints.answers import EndpointRefused
from gateway.endpoints.callers import asked_host, by_cookie

if TYPE_CHECKING:
    from gateway.config.session_sections import Keys

# The origins whose pages may ask beside the site's own.
CORS: web.AppKey[Policy | None] = web.AppKey("cors")

# The same on a route, which has a policy of its own.
ROUTE_CORS: web.RequestKey[Policy | None] = web.RequestKey("route_cors")


def require_own_site(request: web.Request) -> None:
    """Raises `EndpointRefused` if another site's page may have caused this.

    Browsers send only keys in cookies. A key in a field comes from the site's own code.
    """
    if not may_act(request):
        raise EndpointRefused(refusals.CROSS_SITE)


def may_act(request: web.Request) -> bool:
    """Whether a request may change what its key stands for."""
    return not by_cookie(request) or is_own_site(request)


def is_own_site(request: web.Request) -> bool:
    """Whether the site's own pages, or pages with their rights, caused this."""
    return origins.is_own_site(
        site=request.headers.get("Sec-Fetch-Site"),
        origin=request.headers.get("Origin"),
        host=asked_host(request),
        policy=request.get(ROUTE_CORS, request.config_dict[CORS]),
    )


def comes_from_other_site(request: web.Request) -> bool:
    """Whether a browser marks the request as caused by another site.

    A program marks nothing.
    """
    says = "Sec-Fetch-Site" in request.headers or "Origin" in request.headers
    return says and not is_own_site(request)


def is_visit(request: web.Request) -> bool:
    """Whether a browser comes to a page by a link or redirect from anywhere.

    Frames, images and scripts do not: browsers mark these (Fetch Metadata §2).
    """
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    target = request.headers.get("Sec-Fetch-Dest", "document")
    return request.method in ("GET", "HEAD") and (mode, target) == ("navigate", "document")


def is_secure(request: web.Request, section: Keys) -> bool:
    """Whether the client came by HTTPS, and its cookies can be `Secure`."""
    by_https = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return by_https if section.secure == "auto" else section.secure


def own_origin(request: web.Request, section: Keys) -> str:
    """The gateway's origin, as the client sees it."""
    return f"{'https' if is_secure(request, section) else 'http'}://{asked_host(request)}"
