"""Checks of captures: a login gives their rules, and tokens can be known."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.complaints import suggest
from gateway.config.document import Document
from gateway.config.login_places import login_of_route
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_rules import pattern_of
from gateway.core.logins.token_places import Auto


def check_captures(config: Config, document: Document) -> Iterator[Problem]:
    """Find captures without a login, or without a way to know tokens."""
    yield from _captures(config, document)
    yield from _beginnings(config, document)


def _captures(config: Config, document: Document) -> Iterator[Problem]:
    """Captures without a backend's login, or without a way to know tokens.

    Captured tokens replace those of the login. They are verified, or stand at a named place.
    """
    backends = [login for login in config.login if login.token_place is not None]
    unverified = next((login.path for login in backends if login.believes_tokens), None)
    for at, route in enumerate(config.routes):
        if route.captures is None:
            continue
        where = ("routes", at, "captures")
        if config.login and not backends:
            yield document.problem(
                where, "needs a login of kind backend: captures replace only its tokens"
            )
        elif isinstance(route.captures, Auto) and unverified is not None:
            yield document.problem(
                where,
                f"needs verify on the login at {unverified}, or a place",
                hint="otherwise any text of a user that the upstream repeats would become the "
                "session's token: write captures: /data/token, header:X-Token or cookie:jwt",
            )


def _beginnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes where sessions begin without one login to give the rules.

    Without `verify`, texts of users at the named place would be tokens on all paths of a prefix.
    """
    for at, route in enumerate(config.routes):
        if not route.begins_sessions:
            continue
        paths = [login.path for login in config.login if login.token_place is not None]
        login = login_of_route(config, route)
        if route.login is not None and login is None:
            yield document.problem(
                ("routes", at, "login"),
                "names no login of kind backend",
                hint=suggest(route.login, paths),
            )
        elif login is None:
            yield document.problem(
                ("routes", at, "captures"),
                "needs one login of kind backend at its upstream, where sessions begin",
                hint=f"name one: login: {paths[0]}" if paths else "",
            )
        elif login.believes_tokens and not pattern_of(route).is_name:
            yield document.problem(
                ("routes", at, "captures"),
                f"needs verify on the login at {login.path}, since sessions begin on all its paths",
            )
