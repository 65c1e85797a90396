"""Checks of paths: none stands twice, and each route can be reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.config.login_places import served_methods, with_head
from gateway.config.own_tokens import JWKS_PATH
from gateway.config.route_rules import conditions_of, pattern_of
from gateway.core.http.field_names import OF_THE_RELAY, PREFIXES_OF_THE_RELAY, fold
from gateway.core.http.path_patterns import PathPattern

if TYPE_CHECKING:
    from gateway.config.document import Document, Where
    from gateway.config.model import Config
    from gateway.config.problems import Problem
    from gateway.config.route_sections import RouteOptions

# The gateway's own paths, each with the name of the section that answers there.
Taken = dict[str, str]


def check_paths(config: Config, document: Document) -> Iterator[Problem]:
    """Find paths that stand twice, and routes that are never reached.

    The gateway's own paths win over routes.
    """
    yield from _clashes(config, document)
    yield from _unread_fields(config, document)
    taken: Taken = {}
    yield from _logout_paths(config, taken, document)
    yield from _section_paths(config, taken, document)
    yield from _login_paths(config, taken, document)
    yield from _refresh_paths(config, taken, document)
    yield from _unreached_routes(config, taken, document)


def _clashes(config: Config, document: Document) -> Iterator[Problem]:
    """Pairs of routes for the same requests, with none more specific."""
    known: dict[tuple[str, PathPattern], list[int]] = {}
    for at, route in enumerate(config.routes):
        pattern = replace(pattern_of(route), bare=False)
        places = [known.setdefault((host, pattern), []) for host in route.host or ("",)]
        for before in sorted({before for beside in places for before in beside}):
            other = config.routes[before]
            if _clash_in_conditions(route, other) and _share_a_method(route, other):
                yield _clash(document, at, before, "matches the same requests as")
            elif route.bare != other.bare:
                yield _clash(document, at, before, "must have the same bare as")
        for beside in places:
            beside.append(at)


def _unread_fields(config: Config, document: Document) -> Iterator[Problem]:
    """Conditions on fields that the gateway reads itself, or takes out."""
    own = {fold(name.encode()) for name in (*config.identity, *config.keys.field)}
    own |= OF_THE_RELAY | {b"sec-websocket-protocol"}  # in which a key may come
    for at, route in enumerate(config.routes):
        for name in route.headers:
            folded = fold(name.encode())
            if folded in own or folded.startswith(PREFIXES_OF_THE_RELAY):
                yield document.problem(
                    ("routes", at, "headers", name),
                    "is a field that the gateway itself reads or removes",
                    hint="for Host, write host" if folded == b"host" else "",
                    key=True,
                )


def _clash_in_conditions(one: RouteOptions, other: RouteOptions) -> bool:
    """Whether a request may meet the conditions of both, with none more specific."""
    ours, theirs = conditions_of(one), conditions_of(other)
    return ours.rank == theirs.rank and not ours.excludes(theirs)


def _clash(document: Document, at: int, before: int, what: str) -> Problem:
    line = document.problem(("routes", before), "").line
    return document.problem(("routes", at, "path"), f"{what} routes[{before}] in line {line}")


def _share_a_method(one: RouteOptions, other: RouteOptions) -> bool:
    if conditions_of(one) != conditions_of(other):
        # Of these two no method is the fallback, and HEAD goes with GET in each.
        mine, theirs = ({*with_head(route.methods or ())} for route in (one, other))
        return not mine or not theirs or not mine.isdisjoint(theirs)
    if one.methods is None or other.methods is None:
        # A route for every method is the fallback of routes that name methods.
        return one.methods is None and other.methods is None
    return bool(set(one.methods) & set(other.methods))


def _logout_paths(config: Config, taken: Taken, document: Document) -> Iterator[Problem]:
    """Logouts may share a path, each with methods of its own."""
    served: dict[str, set[str]] = {}
    for at, logout in enumerate(config.logout):
        methods = served.setdefault(logout.path, set())
        if methods & {*with_head(logout.methods)}:
            message = f"is the path of {taken[logout.path]} as well"
            yield document.problem(("logout", at, "path"), message)
        methods.update(with_head(logout.methods))
        taken.setdefault(logout.path, f"logout[{at}]" if at else "logout")


def _section_paths(config: Config, taken: Taken, document: Document) -> Iterator[Problem]:
    """Sections with one path each, which answers by every method."""
    if config.signing is not None:
        taken[JWKS_PATH] = "signing"
    paths: list[tuple[Where, str | None]] = [
        ((name, "path"), path) for name, path in _with_subpaths(config).items()
    ]
    paths.append((("pages", "login"), config.pages.login))
    paths.append((("whoami", "path"), None if config.whoami is None else config.whoami.path))
    for where, path in paths:
        if path is None:
            continue
        if path in taken:
            yield document.problem(where, f"is the path of {taken[path]} as well")
        else:
            taken[path] = str(where[0])


def _with_subpaths(config: Config) -> dict[str, str | None]:
    """The paths below which the gateway answers as well, by their sections."""
    verify = None if config.verify is None else config.verify.path
    return {"sessions": config.sessions.path, "verify": verify}


def _login_paths(config: Config, taken: Taken, document: Document) -> Iterator[Problem]:
    """A login may share the path of a logout, each with methods of its own."""
    logouts: dict[str, set[str]] = {}
    for logout in config.logout:
        logouts.setdefault(logout.path, set()).update(with_head(logout.methods))
    for at, login in enumerate(config.login):
        for answered in login.paths:
            shared = logouts.get(answered.path)
            if shared is not None and not shared & {*answered.methods}:
                continue  # POST logs in, and DELETE logs out, say
            if answered.path in taken:
                other = taken[answered.path]
                where = ("login", at, answered.setting)
                yield _movable(document.problem(where, f"is the path of {other} as well"), other)
            taken[answered.path] = f"login[{at}]"


def _refresh_paths(config: Config, taken: Taken, document: Document) -> Iterator[Problem]:
    """The paths of refresh calls, which are added to those that are `taken`.

    At a login's path, the grant type tells a refresh call.
    """
    for at, login in enumerate(config.login):
        path = login.with_renewal(config.session.renew).refresh_path
        if path is None:
            continue
        other = taken.setdefault(path.path, f"login[{at}].refresh")
        if not other.startswith("login"):
            yield document.problem(("login", at, "refresh"), f"is the path of {other} as well")


def _unreached_routes(config: Config, taken: Taken, document: Document) -> Iterator[Problem]:
    """Routes at a path where the gateway itself answers."""
    served = served_methods(config)
    subpaths = _with_subpaths(config)
    for at, route in enumerate(config.routes):
        above = [name for name, path in subpaths.items() if route.path.startswith(f"{path}/")]
        answers = taken.get(route.path, "".join(above[:1]))
        if answers and not _is_beside(route, served.get(route.path)):
            problem = document.problem(
                ("routes", at, "path"), f"is never reached: {answers} answers there"
            )
            yield _movable(problem, answers)


def _is_beside(route: RouteOptions, served: Collection[str] | None) -> bool:
    """Whether a route has only methods that the endpoint at its path leaves.

    `served`: the endpoint's methods; None: all
    """
    return served is not None and route.methods is not None and not {*route.methods} & {*served}


def _movable(problem: Problem, endpoint: str) -> Problem:
    """Add how to move the list of sessions, which is there by default."""
    hint = "sessions: /another/path moves it, sessions: off turns it off"
    return replace(problem, hint=hint) if endpoint == "sessions" else problem
