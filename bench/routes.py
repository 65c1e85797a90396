"""The CPU of matching by itself, with few and with many routes.

Each route has a host of its own and a prefix, as for many tenants behind one gateway.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.http.path_patterns import parse
from gateway.core.http.paths import BackendPaths
from gateway.core.http.routing import Rule
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_table import RouteTable
from gateway.relay.http1.request_head import RequestHead

SIZES = (10, 1000, 10_000)

_ASKED = 10  # routes, spread over all
_REQUESTS = 4000  # in a round; as many paths are remembered
_ROUNDS = 15


@dataclass(frozen=True)
class Matching:
    """The CPU of a match in microseconds, the best of some rounds."""

    remembered: float  # of a path that came before
    new: float  # of a path that comes for the first time


def time_matching() -> dict[int, Matching]:
    """Time matches, by the number of routes. The sizes take turns."""
    tables = {size: _table(size) for size in SIZES}
    found: dict[int, list[Matching]] = {size: [] for size in SIZES}
    for number in range(_ROUNDS):
        for size, table in tables.items():
            heads = _heads(size, number)
            found[size].append(Matching(new=_time(table, heads), remembered=_time(table, heads)))
    return {
        size: Matching(
            remembered=min(matching.remembered for matching in rounds),
            new=min(matching.new for matching in rounds),
        )
        for size, rounds in found.items()
    }


def _table(size: int) -> RouteTable:
    rules = []
    for number in range(size):
        route = Route(f"h{number}.example/app{number}/*", Access(Auth.REQUIRED))
        pattern = parse(f"/app{number}/*")
        rules.append(Rule(pattern, None, route, hosts=(f"h{number}.example",)))
    return RouteTable([], rules, BackendPaths(()))


def _heads(size: int, start: int) -> list[RequestHead]:
    """Requests for some of the routes, each with a path of its own."""
    heads = []
    for number in range(_REQUESTS):
        at = number % _ASKED * (size // _ASKED)
        head = RequestHead(b"GET", b"", b"1")
        head.path = b"/app%d/items/%d" % (at, start * _REQUESTS + number)
        head.host = b"h%d.example" % at
        heads.append(head)
    return heads


def _time(table: RouteTable, heads: Sequence[RequestHead]) -> float:
    """Microseconds for each request."""
    began = time.process_time()
    for head in heads:
        table.match(head)
    return (time.process_time() - began) / len(heads) * 1e6
