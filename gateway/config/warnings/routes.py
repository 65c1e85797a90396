"""Warnings about what routes do with requests and answers."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document, Where
from gateway.config.field_sections import SecurityHeaders
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_sections import Cors, RouteOptions
from gateway.config.warnings.sessions import may_set_cookies
from gateway.core.http.allowed_origins import is_pattern
from gateway.core.logins.token_sending import InQuery

_ANSWERS = ("respond", "redirect", "maintenance")

# Settings of requests to upstreams, and of their answers.
_OF_UPSTREAMS = frozenset(
    {"request_headers", "send_token", "token", "tokens", "websocket", "upgrade", "via", "no_store"}
    | {"response_timeout", "body_idle", "response_body_idle", "stream", "stream_idle"}
    | {"tunnel_idle", "compress", "compress_min", "compress_types"}
    | {"proxy_redirect", "proxy_cookie_path"}
)

_YEAR = 365 * 24 * 3600  # seconds

_BEYOND_VERIFY = (
    *_ANSWERS,
    *("strip_prefix", "add_prefix", "rewrite", "request_headers", "response_headers"),
)


def route_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find unsafe actions of routes, and those beyond proxies that ask."""
    yield from _starred_origins(config, document)
    yield from _tokens_in_queries(config, document)
    yield from _beyond_verify(config, document)
    yield from _idle_settings(config, document)
    yield from _circles(config, document)
    yield from _unlisted(config, document)
    yield from _keys_in_queries(config, document)
    yield from _compressed_secrets(config, document)


def _circles(config: Config, document: Document) -> Iterator[Problem]:
    places: list[tuple[Where, bool | None]] = [(("via",), config.via)]
    places += [(("routes", at, "via"), route.via) for at, route in enumerate(config.routes)]
    for where, via in places:
        if via is False:
            yield document.problem(
                where, "finds no circles: a request that comes back goes round until places run out"
            )


def _unlisted(config: Config, document: Document) -> Iterator[Problem]:
    """HSTS whose `preload` the lists of browsers do not take (hstspreload.org)."""
    at_top: Where = ("security_headers",)
    places = [(at_top, config.security_headers)]
    places += [
        (("routes", at, "security_headers"), route.security_headers)
        for at, route in enumerate(config.routes)
    ]
    for where, section in places:
        hsts = section.hsts if isinstance(section, SecurityHeaders) else None
        if hsts is not None and hsts.preload and not (hsts.subdomains and hsts.max_age >= _YEAR):
            message = "needs subdomains: true and a max_age of 365d: browsers list no other site"
            yield document.problem((*where, "hsts", "preload"), message)


def _beyond_verify(config: Config, document: Document) -> Iterator[Problem]:
    """What a proxy that asks does itself, as it sends requests on as they came."""
    if config.verify is None:
        return
    for at, route in enumerate(config.routes):
        for setting in _BEYOND_VERIFY:
            if getattr(route, setting) is not None:
                yield document.problem(
                    ("routes", at, setting),
                    "is for requests through the gateway: a proxy that asks (verify) "
                    + ("gets 404 here" if setting in _ANSWERS else "sends them on as they came"),
                )


def _idle_settings(config: Config, document: Document) -> Iterator[Problem]:
    """Settings for other paths, or for an upstream on routes that the gateway itself answers."""
    for at, route in enumerate(config.routes):
        if "bare" in route.model_fields_set and not route.path.endswith("/*"):
            message = "changes nothing: the path is no prefix, as in /next/*"
            yield document.problem(("routes", at, "bare"), message)
        for setting in ("strip_prefix", "add_prefix"):
            if getattr(route, setting) == "/":
                yield document.problem(("routes", at, setting), "changes nothing: it is the root")
        for setting, message in _idle_stream_settings(route):
            yield document.problem(("routes", at, setting), message)
        if route.respond is not None or route.redirect is not None:
            for setting in sorted(_OF_UPSTREAMS & route.model_fields_set):
                message = "changes nothing: the gateway itself answers here"
                yield document.problem(("routes", at, setting), message)


def _idle_stream_settings(route: RouteOptions) -> Iterator[tuple[str, str]]:
    if "tunnel_idle" in route.model_fields_set and not route.upgrades:
        yield "tunnel_idle", "changes nothing: the route names no upgrade"
    if "websocket" in route.upgrades and route.methods and "GET" not in route.methods:
        setting = "websocket" if route.websocket else "upgrade"
        yield setting, "opens no WebSocket: they begin with GET, which methods leaves out"
    if route.stream and route.compress:
        yield "compress", "changes nothing: streams stay as they are"


def _starred_origins(config: Config, document: Document) -> Iterator[Problem]:
    """Patterns of origins whose pages act as the site's visitors."""
    places: list[tuple[Where, Cors | None]] = [(("cors",), config.cors)]
    places += [(("routes", at, "cors"), route.cors) for at, route in enumerate(config.routes)]
    for where, section in places:
        if section is None or not section.credentials:
            continue
        for at, origin in enumerate(section.origins):
            if is_pattern(origin):
                yield document.problem(
                    (*where, "origins", at),
                    "lets each page there act as the site's visitors, a forgotten or a test site, "
                    "too; name the origins, or leave credentials out",
                )


def _tokens_in_queries(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if isinstance(upstream.send_token, InQuery):
            yield _in_query(("upstreams", name, "send_token"), config, document)
    for at, route in enumerate(config.routes):
        if isinstance(route.send_token, InQuery):
            yield _in_query(("routes", at, "send_token"), config, document)


def _keys_in_queries(config: Config, document: Document) -> Iterator[Problem]:
    for at, route in enumerate(config.routes):
        if route.key_in_query is not None:
            yield document.problem(
                ("routes", at, "key_in_query"),
                "lets keys stand in URLs, which browsers keep and proxies in front may log; "
                "a cookie is better where the client can send one",
            )


def _compressed_secrets(config: Config, document: Document) -> Iterator[Problem]:
    """Routes that compress what a browser gets for its cookie."""
    for at, route in enumerate(config.routes):
        codings = config.compress if route.compress is None else route.compress
        if codings and not route.stream and route.auth != "public" and may_set_cookies(config):
            where: Where = ("compress",) if route.compress is None else ("routes", at, "compress")
            yield document.problem(
                where,
                "compresses responses to requests with cookies: if one repeats text of the request "
                "beside a secret, another site can guess that by the size (BREACH); compress "
                "public routes",
            )
            if route.compress is None:
                break


def _in_query(where: Where, config: Config, document: Document) -> Problem:
    message = "lets the backend's own logs hold tokens; let it read a field, if it can"
    if config.verify is not None:
        message += ". Requests that verify allows go without the token: no field sets a query"
    return document.problem(where, message)
