"""The endpoints as one aiohttp application: an upstream to the relay."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.concurrency.off_loop import CLIENT
from gateway.config.login_places import (
    has_pending,
    keeps_refresh_tokens,
    key_cookies,
    max_bodies,
    refresh_paths,
    with_head,
)
from gateway.config.own_tokens import JWKS_PATH, minter
from gateway.config.realms import realms
from gateway.config.token_places import upstream_sending
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
from gateway.endpoints.captures import CaptureEndpoint, capturing
from gateway.endpoints.jwks import JwksEndpoint
from gateway.endpoints.login import LoginEndpoint
from gateway.endpoints.login_page import LoginPageEndpoint
from gateway.endpoints.logout import LogoutEndpoint
from gateway.endpoints.logout_service import LogoutService
from gateway.endpoints.own_site import CORS
from gateway.endpoints.refresh import RefreshEndpoint
from gateway.endpoints.sessions import SessionsEndpoint
from gateway.endpoints.whoami import WhoamiEndpoint
from gateway.logins import Answer, Login, LoginServices, open_login
from gateway.logins._minting import MintedRenewal, SessionMinter
from gateway.logins._throttle import LoginThrottle
from gateway.logins._throttled_login import ThrottledLogin
from gateway.outbound.backends import Backends
from gateway.store.sessions import Sessions

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config
    from gateway.core.logins.login_paths import LoginPath

# The relay adds so much to a head that it has admitted, above all the token's line (bytes, lines).
_ADDED_BY_RELAY = 65536
_FIELDS_BY_RELAY = 64


def build(
    config: Config, sessions: Sessions, calls: Backends, refused: Callable[[Refusal], None]
) -> web.Application:
    """The application.

    Requests of all methods come in, and an endpoint refuses those it does not serve.

    refused: counts a refusal
    """
    services = _login_services(config, sessions, calls)
    logins = [(section, open_login(section, services)) for section in config.login]
    with_provider = {section.path: login for section, login in logins if section.provider_issuer}
    logouts = LogoutService(config, sessions, calls, with_provider)
    captures = CaptureEndpoint(
        config, sessions, calls, {section.path: login for section, login in logins}, logouts
    )
    app = web.Application(
        middlewares=[refusals_as_problems, _of_client, capturing(captures)],
        client_max_size=_max_body(config) + 1,
    )
    app[REFUSED] = refused
    app[LOGIN_PAGE] = config.login_page
    app[CORS] = Policy.of(config.cors)
    app.on_response_prepare.append(without_server_field)
    pages.add_templates(app, config.pages.templates, _leads_to(config))
    _add_logouts(app, config, logouts, sessions)  # first: a login may serve other methods there
    _add_logins(app, config, logins, services)
    if config.sessions.path is not None:
        listed = SessionsEndpoint(config.sessions.path, config, logouts, sessions.directory)
        app.router.add_route("*", config.sessions.path, listed.__call__)
        app.router.add_route("*", config.sessions.path + "/{handle}", listed.__call__)
    if config.whoami is not None:
        whoami = WhoamiEndpoint(config.whoami, sessions)
        app.router.add_route("*", config.whoami.path, whoami.__call__)
    if services.minter is not None:
        sessions.renewals.register(NAMED, MintedRenewal(SessionMinter(NAMED, services)))
        app.router.add_route("*", JWKS_PATH, JwksEndpoint(services.minter).__call__)
    return app


def _login_services(config: Config, sessions: Sessions, calls: Backends) -> LoginServices:
    return LoginServices(
        backends=calls,
        sessions=sessions,
        minter=minter(config),
        own_cookies=key_cookies(config),
        realms=realms(config),
        refresh_tokens_for=keeps_refresh_tokens(config),
        has_pending=has_pending(config),
        token_sendings={name: upstream_sending(name, config) for name in config.upstreams},
        accounts=config.guessing.account,
        return_origins=frozenset(config.pages.return_origins),
    )


def _max_body(config: Config) -> int:
    """The largest body of a request that any endpoint reads (bytes)."""
    captured = [rule.body_size or 0 for rule in config.routes if rule.is_read_whole]
    return max([0, *max_bodies(config).values(), *captured])


def _add_logouts(
    app: web.Application, config: Config, logouts: LogoutService, sessions: Sessions
) -> None:
    for served in config.logout:
        logout = LogoutEndpoint(served, logouts, sessions, config.sessions.path)
        for method in with_head(served.methods):
            app.router.add_route(method, served.path, logout.__call__)


def _add_logins(
    app: web.Application,
    config: Config,
    logins: Sequence[tuple[LoginSection, Login]],
    services: LoginServices,
) -> None:
    """Add the login page, the paths of the logins, and those of refresh calls."""
    login_page = None
    if config.pages.login is not None:
        login_page = LoginPageEndpoint(config.pages.login, config)
        app.router.add_route("*", login_page.path, login_page.__call__)
    refreshing = {
        path.path: _refresh_endpoint(path, config, services.sessions, logins)
        for path in refresh_paths(config)
    }
    for section, login in logins:
        for path in section.paths:
            endpoint = LoginEndpoint(
                section,
                path,
                _answer(section, login, path, config, services.sessions),
                keys=config.keys,
                identity=config.identity,
                login_page=login_page if section.has_form else None,
                return_origins=services.return_origins,
                refresh=refreshing.pop(path.path, None),
            )
            app.router.add_route("*", path.path, endpoint.__call__)
        app.on_cleanup.append(partial(_close, login))
    for path_alone, refresh in refreshing.items():
        app.router.add_route("*", path_alone, refresh.__call__)


@web.middleware
async def _of_client(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A middleware that notes the client, so that clients can take turns."""
    CLIENT.set(network(request.headers.get("X-Real-IP", "")))
    return await handler(request)


def _answer(
    section: LoginSection, login: Login, path: LoginPath, config: Config, sessions: Sessions
) -> Answer:
    """What answers at a path of a login.

    Failures are counted where clients can guess passwords.
    """
    if section.takes_passwords:
        return ThrottledLogin(login, path, LoginThrottle.of(section, config, sessions))
    return login.answer_at(path)


def _refresh_endpoint(
    path: LoginPath,
    config: Config,
    sessions: Sessions,
    logins: Iterable[tuple[LoginSection, Login]],
) -> RefreshEndpoint:
    """What answers at a path of refresh calls, which several logins may share."""
    calls = {
        section.path: login.refresh_calls
        for section, login in logins
        if login.refresh_calls is not None and section.refresh_path is not None
        if section.refresh_path.path == path.path
    }
    return RefreshEndpoint(path, calls, sessions, config.keys, config.identity)


def _leads_to(config: Config) -> list[str]:
    """The origins to which forms of the pages may lead, as sources of a CSP.

    A logout leads to a provider, and from there to the sites that the provider asks.
    """
    issuers = [login.provider_issuer for login in config.login if login.provider_issuer]
    plain = [f"http://{authority(issuer)}" for issuer in issuers if issuer.startswith("http:")]
    named = [*config.pages.leads_to, *config.pages.return_origins]
    return [*named, *(["https:", *plain] if issuers else [])]


async def _close(login: Login, _app: web.Application) -> None:
    await login.close()


@contextlib.asynccontextmanager
async def run(
    config: Config, sessions: Sessions, calls: Backends, refused: Callable[[Refusal], None]
) -> AsyncIterator[web.Server]:
    """The running application as a server without a socket.

    The relay hands it connections.
    """
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
