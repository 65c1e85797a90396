"""`gateway routes explain`: which route serves a request, and what its upstream would get.

The relay's own code decides: its reader, its table, and its head for the upstream.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, fail
from gateway.config.problems import ConfigError

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions
    from gateway.core.http.refusals import Refusal
    from gateway.core.http.routing import Entry
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route
    from gateway.relay.access.route_table import RouteTable
    from gateway.relay.http1.request_head import RequestHead

_URL = re.compile(r"https?://([^/?#]+)(/[^?#]*)?(\?[^#]*)?")

# Stands for the session's token, and for the client's address (RFC 5737).
_TOKEN = b"<the session's token>"
_CLIENT = "192.0.2.1"

# Fields that may hold secrets.
_SECRET = frozenset({"authorization", "cookie"})


def explain(options: argparse.Namespace) -> int:
    """Print what would happen to a request. Return 1 if it would be refused."""
    from pathlib import Path

    from gateway.config import document
    from gateway.config.load import load

    url = _URL.fullmatch(options.url)
    if url is None:
        return fail("write the URL as in https://shop.example/api/x", EXIT_USAGE)
    lines = "".join(f"{line}\r\n" for line in options.header)
    target = (url[2] or "/") + (url[3] or "")
    data = f"{options.method} {target} HTTP/1.1\r\nHost: {url[1]}\r\n{lines}\r\n"
    try:
        config = load(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    found = document.read(Path(options.config), {})
    return asyncio.run(_explain(config, found, data.encode("utf-8", "surrogateescape")))


async def _explain(config: Config, document: Document, data: bytes) -> int:
    from gateway.core.http import hosts
    from gateway.core.http.forwarding import Trusted
    from gateway.core.http.refusals import Refusal
    from gateway.relay.access.peer import Peer
    from gateway.relay.outcomes import Refused
    from gateway.relay.setup.relay import request_reader

    peer = Peer((_CLIENT, 1), instance="gateway", proxies=Trusted(()), describing=Trusted(()))
    try:
        head = request_reader(config, "gateway").read(data, len(data) - 4)
        table = _table(config)
        found = table.match(head, peer)
        entries = table.fitting(head)
    except Refused as refused:
        return _refused(refused.refusal)
    except hosts.AmbiguousHost:
        from gateway.core.http import refusals

        return _refused(refusals.AMBIGUOUS_HOST)
    numbers = _numbers(entries)
    if isinstance(found, Refusal):
        _print_losers(config, document, numbers, head, None)
        return _refused(found)
    route = found.pick(head.method)
    if route is None:
        print(f"refused: 405, this path is served for {', '.join(found.allowed)}")
        _print_losers(config, document, numbers, head, None)
        return EXIT_FAILED
    _print_winner(config, document, route, numbers)
    _print_losers(config, document, numbers, head, route)
    return _print_head(head, route, peer)


def _table(config: Config) -> RouteTable:
    """The relay's table, without connections behind it."""
    from gateway.config.login_places import endpoint_paths
    from gateway.relay.setup.basis import basis_of
    from gateway.relay.setup.limits import LimitBuilder
    from gateway.relay.setup.pools import PoolBuilder
    from gateway.relay.setup.relay import request_reader, route_table, verify_endpoint_of
    from gateway.relay.setup.routes import RouteBuilder

    async def connect(_factory: object) -> object:
        raise AssertionError("nothing is sent")

    pools = PoolBuilder(config, basis_of(config))
    uncounted: Any = SimpleNamespace(token_passed=lambda *_: None)
    unshared: Any = lambda *_: None  # noqa: E731
    limits = LimitBuilder(config, None, unshared)
    routes = RouteBuilder(config, pools, connect, uncounted, limits)
    verify_endpoint = verify_endpoint_of(config, request_reader(config, "gateway"))
    return route_table(
        config, routes, dict.fromkeys(endpoint_paths(config), connect), verify_endpoint
    )


def _numbers(entries: list[Entry[Route]]) -> list[Route]:
    """The routes of these patterns, in order."""
    found = [route for entry in entries for layer in entry.layers.values() for route in layer.all()]
    return list(dict.fromkeys(found))


def _print_winner(config: Config, document: Document, route: Route, known: list[Route]) -> None:
    from gateway.config.route_rules import described, required

    number = route.number
    if number is None:
        print(f"served by the gateway itself: {route.name}")
        return
    rule = config.routes[number]
    print(f"served by {_place(document, number)}: {described(rule)}")
    if all(route.number != other.number for other in known):
        print("  the strictest of the routes that a backend may take the request for")
    print(f"  requires: {required(rule)}")
    print(f"  upstream: {rule.upstream or 'none'}")


def _print_losers(
    config: Config,
    document: Document,
    routes: list[Route],
    head: RequestHead,
    winner: Route | None,
) -> None:
    for route in routes:
        number = route.number
        if winner is not None and number == winner.number:
            continue
        if number is None:
            print(f"not served by the gateway itself at {route.name}: another method, or stricter")
            continue
        print(f"not {_place(document, number)}: {_why(config, number, head, winner)}")


def _why(config: Config, number: int, head: RequestHead, winner: Route | None) -> str:
    from gateway.config.route_rules import conditions_of, described, order_of
    from gateway.core.http.request_conditions import Holds

    rule = config.routes[number]
    if conditions_of(rule).read(head.passed, head.query) in (Holds.NO, Holds.BY_ANOTHER_READING):
        return f"{described(rule)} has conditions that the request does not meet"
    method = head.method.decode()
    if rule.methods is not None and not {method, "GET" if method == "HEAD" else ""} & {
        *rule.methods
    }:
        return f"{described(rule)} does not serve {method}"
    if winner is None or winner.number is None:
        return f"{described(rule)} fits, and does not decide"
    if order_of(rule) > order_of(config.routes[winner.number]):
        return f"{described(rule)} fits, but {_more_specific(config.routes[winner.number], rule)}"
    return f"{described(rule)} is less strict, or shares the path by method"


def _more_specific(winner: RouteOptions, loser: RouteOptions) -> str:
    """Why the winner is asked before the loser."""
    from gateway.config.route_rules import conditions_of, order_of, pattern_of

    mine, theirs = pattern_of(winner), pattern_of(loser)
    if order_of(winner)[0] != order_of(loser)[0]:
        return "a rule for a more exact host wins"
    if mine.rank == theirs.rank:
        more = conditions_of(winner).rank != conditions_of(loser).rank
        return "a rule with more conditions wins" if more else "another rule comes first"
    if mine.is_name:
        return "an exact path wins"
    if theirs.regex:
        return "an earlier expression wins" if mine.regex else "a pattern wins over an expression"
    if theirs.is_prefix and not mine.is_prefix:
        return "a path without a star wins"
    if len(mine.segments) != len(theirs.segments):
        return "a longer prefix wins"
    same_segments = mine.segments == theirs.segments
    return "a longer suffix wins" if same_segments else "a segment that is written earlier wins"


def _place(document: Document, number: int) -> str:
    problem = document.problem(("routes", number), "")
    return f"routes[{number}] ({document.file}:{problem.line})"


def _print_head(head: RequestHead, route: Route, peer: Peer) -> int:
    """Print the head as the upstream would get it, for a caller with a session."""
    from gateway.core.sessions.session import Session
    from gateway.relay.access import upstream_request
    from gateway.relay.outcomes import Refused
    from gateway.store.resolved_session import ResolvedSession

    if route.pool is None or route.in_process:
        return 0
    entry = None
    if route.identifies:
        session: Any = Session(
            id="session",
            subject="subject",
            token=SimpleNamespace(claims={}),  # type: ignore[arg-type]
            login="",
            ends_at=time.time() + 60,
            _claims=_Placeholders(),
        )
        entry = ResolvedSession(session, b"", _TOKEN, time.time() + 60)
    head.authorization = None if route.identifies else head.authorization
    try:
        sent = upstream_request.request_head(head, route, entry, peer, b"<request id>")
    except Refused as refused:
        return _refused(refused.refusal)
    print("the upstream gets (with the fields of identity behind the token):")
    for line in sent.decode("latin-1").rstrip().split("\r\n"):
        name, _, value = line.partition(":")
        shown = name.lower() not in _SECRET or value.endswith(_TOKEN.decode())
        print(f"  {line if shown else f'{name}: <as it came>'}")
    return 0


class _Placeholders(dict[str, Any]):
    """Claims of any name, whose values stand for those of a session."""

    def get(self, name: str, _default: object = None) -> str:
        return f"<{name} of the session>"


def _refused(refusal: Refusal) -> int:
    print(f"refused: {refusal.status} {refusal.reason}: {refusal.title}")
    return EXIT_FAILED
