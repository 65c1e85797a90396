"""Checks and warnings of rate limits: names must exist, and limits must have something to count."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.complaints import suggest
from gateway.config.document import Document, Where
from gateway.config.limit_places import limit_lists, rate_limits
from gateway.config.login_places import endpoint_paths
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_sections import RouteOptions
from gateway.core.http.rates import ADDRESS, ROUTE


def check_limits(config: Config, document: Document) -> Iterator[Problem]:
    """Find limits that are named and missing, and those of no endpoint."""
    for where, limits in limit_lists(config):
        for at, limit in enumerate(limits):
            if isinstance(limit, str) and limit not in config.rate_limits:
                hint = suggest(limit, list(config.rate_limits)) or "write a rate, as in 10/s"
                yield document.problem((*where, at), "names no limit of rate_limits", hint=hint)
            elif limit in limits[:at]:
                yield document.problem((*where, at), "stands twice")
    paths = endpoint_paths(config)
    for path in config.endpoint_limits:
        if path not in paths:
            yield document.problem(
                ("endpoint_limits", path),
                "is no path of the gateway itself",
                hint=suggest(path, paths),
                key=True,
            )


def limit_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find limits that count for no request, or for others than it seems."""
    named = {
        limit for _, limits in limit_lists(config) for limit in limits if isinstance(limit, str)
    }
    for name in config.rate_limits:
        if name not in named:
            message = "limits nothing: name it in limits of a route or an upstream"
            yield document.problem(("rate_limits", name), message, key=True)
    for at, rule in enumerate(config.routes):
        if rule.auth == "public":
            yield from _of_sessions(("routes", at), rule, config, document)
        if rule.concurrency and rule.upstream is None and not rule.is_answered_here:
            message = "counts nothing: a proxy that asks sends the requests by itself"
            yield document.problem(("routes", at, "concurrency"), message)
    by_address = any(limit.per == ADDRESS for limit in rate_limits(config).values())
    if config.verify is not None and by_address:
        yield from _untold_clients(config, document)


def _of_sessions(
    where: Where, rule: RouteOptions, config: Config, document: Document
) -> Iterator[Problem]:
    """Limits by session on a route where no key is looked up."""
    named = [
        config.rate_limits.get(limit) if isinstance(limit, str) else limit for limit in rule.limits
    ]
    for setting, limits in (("limits", named), ("concurrency", rule.concurrency)):
        for at, limit in enumerate(limits):
            if limit is not None and limit.per not in (ADDRESS, ROUTE):
                yield document.problem(
                    (*where, setting, at),
                    f"counts by {limit.per}, but this route is public: no session is known, so it "
                    "counts by address",
                )


def _untold_clients(config: Config, document: Document) -> Iterator[Problem]:
    """Proxies that ask, and that are not believed in whom they ask for."""
    assert config.verify is not None
    if any(place not in config.trusted_proxies for place in config.verify.trusted):
        yield document.problem(
            ("verify",),
            "is asked by proxies that are not in trusted_proxies, so limits by address count all "
            "their clients as one; name them there",
        )
