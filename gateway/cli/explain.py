"""`gateway routes explain`: which route serves a request, and what its upstream would get.

The relay's own code decides: its reader, its table, and its heads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, fail
from gateway.cli.route_reasons import Reasons
from gateway.cli.unconnected import INSTANCE, TOKEN, placeholder_session, table_of
from gateway.config.load import load_with_document
from gateway.config.problems import ConfigError
from gateway.config.route_rules import described, required
from gateway.core.http import hosts, paths
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.routing import Rule, Table
from gateway.pages.refusals import RefusalPages
from gateway.relay.access import upstream_request
from gateway.relay.access.admission import choose_upgrade
from gateway.relay.access.decision import Forward
from gateway.relay.access.matching import matched_route
from gateway.relay.access.peer import Peer
from gateway.relay.access.route_access import Auth
from gateway.relay.answers import own_answers, response_shape
from gateway.relay.exchange.buffered_upload import head_of_whole
from gateway.relay.http1.request_reader import check_size
from gateway.relay.outcomes import Answered, Refused
from gateway.relay.setup.relay import request_reader
from gateway.relay.setup.routes import via_is_sent
from gateway.relay.setup.settings import settings_of

if TYPE_CHECKING:
    from gateway.config.document import Document
    from gateway.config.model import Config
    from gateway.relay.access.route import Route
    from gateway.relay.access.route_table import RouteTable
    from gateway.relay.http1.request_head import RequestHead

# Clients send neither the user of a URL in the target, nor its fragment (RFC 9110 §4.2.4, §7.1).
_URL = re.compile(r"((?i:https?))://(?:[^/?#]*@)?([^/?#]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?")

# Stands for the client's address (RFC 5737), and for the id of the request.
_CLIENT = "192.0.2.1"
_REQUEST_ID = b"c0ffee00c0ffee00c0ffee00c0ffee00"

_LENGTH = b"<length of the body>"

_SECRET = b"<as it came>"


def explain(options: argparse.Namespace) -> int:
    """Print what would happen to a request. Return 1 if it would be refused."""
    url = _URL.fullmatch(options.url)
    if url is None:
        return fail("write the URL as in https://shop.example/api/x", EXIT_USAGE)
    try:
        config, document = load_with_document(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    names_host = any(line.lower().startswith("host:") for line in options.header)
    host = [] if names_host else [f"Host: {url[2]}"]
    target = (url[3] or "/") + (url[4] or "")
    lines = [f"{options.method} {target} HTTP/1.1", *host, *options.header, "", ""]
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    return asyncio.run(_explain(config, document, data, scheme=url[1].lower()))


async def _explain(config: Config, document: Document, data: bytes, *, scheme: str) -> int:
    peer = Peer(
        (_CLIENT, 1),
        instance=INSTANCE if via_is_sent(config) else "",
        proxies=Trusted(()),
        describing=Trusted(()),
        scheme=scheme,
    )
    try:
        check_size(data, len(data) - 4, settings_of(config))
        head = request_reader(config, INSTANCE).read(data, len(data) - 4)
    except Refused as refused:
        if not data.isascii():
            print("browsers and URLs write what is not ASCII as UTF-8 in escapes: %ED%95%9C")
        return _print_refusal(refused)
    table = table_of(config)
    try:
        winner = matched_route(table, head, peer)
    except Answered as answered:
        print(f"answered by the gateway itself: {answered.status}")
        _print_lines(own_answers.answered(answered, head, request_id=_REQUEST_ID, close=False))
        return 0
    except Refused as refused:
        _print_refusal(refused)
        _print_readings(config, document, table, head)
        _print_losers(config, document, table, head, refused.refusal)
        return EXIT_FAILED
    _print_winner(config, document, head, winner)
    _print_limits(winner)
    _print_losers(config, document, table, head, winner)
    return _print_outcome(config, winner, head, peer)


def _print_refusal(refused: Refused) -> int:
    refusal, allowed = refused.refusal, refused.fields.get("Allow")
    if allowed:
        print(f"refused: {refusal.status}, this path is served for {allowed}")
    else:
        print(f"refused: {refusal.status} {refusal.reason}: {refusal.title}")
    return EXIT_FAILED


def _print_winner(config: Config, document: Document, head: RequestHead, winner: Route) -> None:
    if winner.number is None:
        print(f"served by the gateway itself: {winner.name}")
        return
    rule = config.routes[winner.number]
    print(f"served by {_place(document, winner.number)}: {described(rule)}")
    reading = _reading(winner, head)
    if reading is not None:
        print(f"  the strictest of the routes that a backend may read it for: as {reading}")
    print(f"  requires: {required(rule)}")
    for name in ("claims", "require"):
        asked = rule.model_dump(mode="json", include={name}, exclude_unset=True).get(name)
        if asked:
            print(f"    {name}: {json.dumps(asked, ensure_ascii=False)}")
    print(f"  upstream: {rule.upstream or 'none'}")


def _print_limits(winner: Route) -> None:
    """Print the settings that limit how many requests pass."""
    limits = winner.action.limits
    settings = [] if limits is None else [limit.setting for limit in limits.limits]
    settings += [limit.setting for limit in winner.action.concurrency]
    if settings:
        print(f"  limits: {', '.join(settings)}")


def _reading(winner: Route, head: RequestHead) -> str | None:
    """The path as a backend may read it, if that is why a route decides."""
    if winner.pattern is None or winner.pattern.regex:
        return None
    readings = paths.read(head.path)
    if Table([Rule(winner.pattern, None, 0)]).any_host.fitting(readings.strict):
        return None
    folded = Table([Rule(winner.pattern.folded, None, 0)]).any_host
    known = (path for ways in readings.loose for path in ways)
    return next((_shown(path) for path in known if folded.fitting(path)), None)


def _print_readings(
    config: Config, document: Document, table: RouteTable, head: RequestHead
) -> None:
    """Print the other readings of a path that is refused, with their routes."""
    try:
        readings = paths.read(head.path)
        found = [
            (path, table.fitting(head.host, path))
            for path in (readings.resolved, *readings.without_controls)
            if path != readings.strict
        ]
        loose = dict.fromkeys(path for ways in readings.loose for path in ways)
        found += [(path, table.fitting(head.host, path, is_folded=True)) for path in loose]
    except (paths.AmbiguousPath, hosts.AmbiguousHost):
        return
    for path, routes in dict(found).items():
        if path != readings.strict:
            place = _name(config, document, routes[0]) if routes else "no route"
            print(f"  a backend may read {_shown(path)}, for {place}")


def _shown(path: bytes) -> str:
    return repr(paths.escaped(path or b"/").decode())


def _print_losers(
    config: Config,
    document: Document,
    table: RouteTable,
    head: RequestHead,
    outcome: Route | Refusal,
) -> None:
    try:
        routes = table.fitting(head.host, paths.strict(head.path))
    except hosts.AmbiguousHost:
        return
    reason = Reasons(config, head, routes, outcome)
    for route in routes:
        if isinstance(outcome, Refusal) or _rule_of(route) != _rule_of(outcome):
            print(f"not {_name(config, document, route)} {reason(route)}")


def _rule_of(route: Route) -> tuple[int | None, str]:
    """The rule of a route: the strictest of several is a copy of it."""
    return route.number, route.name


def _name(config: Config, document: Document, route: Route) -> str:
    if route.number is None:
        return f"the gateway itself at {route.name}"
    return f"{_place(document, route.number)}: {described(config.routes[route.number])}"


def _place(document: Document, number: int) -> str:
    problem = document.problem(("routes", number), "")
    return f"routes[{number}] ({document.file}:{problem.line})"


def _print_outcome(config: Config, route: Route, head: RequestHead, peer: Peer) -> int:
    """Print the head as the upstream or the client would get it, for each kind of caller."""
    if route.in_process and not route.is_endpoint and route.action.answer is None:
        print("the gateway asks the upstream itself, and reads its reply as a whole")
    elif route.action.answer is not None or (route.pool is not None and not route.in_process):
        sends = "the client gets" if route.action.answer is not None else "the upstream gets"
        if not route.identifies:
            return _print_sent(config, Forward(route, None, b""), head, peer, f"{sends}:")
        if route.access.auth is Auth.OPTIONAL:
            forward = Forward(route, None, b"")
            _print_sent(config, forward, head, peer, f"{sends}, if the caller has no session:")
        head.authorization = None
        forward = Forward(route, placeholder_session(config), b"")
        return _print_sent(config, forward, head, peer, f"{sends}, if the caller has a session:")
    return 0


def _print_sent(config: Config, forward: Forward, head: RequestHead, peer: Peer, title: str) -> int:
    route = forward.route
    try:
        if route.action.answer is not None:
            sent = _answer(config, forward, head, peer)
        else:
            if head.upgrade is not None:
                choose_upgrade(head.upgrade, route, head)
            sent = upstream_request.request_head(head, route, forward.resolved, peer, _REQUEST_ID)
    except Refused as refused:
        return _print_refusal(refused)
    if route.action.answer is None and route.action.buffer_request is not None:
        sent = head_of_whole(sent, _LENGTH)
    print(title)
    _print_lines(sent)
    return 0


def _answer(config: Config, forward: Forward, head: RequestHead, peer: Peer) -> bytes:
    """The answer of a route without an upstream."""
    route = forward.route
    assert route.action.answer is not None
    answer, security = route.action.answer(head), route.action.security
    around: dict[str, Any] = {
        "request_id": _REQUEST_ID,
        "close": False,
        "policy": route.access.cors,
        "change": response_shape.of_own_answer(head, forward),
        "protection": None if security is None else (security, peer.client(head).is_protected),
    }
    if isinstance(answer, Refusal):
        pages = RefusalPages(config.pages.templates)
        return own_answers.refusal(answer, head, fields={}, pages=pages, **around)
    return own_answers.answered(answer, head, **around)


def _print_lines(head: bytes) -> None:
    """Print the lines of a head, without secrets of the request."""
    for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if name.lower() == b"cookie":
            value = b" " + b"; ".join(map(_shown_cookie, value.strip().split(b"; ")))
        elif name.lower() == b"authorization" and TOKEN not in value:
            value = b" " + _SECRET
        shown = (name + colon + value).replace(quote_from_bytes(TOKEN).encode(), TOKEN)
        for request_id in (_REQUEST_ID, _REQUEST_ID[:16]):  # the second one in traceparent
            shown = shown.replace(request_id, b"<request id>")
        print("  " + shown.decode("latin-1"))


def _shown_cookie(pair: bytes) -> bytes:
    """A cookie with its value, if that is the placeholder of the token."""
    name, sign, _ = pair.partition(b"=")
    return pair if TOKEN in pair else name + sign + _SECRET
