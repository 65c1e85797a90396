"""The endpoints as one aiohttp application. To the relay it is one more upstream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.concurrency.off_loop import CLIENT
from gateway.config.own_tokens import JWKS_PATH, minter
from gateway.config.realms import realms
from gateway.core.http.cors import Policy
from gateway.core.http.networks import network
from gateway.core.http.origins import authority
from gateway.core.http.refusals import Refusal
from gateway.core.sessions.session import NAMED
from gateway.endpoints import pages
from gateway.endpoints.answers import (
    LOGIN_PAGE,
    REFUSED,
    Handler,
    refusals_as_problems,
    without_server_field,
)
from gateway.endpoints.callers import CORS
from gateway.endpoints.captures import Captures, capturing
from gateway.endpoints.choice import ChoiceEndpoint
from gateway.endpoints.endings import Endings
from gateway.endpoints.jwks import JwksEndpoint
from gateway.endpoints.login import LoginEndpoint
from gateway.endpoints.logout import LogoutEndpoint
from gateway.endpoints.sessions import SessionsEndpoint
from gateway.logins import Entrance, Federated, Login, Means, key_cookies, login_paths, open_login
from gateway.logins._minting import Minting
from gateway.logins._throttle import Guard, Guarded
from gateway.outbound.backends import Backends
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.logins import AnyLogin
    from gateway.config.model import Config

# What the relay adds to a head that it has admitted: the token's line above all, in bytes.
_ADDED_BY_RELAY = 65536
_FIELDS_BY_RELAY = 64


def paths(config: Config) -> list[str]:
    """The paths at which the endpoints answer, or prefixes; they win over any route."""
    listed = config.sessions.path
    below = [] if listed is None else [listed, f"{listed}/*"]
    shown = [] if config.signing is None else [JWKS_PATH]
    chosen = [] if config.pages.login is None else [config.pages.login]
    logins = [path for login in config.login for path in login_paths(login)]
    return [*logins, *chosen, config.logout.path, *below, *shown]


def build(
    config: Config, sessions: Sessions, calls: Backends, refused: Callable[[Refusal], None]
) -> web.Application:
    """The application. Every method comes in: which ones are served is the endpoint's to say;
    `refused` is told of each refusal.
    """
    means = Means(calls, sessions, minter(config), key_cookies(config), realms(config))
    logins = {login.path: open_login(login, means) for login in config.login}
    doors = [
        entrance
        for section in config.login
        for entrance in _entrances(section, logins[section.path], config, sessions)
    ]
    # A login whose tokens no upstream gives has no successors of them either.
    successors = {path: getattr(login, "successors", None) for path, login in logins.items()}
    federated = {path: each for path, each in logins.items() if isinstance(each, Federated)}
    endings = Endings(config, sessions, calls, federated)
    captures = Captures(
        config, sessions, calls, {k: v for k, v in successors.items() if v}, endings
    )
    captured = [rule.body_size or 0 for rule in config.routes if rule.captures is not None]
    most = max([0, *(each.max_body for each in doors), *captured])
    app = web.Application(
        middlewares=[refusals_as_problems, _of_client, capturing(captures)],
        client_max_size=most + 1,
    )
    app[REFUSED] = refused
    app[LOGIN_PAGE] = config.login_page
    app[CORS] = Policy.of(config.cors)
    app.on_response_prepare.append(without_server_field)
    pages.add_templates(app, config.pages.templates, _leads_to(config))
    choice = None if config.pages.login is None else ChoiceEndpoint(config.pages.login, config)
    if choice is not None:
        app.router.add_route("*", choice.path, choice.__call__)
    for entrance in doors:
        page = choice if choice is not None and entrance.path in choice.forms else None
        endpoint = LoginEndpoint(entrance, config.keys, config.identity, page)
        app.router.add_route("*", entrance.path, endpoint.__call__)
    for each in federated.values():
        app.on_cleanup.append(partial(_close, each))
    listed = config.sessions.path
    logout = LogoutEndpoint(config.logout.path, endings, sessions.directory, listed)
    app.router.add_route("*", config.logout.path, logout.__call__)
    if listed is not None:
        devices = SessionsEndpoint(listed, config, endings, sessions.directory)
        app.router.add_route("*", listed, devices.__call__)
        app.router.add_route("*", listed + "/{handle}", devices.__call__)
    if means.minter is not None:
        sessions.renewals.register(NAMED, Minting(NAMED, means).renew)
        app.router.add_route("*", JWKS_PATH, JwksEndpoint(means.minter).__call__)
    return app


@web.middleware
async def _of_client(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Notes whose request it is, for work in which clients take turns."""
    CLIENT.set(network(request.headers.get("X-Real-IP", "")))
    return await handler(request)


def _entrances(
    section: AnyLogin, login: Login, config: Config, sessions: Sessions
) -> Sequence[Entrance]:
    """Where a login answers. Failures are counted where somebody could guess."""
    if isinstance(login, Federated):
        return login.entrances
    assert section.kind != "oidc"
    guard = Guard.of(section, config, sessions)
    failed = getattr(section, "failed", None)  # of those that ask a backend
    guarded = Guarded(login, guard) if failed is None else Guarded(login, guard, failed)
    return [
        Entrance(
            section.path,
            section.methods,
            section.max_body,
            guarded,
            section.carrier,
            section.body_timeout,
        )
    ]


def _leads_to(config: Config) -> list[str]:
    """Where the forms of pages may lead beside this site: a logout to a provider, and from there to
    those that it asks itself; a login to where a route leads on from here.
    """
    issuers = [login.issuer for login in config.login if login.kind == "oidc"]
    plain = [f"http://{authority(each)}" for each in issuers if each.startswith("http:")]
    return [*config.pages.leads_to, *(["https:", *plain] if issuers else [])]


async def _close(login: Federated, _app: web.Application) -> None:
    await login.close()


@contextlib.asynccontextmanager
async def run(
    config: Config, sessions: Sessions, calls: Backends, refused: Callable[[Refusal], None]
) -> AsyncIterator[web.Server]:
    """The running application as a server without a socket: the relay hands it its own."""
    longest = config.limits.head_size + _ADDED_BY_RELAY
    runner = web.AppRunner(
        build(config, sessions, calls, refused),
        access_log=None,
        handle_signals=False,
        auto_decompress=False,  # a login's body goes to the backend as it came
        max_line_size=longest,
        max_field_size=longest,
        max_headers=config.limits.fields + _FIELDS_BY_RELAY,
    )
    await runner.setup()
    assert runner.server is not None
    try:
        yield runner.server
    finally:
        await runner.cleanup()
