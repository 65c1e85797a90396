"""Builds the relay of a worker: creates its parts, and connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from gateway.config.exposed_fields import exposed_fields
from gateway.config.login_places import (
    has_pending,
    key_places,
    served_methods,
    shortest_idle_timeout,
)
from gateway.config.realms import CALLERS, realms
from gateway.config.route_rules import table_rule
from gateway.config.token_places import key_schemes, token_fields
from gateway.core.http.cors import Policy
from gateway.core.http.forwarding import Trusted
from gateway.core.http.shares import Shares
from gateway.core.http.shedding import Shedding
from gateway.core.sessions.session import Session
from gateway.observe.access_record import Records, RecordSink
from gateway.outbound.jwks import KeySets
from gateway.outbound.token_readers import in_task, open_reader, without_temporary
from gateway.pages.refusals import RefusalPages
from gateway.relay.access.admission import Load
from gateway.relay.access.decision import Decider
from gateway.relay.access.forward_auth import VerifyEndpoint
from gateway.relay.access.jwt_callers import JwtCallers
from gateway.relay.access.key_cookies import TrustedCookies
from gateway.relay.access.route_table import RouteTable
from gateway.relay.client.listening import Listening
from gateway.relay.client.registered import Clients
from gateway.relay.exchange.body_buffer import BufferRoom
from gateway.relay.exchange.context import Context
from gateway.relay.exchange.exchange import Exchange
from gateway.relay.http1.key_fields import KeyFields
from gateway.relay.http1.request_ids import RequestIds
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.logouts.live_sessions import LiveSessions
from gateway.relay.logouts.session_ender import SessionEnder
from gateway.relay.loop.delay import DelayMeter
from gateway.relay.server import Relay
from gateway.relay.setup.limit_memory import LimitMemory
from gateway.relay.setup.limits import LimitBuilder
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.setup.routes import RouteBuilder, security_fields, via_is_sent
from gateway.relay.traffic_report import TrafficReport
from gateway.relay.upstream.server import Connect

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.traffic_sections import Limits
    from gateway.observe.metrics import Metrics
    from gateway.store.sessions import Sessions

# How many connections, and requests in flight, one address may always have.
_ALWAYS = 64


def build_relay(
    config: Config,
    *,
    pools: PoolBuilder,
    sessions: Sessions,
    key_sets: KeySets,
    endpoints: Mapping[str, Connect],
    captures: Connect,
    render: Callable[[Session], bytes],
    record_sinks: Sequence[RecordSink],
    metrics: Metrics,
    instance: str,
    worker: int = 0,
    limit_memory: LimitMemory | None = None,
) -> Relay:
    """Build a relay from config.yaml, in the running event loop.

    pools: has the upstreams, which the gateway's own calls ask too
    endpoints: by path (or by prefix, with a star at the end), what connects to its endpoint
    captures: connects to the endpoint that asks upstreams where tokens are captured
    render: makes the fields that upstreams get for a session
    record_sinks: take note of each request
    metrics: its methods count what the parts of the relay tell them
    instance: the gateway's name in `Via`, by which it finds loops
    worker: the number of the worker
    limit_memory: in which all workers count limits; None if there is one worker
    """
    loop, basis = asyncio.get_running_loop(), pools.basis
    settings, clients, clock = basis.settings, basis.clients, basis.clock
    requests = request_reader(config, instance)
    verify_endpoint = verify_endpoint_of(config, requests)
    load = _load(config, clients)
    cookies = _trusted_cookies(config)
    records = Records(record_sinks)
    limits = LimitBuilder(config, sessions.shared_limits.limit, limit_memory, worker=worker)
    routes = RouteBuilder(config, pools, captures, metrics, limits)
    decider = Decider(
        table=route_table(config, routes, endpoints, verify_endpoint),
        verify_endpoint=verify_endpoint,
        sessions=sessions,
        load=load,
        jwt_callers=_jwt_callers(config, key_sets, sessions, render),
        cookies=cookies,
    )
    context = Context(
        settings=settings,
        clock=clock,
        requests=requests,
        decide=decider.decide,
        decide_again=decider.decide_again,
        decide_late=decider.decide_late,
        load=load,
        connections=_connection_shares(config, clients),
        request_ids=RequestIds(Random(SystemRandom().getrandbits(256))),  # noqa: S311 (no secrets)
        record=records.add,
        instance=instance,
        proxies=Trusted(config.trusted_proxies),
        describing=Trusted(() if config.verify is None else config.verify.trusted),
        write_batch=basis.write_batch,
        buffer_room=_buffer_room(config.limits),
        loop=loop,
        cookies=cookies,
        ender=SessionEnder(sessions, loop),
        report=sessions.report,
        refused=metrics.refused,
        pages=RefusalPages(config.pages.templates),
        security=security_fields(config.security_headers),
        cors=Policy.of(config.cors, exposed_fields(config)),
        sends_via=via_is_sent(config),
    )
    clock.sweeps.append(routes.watches.sweep)
    live = LiveSessions(lambda: _in_flight(clients), sessions, shortest_idle_timeout(config))

    def late(seconds: float) -> None:
        metrics.traffic.loop_delay.observe(seconds)
        if load.shedding is not None:
            load.measured(seconds)

    listening = Listening(context, clients)
    report = TrafficReport(
        metrics.traffic,
        load=load,
        clients=clients,
        upstreams=pools.upstreams,
        tls=pools.tls,
        limits=tuple(limits.limits),
        concurrency=limits.concurrency,
        rules=routes.rules.all(),
        listening=listening,
    )
    return Relay(
        context,
        clients=clients,
        pools=pools.pools,
        live=live,
        listening=listening,
        records=records,
        report=report,
        meter=DelayMeter(late),
    )


def request_reader(config: Config, instance: str) -> RequestReader:
    """The reader of heads by the rules of a configuration."""
    return RequestReader(
        instance=instance,
        identity=_identity(config),
        max_fields=config.limits.fields,
        key_fields=KeyFields(
            schemes=key_schemes(config), fields=config.keys.field, maybe=token_fields(config)
        ),
        token_fields=token_fields(config),
        query_keys=[rule.key_in_query for rule in config.routes if rule.key_in_query is not None],
        upgrades={token for rule in config.routes for token in rule.upgrades},
    )


def verify_endpoint_of(config: Config, requests: RequestReader) -> VerifyEndpoint:
    """The endpoint that proxies ask."""
    return VerifyEndpoint(
        requests,
        identity=_identity(config),
        key_fields=(*config.keys.field, *token_fields(config)),
    )


def _identity(config: Config) -> list[str]:
    """The fields that hold values of sessions, which no client may set on any route."""
    changes = [rule.request_headers for rule in config.routes if rule.request_headers is not None]
    names = [*config.identity, *(name for change in changes for name in change.of_sessions)]
    return list({name.lower(): name for name in names}.values())


def route_table(
    config: Config,
    routes: RouteBuilder,
    endpoints: Mapping[str, Connect],
    verify_endpoint: VerifyEndpoint,
) -> RouteTable:
    """Make the table of the gateway's own routes and those of config.yaml."""
    methods = served_methods(config)
    own = [
        (routes.endpoint(path, connect), methods.get(path)) for path, connect in endpoints.items()
    ]
    if config.verify is not None:
        own += [(route, None) for route in verify_endpoint.routes(config.verify.path)]
    rules = [
        table_rule(rule, routes.route(number, rule)) for number, rule in enumerate(config.routes)
    ]
    return RouteTable(own, rules, routes.logins)


def _load(config: Config, clients: Clients) -> Load:
    """The requests in flight, with what one client may have of them."""
    limits = config.limits

    def holders() -> Iterable[str]:
        return (exchange.network for exchange in _in_flight(clients) if not exchange.is_stream)

    shares = Shares(limits.requests, limits.per_address, holders, always=_ALWAYS)
    shedding = None if limits.shed is None else Shedding(limits.shed)
    return Load(limits.requests, shares, shedding)


def _connection_shares(config: Config, clients: Clients) -> Shares:
    """The shares of clients in the connections."""
    limits = config.limits

    def holders() -> Iterable[str]:
        return (client.peer.own_network for client in clients)

    return Shares(limits.connections, limits.per_address, holders, always=_ALWAYS)


def _buffer_room(limits: Limits) -> BufferRoom:
    """What bodies that are read as a whole may take."""
    return BufferRoom(limits.buffered, limits.buffered_disk, limits.per_address)


def _in_flight(clients: Clients) -> Iterable[Exchange]:
    return (client.exchange for client in clients if client.exchange is not None)


def _jwt_callers(
    config: Config, key_sets: KeySets, sessions: Sessions, render: Callable[[Session], bytes]
) -> JwtCallers | None:
    if config.jwt is None:
        return None
    read = open_reader(config.jwt, key_sets, config.session.clock_skew)
    if has_pending(config):
        read = in_task(without_temporary(read, sessions.temporary_tokens))
    return JwtCallers(read, render, realms(config)[CALLERS], config.jwt.subject)


def _trusted_cookies(config: Config) -> TrustedCookies:
    """The cookies in which keys are taken: a captured token may come in one as a login's does."""
    places = key_places(config)
    return TrustedCookies(config.keys.cookie, places, secure=config.keys.secure)
