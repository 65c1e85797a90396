"""Pages as answers: for people, in their language, with nothing in them from elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from gateway.core.http import negotiation
from gateway.pages import policy
from gateway.pages.rendering import Templates
from gateway.pages.texts import Texts

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: web.AppKey[Environment] = web.AppKey("templates")
_LEADS_TO: web.AppKey[Sequence[str]] = web.AppKey("leads_to")


def add_templates(app: web.Application, folder: str | None, leads_to: Sequence[str] = ()) -> None:
    """Has the application show pages; `folder` has the operator's own templates and texts;
    `leads_to` is where the forms of the pages may lead beside the site itself: CSP's sources.
    """
    app[_TEMPLATES] = cast("Environment", Templates(folder))
    app[_LEADS_TO] = leads_to


def wants_page(request: web.Request) -> bool:
    """Whether a person reads the answer to this request. The admin listener has no pages."""
    return _TEMPLATES in request.config_dict and negotiation.wants_page(*_accept_and_mode(request))


def navigates(request: web.Request) -> bool:
    """Whether a person's browser goes somewhere, so that it can be sent elsewhere."""
    return negotiation.navigates(*_accept_and_mode(request))


def texts_for(request: web.Request) -> Texts:
    """The texts in the reader's language."""
    templates = cast("Templates", request.config_dict[_TEMPLATES])
    return templates.texts(_joined(request, "Accept-Language") or "")


def show(request: web.Request, name: str, status: int = 200, **context: Any) -> web.Response:
    """The page that a template makes of this context."""
    import aiohttp_jinja2

    texts, nonce = texts_for(request), secrets.token_urlsafe(16)
    response = aiohttp_jinja2.render_template(
        name,
        request,
        {**context, "text": texts, "nonce": nonce},
        app_key=_TEMPLATES,
        status=status,
    )
    leads_to = request.config_dict[_LEADS_TO]
    response.headers.update(policy.fields(nonce, texts.language, leads_to))
    return response


def redirect(response: web.Response, path: str) -> None:
    """Has the browser go to a page next, by GET (RFC 9110 §15.4.4), unless it goes elsewhere."""
    response.set_status(303)
    response.headers.setdefault("Location", path)


def redirected(path: str) -> web.Response:
    """An answer that has people go to a page; for programs there is another one."""
    response = web.Response(headers={"Cache-Control": "no-store", "Vary": policy.VARY})
    redirect(response, path)
    return response


def _accept_and_mode(request: web.Request) -> tuple[str | None, str | None]:
    return _joined(request, "Accept"), request.headers.get("Sec-Fetch-Mode")


def _joined(request: web.Request, name: str) -> str | None:
    """The value of a list field (RFC 9110 §5.3), which may stand in several lines."""
    values = request.headers.getall(name, ())
    return ", ".join(values) if values else None
