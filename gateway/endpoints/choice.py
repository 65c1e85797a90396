"""The login page: the ways to log in that there are, for people and for their apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core import refusals, return_paths
from gateway.core.origins import authority
from gateway.endpoints import pages
from gateway.endpoints.answers import refuse
from gateway.pages import policy
from gateway.pages.rendering import CHOICE

if TYPE_CHECKING:
    from gateway.config.model import Config

_METHODS = ("GET", "HEAD")


class ChoiceEndpoint:
    """Shows at one path the gateway's own forms and the providers; a `return_to` is taken along."""

    def __init__(self, config: Config) -> None:
        self._providers = [
            (login.name or authority(login.issuer), login.path)
            for login in config.login
            if login.kind == "oidc"
        ]
        self._forms = [login.path for login in config.login if login.kind == "users"]

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        back = return_paths.safe(request.query.get("return_to", "/"))
        shown = [
            {"name": name, "path": return_paths.login_url(path, back)}
            for name, path in self._providers
        ]
        if pages.is_wanted(request):
            return pages.show(request, CHOICE, forms=self._forms, back=back, providers=shown)
        fields = {"Cache-Control": "no-store", "Vary": policy.VARY}
        return web.json_response({"forms": self._forms, "providers": shown}, headers=fields)
