"""Checks of logins, their pages, and the keys of the tokens that they mint."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document, Where
from gateway.config.login_places import served_methods
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_rules import conditions_of, table_rule
from gateway.config.token_sections import Signing
from gateway.core.http.routing import Table

# A minted token is renewed in the last quarter of its lifetime. Until then it must be valid by the
# clock of an upstream that is ahead of ours.
_MIN_SKEWS_PER_LIFETIME = 4


def check_logins(config: Config, document: Document) -> Iterator[Problem]:
    """Find logins and login pages that lead nowhere, or lack what they need."""
    yield from _login_page(config, document)
    yield from _minting(config, document)
    yield from _login_choices(config, document)
    yield from _login_files(config, document)


def _login_page(config: Config, document: Document) -> Iterator[Problem]:
    """A login page that needs a session would redirect browsers in a circle."""
    page = config.login_page
    if page is None:
        for at, route in enumerate(config.routes):
            if route.on_unauthenticated == "login":
                where = ("routes", at, "on_unauthenticated")
                yield document.problem(where, "needs a login_page to send browsers to")
        return
    table = Table(table_rule(rule, rule) for rule in config.routes if not conditions_of(rule))
    sites = [table.site(None), *(table.site(host) for host in _exact_hosts(config))]
    found = [entry for site in sites for entry in site.chain(page.encode())[:1]]
    picked = [entry.under(*entry.layers).pick(b"GET") for entry in found]
    shown = next((rule for rule in picked if rule is not None), None)
    if any(rule is not None and rule.auth == "required" for rule in picked):
        shown = next(rule for rule in picked if rule is not None and rule.auth == "required")
    if not _shows_page(config, page) and (shown is None or shown.auth == "required"):
        message = "leads nowhere" if shown is None else "itself needs a session: make it public"
        yield document.problem(("login_page",), message)


def _exact_hosts(config: Config) -> list[bytes]:
    """The hosts that routes name, with one below each pattern."""
    return [host.replace("*", "x").encode() for rule in config.routes for host in rule.host]


def _login_choices(config: Config, document: Document) -> Iterator[Problem]:
    """A login page on which there would be nothing to choose."""
    has_choice = any(login.has_form or login.provider_name for login in config.login)
    if config.pages.login is not None and not has_choice:
        yield document.problem(("pages", "login"), "has no login of kind oidc or users to show")


def _login_files(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        yield from login.file_problems(("login", at), document)


def _shows_page(config: Config, path: str) -> bool:
    """Whether the gateway itself answers people who go to this path."""
    return path == config.pages.login or "GET" in served_methods(config).get(path, ())


def _minting(config: Config, document: Document) -> Iterator[Problem]:
    """Minted tokens need keys; a route's token needs a login that mints."""
    section = config.signing
    logins: list[Where] = [("login", at) for at, login in enumerate(config.login) if login.mints]
    tokens: list[Where] = [
        ("routes", at, "token") for at, route in enumerate(config.routes) if route.token is not None
    ]
    if section is None:
        for where in logins or tokens:
            yield document.problem(where, "needs signing: the keys of the gateway's own tokens")
        return
    if not logins:
        for where in tokens:
            yield document.problem(where, "needs a login that mints: of kind mint or users")
    yield from _lifetimes(config, section, document)


def _lifetimes(config: Config, section: Signing, document: Document) -> Iterator[Problem]:
    lifetimes: list[tuple[Where, float]] = [(("signing", "lifetime"), section.lifetime)]
    for at, route in enumerate(config.routes):
        if route.token is not None and route.token.lifetime is not None:
            lifetimes.append((("routes", at, "token", "lifetime"), route.token.lifetime))
    for where, lifetime in lifetimes:
        if lifetime < _MIN_SKEWS_PER_LIFETIME * config.session.clock_skew:
            yield document.problem(
                where, f"must be at least {_MIN_SKEWS_PER_LIFETIME} times session.clock_skew"
            )
