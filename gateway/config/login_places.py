"""The paths and the places of tokens of all logins together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from gateway.config.own_tokens import JWKS_PATH
from gateway.core.http import path_shapes
from gateway.core.logins import carriers
from gateway.core.logins.token_places import TokenPlace

if TYPE_CHECKING:
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions
    from gateway.core.logins.login_paths import LoginPath


def key_cookies(config: Config) -> frozenset[str]:
    """The names of the cookies that hold keys.

    They are the gateway's own, and those in which backends give tokens.
    """
    return carriers.own_cookies(config.keys.cookie, token_places(config))


def logins_with_jwt_keys(config: Config) -> list[str]:
    """The paths of the logins whose keys have the shape of a JWT."""
    return [
        login.path for login in config.login if (login.own_key_form or config.keys.form) == "jwt"
    ]


def shortest_idle_timeout(config: Config) -> float:
    """The shortest idle timeout of any session (seconds)."""
    own = [
        section.idle_timeout
        for login in config.login
        for section in (login, login.remember)
        if section is not None and section.idle_timeout is not None
    ]
    return min([config.session.idle_timeout, *own])


def key_places(config: Config) -> list[TokenPlace]:
    """The places of tokens in replies to logins and to captured requests.

    Clients get a key there.
    """
    captured = [rule.captures for rule in config.routes if rule.captures is not None]
    return [*token_places(config), *captured]


def token_places(config: Config) -> list[TokenPlace]:
    """The places of tokens in the replies of backends to logins."""
    return [login.token_place for login in config.login if login.token_place is not None]


def login_of_route(config: Config, rule: RouteOptions) -> LoginSection | None:
    """The login by whose rules sessions begin on a route.

    It is the one that the route names, or the only one that asks the same upstream.
    """
    if not rule.begins_sessions:
        return None
    named, others = rule.login, [login for login in config.login if login.token_place is not None]
    if named is not None:
        return next((login for login in others if login.path == named), None)
    upstream = rule.upstream
    found = [login for login in others if login.backend_paths[0].upstream == upstream]
    return found[0] if len(found) == 1 else None


def has_pending(config: Config) -> bool:
    """Whether logins hand out temporary tokens, for a second step."""
    return any(login.pending_place is not None for login in config.login)


def backend_paths(config: Config) -> list[tuple[str, str]]:
    """The paths at which backends hand out tokens, each with its upstream."""
    return [(asked.upstream, asked.path) for login in config.login for asked in login.backend_paths]


def refresh_paths(config: Config) -> list[LoginPath]:
    """The paths at which frontends refresh. Several logins may share one."""
    paths = [login.refresh_path for login in config.login]
    return list({path.path: path for path in paths if path is not None}.values())


def endpoint_paths(config: Config) -> list[str]:
    """The paths and prefixes of the endpoints, which come before all routes."""
    listed = config.sessions.path
    below = [] if listed is None else [listed, f"{listed}/*"]
    shown = [] if config.signing is None else [JWKS_PATH]
    chosen = [] if config.pages.login is None else [config.pages.login]
    whoami = [] if config.whoami is None else [config.whoami.path]
    logins = [path.path for login in config.login for path in login.paths]
    logins += [path.path for path in refresh_paths(config) if path.path not in logins]
    logouts = dict.fromkeys(logout.path for logout in config.logout if logout.path not in logins)
    return [*logins, *chosen, *whoami, *logouts, *below, *shown]


def taken_paths(config: Config) -> set[str]:
    """The paths at which nothing is refreshed by default.

    They are those that the gateway answers for another purpose, and those of routes that capture.
    """
    own = [config.pages.login, config.sessions.path, *(logout.path for logout in config.logout)]
    if config.whoami is not None:
        own.append(config.whoami.path)
    captured = [rule.path for rule in config.routes if rule.captures is not None]
    return {path for path in (*own, *captured) if path is not None}


def logout_paths(config: Config) -> dict[str, list[tuple[str, str]]]:
    """The upstreams and paths of backends' own logouts, by their methods."""
    found: dict[str, list[tuple[str, str]]] = {}
    for logout in config.logout:
        if logout.upstream is not None and logout.backend_path is not None:
            found.setdefault(logout.method, []).append((logout.upstream, logout.backend_path))
    return found


def keeps_refresh_tokens(config: Config) -> frozenset[str]:
    """The upstreams whose logouts are sent the refresh tokens of their logins."""
    return frozenset(
        logout.upstream
        for logout in config.logout
        if logout.upstream is not None and logout.send_refresh_token is not None
    )


def shaped_paths(config: Config) -> frozenset[bytes]:
    """The paths of logins that hold temporary tokens (see `path_shapes`)."""
    paths = [path.path for login in config.login for path in login.paths]
    return frozenset(path.encode() for path in paths if path_shapes.names(path))


def served_methods(config: Config) -> dict[str, frozenset[str]]:
    """The methods of logins and logouts, by their paths. HEAD follows GET.

    Other methods are for routes. A person who looks at the path of a form is sent to its page.
    """
    found: dict[str, set[str]] = {}
    for path in refresh_paths(config):
        found.setdefault(path.path, set()).update(path.methods)
    for login in config.login:
        for path in login.paths:
            found.setdefault(path.path, set()).update(path.methods)
        if login.has_form and config.pages.login is not None:
            found[login.path].add("GET")
    for logout in config.logout:
        found.setdefault(logout.path, set()).update(logout.methods)
    return {path: frozenset(with_head(methods)) for path, methods in found.items()}


def with_head(methods: Collection[str]) -> list[str]:
    """The methods, in order. HEAD follows GET, as on routes."""
    return sorted({*methods, *(["HEAD"] if "GET" in methods else [])})


def max_bodies(config: Config) -> dict[str, int]:
    """The limits of bodies (bytes) by path, for paths that take a body."""
    paths = [*refresh_paths(config), *(path for login in config.login for path in login.paths)]
    return {path.path: path.max_body for path in paths if path.max_body}
