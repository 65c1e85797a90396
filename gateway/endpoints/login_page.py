"""The login page: the ways to log in, for people and for their apps."""

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
    """Shows the gateway's own forms and the providers.

    A `return_to` is taken along.
    """

    def __init__(self, path: str, config: Config) -> None:
        """`path` is the path of the page."""
        self.path = path
        self.return_origins = frozenset(config.pages.return_origins)
        self.forms = [login.path for login in config.login if login.has_form]
        self._remember = {
            login.path: login.remember.field
            for login in config.login
            if login.has_form and login.remember is not None and not login.remember.always
        }
        self._providers = [
            (login.provider_name, login.path) for login in config.login if login.provider_name
        ]

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        back = return_paths.safe(request.query.get("return_to", "/"), self.return_origins)
        if pages.wants_page(request):
            return self.page(request, back)
        shown = {"forms": self.forms, "providers": self._ways(request, back)}
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
        """The page.

        back: the path to go to after the login
        failed: the path of the form that was refused; None if none was
        notice: what the page says about the refusal
        """
        return pages.show(
            request,
            CHOICE,
            status,
            forms=self.forms,
            remember=self._remember,
            providers=self._ways(request, back),
            back=back,
            failed=failed,
            notice=notice,
        )

    def _ways(self, request: web.Request, back: str) -> list[dict[str, str]]:
        max_age = return_paths.max_age_in(request.query.get(return_paths.MAX_AGE, ""))
        return [
            {"name": name, "path": return_paths.login_url(path, back, max_age)}
            for name, path in self._providers
        ]
