"""Pages as responses, in the reader's language."""

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
    """Let the application show pages.

    folder: the operator's own templates and texts
    leads_to: the sources of a CSP to which forms may lead beside the site itself
    """
    app[_TEMPLATES] = cast("Environment", Templates(folder))
    app[_LEADS_TO] = leads_to


def wants_page(request: web.Request) -> bool:
    """Whether a person reads the answer to this request.

    The admin listener has no pages.
    """
    return _TEMPLATES in request.config_dict and negotiation.wants_page(*_accept_and_mode(request))


def navigates(request: web.Request) -> bool:
    """Whether a person's browser goes somewhere, and can be sent elsewhere."""
    return negotiation.navigates(*_accept_and_mode(request))


def texts_for(request: web.Request) -> Texts:
    """The texts in the reader's language."""
    templates = cast("Templates", request.config_dict[_TEMPLATES])
    return templates.texts(_joined(request, "Accept-Language") or "")


def show(request: web.Request, name: str, status: int = 200, **context: Any) -> web.Response:
    """The page of a template."""
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
    """Send the browser to a page by GET (RFC 9110 §15.4.4).

    A browser that goes elsewhere already is not sent there.
    """
    response.set_status(303)
    response.headers.setdefault("Location", path)


def redirected(path: str) -> web.Response:
    """A response that sends people to a page."""
    response = web.Response(headers={"Cache-Control": "no-store", "Vary": policy.VARY})
    redirect(response, path)
    return response


def _accept_and_mode(request: web.Request) -> tuple[str | None, str | None]:
    return _joined(request, "Accept"), request.headers.get("Sec-Fetch-Mode")


def _joined(request: web.Request, name: str) -> str | None:
    """The value of a list field in one or several lines (RFC 9110 §5.3)."""
    values = request.headers.getall(name, ())
    return ", ".join(values) if values else None
