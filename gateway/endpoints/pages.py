"""Pages as answers: for people, in their language, with nothing in them from elsewhere."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from gateway.core import negotiation
from gateway.pages import policy
from gateway.pages.rendering import Templates
from gateway.pages.texts import Texts
from gateway.pages.views import LANGUAGES

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: web.AppKey[Environment] = web.AppKey("templates")


def add_templates(app: web.Application, folder: str | None) -> None:
    """Has the application show pages; `folder` has the operator's own templates."""
    app[_TEMPLATES] = cast("Environment", Templates(folder))


def is_wanted(request: web.Request) -> bool:
    """Whether a page is wanted rather than JSON: by a browser that goes there, by no program."""
    return _TEMPLATES in request.config_dict and negotiation.prefers(
        _joined(request, "Accept"), "text/html", "application/json"
    )


def texts_for(request: web.Request) -> Texts:
    """The texts in the reader's language."""
    wanted = negotiation.language(_joined(request, "Accept-Language"), list(LANGUAGES))
    return LANGUAGES[wanted]


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
    response.headers.update(policy.fields(nonce, texts.language))
    return response


def lead_to(response: web.Response, path: str) -> None:
    """Has the browser go to a page next, by GET (RFC 9110 §15.4.4)."""
    response.set_status(303)
    response.headers["Location"] = path


def _joined(request: web.Request, name: str) -> str:
    """A list field, which may come in several lines."""
    return ",".join(request.headers.getall(name, ()))
