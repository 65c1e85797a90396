"""Checks of header fields: those that settings name are not the gateway's own, and differ."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document, Where
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.token_places import token_fields
from gateway.core.http.field_names import fold, has_meaning
from gateway.core.logins.token_sending import InField, InQuery, TokenSending


def check_fields(config: Config, document: Document) -> Iterator[Problem]:
    """Find fields that the gateway itself uses, and those that clash."""
    yield from _field_names(config, document)
    yield from _changed_fields(config, document)
    yield from _token_sendings(config, document)


def _field_names(config: Config, document: Document) -> Iterator[Problem]:
    """Fields of the gateway that are, to a backend, the same as others."""
    places: list[tuple[Where, str]] = [(("identity", name), name) for name in config.identity]
    places += [(("keys", "field"), name) for name in config.keys.field]
    seen: dict[bytes, str] = {}
    for where, name in places:
        folded = fold(name.encode())
        if has_meaning(folded):
            message = "is a field with a meaning of its own"
            yield document.problem(where, message, hint="choose another name", key=True)
        elif folded in seen:
            message = f"is the same field as {seen[folded]} for many backends"
            yield document.problem(where, message, key=True)
        seen.setdefault(folded, name)


def _changed_fields(config: Config, document: Document) -> Iterator[Problem]:
    """Fields that routes change, and that are the gateway's own."""
    if not {route.upstream for route in config.routes} <= {None, *config.upstreams}:
        return  # which is told already
    own = {*config.identity, *config.keys.field, *token_fields(config)}
    taken = {fold(name.encode()) for name in own}
    for at, route in enumerate(config.routes):
        for setting in ("request_headers", "response_headers"):
            changes = getattr(route, setting)
            if changes is None:
                continue
            where = ("routes", at, setting)
            of_requests = setting == "request_headers"
            for name in dict.fromkeys(changes.owned(of_requests=of_requests)):
                yield document.problem(where, f"cannot change {name}: it is the gateway's own")
            for name in (*changes.set, *changes.add, *changes.remove):
                if of_requests and fold(name.encode()) in taken:
                    yield document.problem(where, f"cannot change {name}: it holds identity")
            if of_requests and route.auth == "public" and changes.of_sessions:
                yield document.problem(where, "needs a session: auth cannot be public")


def _token_sendings(config: Config, document: Document) -> Iterator[Problem]:
    """Find ways to send a token that clash with settings or with proxies."""
    identity = {fold(name.encode()) for name in config.identity}
    places: list[tuple[Where, TokenSending | str | None]] = [
        (("upstreams", name, "send_token"), upstream.send_token)
        for name, upstream in config.upstreams.items()
    ]
    for at, route in enumerate(config.routes):
        places.append((("routes", at, "send_token"), route.send_token))
    for where, sending in places:
        if isinstance(sending, InField) and fold(sending.name.encode()) in identity:
            yield document.problem(where, "is a field of identity, which holds a claim")
    for at, route in enumerate(config.routes):
        where = ("routes", at, "send_token")
        if route.send_token is not None and route.auth == "public":
            yield document.problem(where, "needs a session: auth cannot be public")
        elif route.upstream is None and isinstance(route.send_token, InQuery):
            yield document.problem(where, "is beyond verify: no field of its answer sets a query")
