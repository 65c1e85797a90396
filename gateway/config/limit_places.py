"""Where config.yaml has rate limits.

Workers need this, so it imports no pydantic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.config.once import once

if TYPE_CHECKING:
    from gateway.config.document import Where
    from gateway.config.limit_sections import RateLimit
    from gateway.config.model import Config


def limit_lists(config: Config) -> Iterator[tuple[Where, tuple[str | RateLimit, ...]]]:
    """All lists of limits, each with its place in config.yaml."""
    for at, rule in enumerate(config.routes):
        yield ("routes", at, "limits"), rule.limits
    for name, upstream in config.upstreams.items():
        yield ("upstreams", name, "limits"), upstream.limits
    for path, limits in config.endpoint_limits.items():
        yield ("endpoint_limits", path), limits


@once
def rate_limits(config: Config) -> dict[Where, RateLimit]:
    """All limits, those with a name and those in place, by their places in config.yaml."""
    found: dict[Where, RateLimit] = {
        ("rate_limits", name): limit for name, limit in config.rate_limits.items()
    }
    for where, limits in limit_lists(config):
        for at, limit in enumerate(limits):
            if not isinstance(limit, str):
                found[*where, at] = limit
    return found


def concurrency_places(config: Config) -> Iterator[Where]:
    """The places of all limits on requests in flight in config.yaml."""
    for number, rule in enumerate(config.routes):
        for at in range(len(rule.concurrency)):
            yield "routes", number, "concurrency", at


def kept_place(config: Config, where: Where) -> Where:
    """The place of a limit, with the route itself in place of its number.

    It stays the same when other routes come or go.
    """
    if where[0] != "routes":
        return where
    return "routes", config.routes[int(where[1])].same_route, *where[2:]
