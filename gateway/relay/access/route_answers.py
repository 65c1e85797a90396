"""The answers of routes that have no upstream: texts, redirects, maintenance."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.http import path_rewriting, paths, refusals, templates
from gateway.core.http.refusals import Refusal
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered

if TYPE_CHECKING:
    from gateway.config.answer_sections import Redirect, Respond
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions

RouteAnswer = Callable[[RequestHead], Answered | Refusal]

_PLAIN = "text/plain; charset=utf-8"

# RFC 3986 §2 allows these in a URL, and `%`, whose escapes have been checked.
_NOT_IN_URL = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@%/?-]")


def answer_of(rule: RouteOptions, config: Config) -> RouteAnswer | None:
    """The gateway's own answer on a route; None if its upstream answers."""
    upstream = None if rule.upstream is None else config.upstreams[rule.upstream]
    maintenance = rule.maintenance or (None if upstream is None else upstream.maintenance)
    if maintenance is not None:
        refusal = refusals.maintenance(maintenance.retry_after)
        return lambda _: refusal
    if rule.redirect is not None:
        return _redirect(rule.redirect, rule)
    if rule.respond is not None:
        answered = _fixed(rule.respond, rule)
        return lambda _: answered
    return None


def _fixed(section: Respond, rule: RouteOptions) -> Answered:
    body = (section.body or "").encode()
    if section.file is not None:
        body = section.file.content
    fields = {**_caching(rule), **section.headers}
    if body or section.content_type is not None:
        fields["Content-Type"] = section.content_type or _PLAIN
    return Answered(section.status, fields, body=body)


def _redirect(section: Redirect, rule: RouteOptions) -> RouteAnswer:
    template, fields = templates.parse(section.to), _caching(rule)
    mark = "&" if "?" in "".join(template.literals) else "?"

    def redirected(head: RequestHead) -> Answered:
        values = path_rewriting.written_values(rule.path, paths.strict(head.path))
        query = head.query.decode("latin-1")[1:]

        def value(name: str) -> str:
            if name == "query":
                return mark + _NOT_IN_URL.sub(_escaped, query) if query else ""
            text = values.get(name.removeprefix("path."), "").lstrip("/\\")
            return _NOT_IN_URL.sub(_escaped, text)

        location = template.filled(value)
        if location.startswith("/"):
            # Two slashes, or a backslash, would begin another host (WHATWG URL §4.4). They may meet
            # where a value between them is empty.
            location = "/" + location.lstrip("/\\")
        return Answered(section.status, {"Location": location, **fields})

    return redirected


def _escaped(letter: re.Match[str]) -> str:
    return f"%{ord(letter[0]):02X}"


def _caching(rule: RouteOptions) -> dict[str, str]:
    """A shared cache must not hand to all what a session is required for."""
    return {} if rule.auth == "public" else {"Cache-Control": "no-store"}
