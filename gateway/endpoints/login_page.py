"""The login page: the ways to log in that there are, for people and for their apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals, return_paths
from gateway.endpoints import pages
from gateway.endpoints.answers import refuse
from gateway.pages import policy
from gateway.pages.rendering import CHOICE
from gateway.pages.texts import Notice

if TYPE_CHECKING:
    from gateway.config.model import Config

_METHODS = ("GET", "HEAD")


class LoginPageEndpoint:
    """Shows at one path the gateway's own forms and the providers; a `return_to` is taken along."""

    def __init__(self, path: str, config: Config) -> None:
        """`path` is where it is shown."""
        self.path = path
        self.forms = [login.path for login in config.login if login.has_form]
        self._providers = [
            (login.provider_name, login.path) for login in config.login if login.provider_name
        ]

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        back = return_paths.safe(request.query.get("return_to", "/"))
        if pages.wants_page(request):
            return self.page(request, back)
        shown = {"forms": self.forms, "providers": self._ways(back)}
        fields = {"Cache-Control": "no-store", "Vary": policy.VARY}
        return web.json_response(shown, headers=fields)

    def page(
        self,
        request: web.Request,
        back: str,
        *,
        failed: str | None = None,
        notice: Notice | None = None,
        status: int = 200,
    ) -> web.Response:
        """The page for whoever wants to go `back` afterwards; once more if the form that leads to
        `failed` was refused, with what is said of it.
        """
        return pages.show(
            request,
            CHOICE,
            status,
            forms=self.forms,
            providers=self._ways(back),
            back=back,
            failed=failed,
            notice=notice,
        )

    def _ways(self, back: str) -> list[dict[str, str]]:
        return [
            {"name": name, "path": return_paths.login_url(path, back)}
            for name, path in self._providers
        ]
