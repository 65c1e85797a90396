"""Warnings about servers of upstreams: settings that change nothing, or not what they seem to."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.login_places import backend_paths
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.units import WHOLE
from gateway.config.upstream_sections import Upstream
from gateway.core.http.addresses import ServerUrl

# Browsers, proxies and their users have given up by then (seconds); it is nginx's timeout.
_MAX_PATIENCE_SECONDS = 60.0

# What takes another server to change anything.
_FOR_SEVERAL = ("balance", "slow_start", "eject", "retries")


def server_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find them, upstream by upstream."""
    for name, upstream in config.upstreams.items():
        found = [
            *_for_several(upstream),
            *_named_twice(upstream),
            *_one_host(upstream),
            *_ejecting_none(upstream),
            *_waiting(upstream),
            *_breaking_at_once(upstream),
            *_slow_checks(upstream),
        ]
        if _asks_a_login(name, upstream, config):
            found.append((("health", "path"), "is where logins are sent: a GET there is no health"))
        for where, message in found:
            yield document.problem(("upstreams", name, *where), message)
    yield from _no_streams(config, document)


_Found = Iterator[tuple[tuple[str | int, ...], str]]


def _is_only(upstream: Upstream) -> bool:
    """Whether it has one server, and never gets another one."""
    [first, *others] = upstream.servers
    return not others and not (upstream.resolve is not None and first.has_name)


def _for_several(upstream: Upstream) -> _Found:
    if not _is_only(upstream):
        return
    for setting in _FOR_SEVERAL:
        if setting in upstream.model_fields_set:
            yield (setting,), "changes nothing: there is one server"
    if upstream.servers[0].weight != 1:
        yield ("servers",), "has a weight, which changes nothing: there is one server"


def _named_twice(upstream: Upstream) -> _Found:
    seen: dict[ServerUrl, int] = {}
    for number, server in enumerate(upstream.servers):
        first = seen.setdefault(server, number)
        if first != number:
            message = f"is servers[{first}] once more, and no other server; write a weight instead"
            yield ("servers", number), message


def _one_host(upstream: Upstream) -> _Found:
    if upstream.host == "upstream" and len({server.authority for server in upstream.servers}) > 1:
        first = upstream.servers[0].authority
        yield ("host",), f"is {first} for all servers, that of the first one; write a name"


def _ejecting_none(upstream: Upstream) -> _Found:
    percent, count = upstream.eject.max_percent, len(upstream.servers)
    if count > 1 and upstream.resolve is None and percent * count < WHOLE:
        yield ("eject", "max_percent"), f"ejects no server: {percent} % of {count} is less than one"


def _waiting(upstream: Upstream) -> _Found:
    if (upstream.try_for or 0) > _MAX_PATIENCE_SECONDS:
        yield ("try_for",), "is longer than most clients wait for an answer: a minute"


def _breaking_at_once(upstream: Upstream) -> _Found:
    breaker = upstream.breaker
    if breaker is not None and breaker.errors * breaker.of <= WHOLE:
        yield ("breaker",), f"opens when 1 of {breaker.of} requests fails, which happens by chance"


def _slow_checks(upstream: Upstream) -> _Found:
    health = upstream.health
    if health is None or "timeout" not in health.model_fields_set:
        return
    if health.timeout > health.interval:
        message = f"has a timeout of {health.timeout:g} s, longer than its interval"
        yield ("health",), f"{message}: a server that hangs is asked so much less often"


def _asks_a_login(name: str, upstream: Upstream, config: Config) -> bool:
    if upstream.health is None:
        return False
    path = upstream.health.path.partition("?")[0]
    below = path.removeprefix(upstream.base)
    return (name, below) in backend_paths(config)


def _no_streams(config: Config, document: Document) -> Iterator[Problem]:
    """Routes whose upgrades all find no place."""
    for number, route in enumerate(config.routes):
        upstream = config.upstreams.get(route.upstream or "")
        if upstream is not None and route.upgrades and upstream.max_streams == 0:
            yield document.problem(
                ("routes", number),
                f"lets tunnels through, and {route.upstream} has max_streams: 0: all are 503",
            )
