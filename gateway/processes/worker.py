"""One worker process: the composition root, which connects all parts."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from gateway.config.login_places import endpoint_paths, shaped_paths
from gateway.core.http.addresses import BACKLOG, Address, Entrance
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.endpoints import admin, app
from gateway.observe import access_log, worker_log
from gateway.observe.audit_log import AuditLog, open_audit_log
from gateway.observe.events import Event
from gateway.observe.metrics import Metrics
from gateway.observe.request_counts import RequestCounts
from gateway.observe.sinks import Sink
from gateway.observe.unsent_fields import UnsentFields
from gateway.outbound.backends import backends
from gateway.processes.worker_link import Report, WorkerEnd
from gateway.relay.client import certificates
from gateway.relay.client.certificates import Certificates
from gateway.relay.http1.websocket import GOING_AWAY, SERVICE_RESTART
from gateway.relay.server import Relay
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.limit_memory import LimitMemory
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.setup.relay import build_relay
from gateway.relay.upstream.connection import UpstreamConnection
from gateway.relay.upstream.server import Connect
from gateway.store.sessions import Sessions, open_sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.processes.worker")

# The collector looks at every tracked object. The relay makes few cycles, and none on the warm
# path, so the youngest generation may grow larger (measured: saves 4 % of CPU).
_COLLECT_AFTER = 20_000

# How old gauges may be, and how late the audit log's sums.
_WATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor gives to one worker."""

    config: Config
    public: tuple[tuple[socket.socket, Address], ...]  # bound, for the relay
    admin: tuple[socket.socket, ...]  # bound, for the admin listener
    certificates: Mapping[Entrance, Certificates]  # of the public listeners with TLS
    store_url: str  # of the embedded server, or of config.yaml
    secrets: tuple[str, ...]  # mixed into the seal: the first one seals, all open
    instance: str  # 16 hexadecimal digits, the same for all workers of a gateway
    number: int
    metrics: str  # the folder that all workers of a gateway share
    slot: int  # its slot in that folder
    link: WorkerEnd  # to the supervisor
    limit_memory: LimitMemory | None = None  # in which the workers count limits together


def main(assignment: Assignment) -> None:
    """Serve until an order or a signal ends the worker."""
    worker_log.limit_repeats()
    certificates.ignore_unreadable_names()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    uvloop.run(_serve(assignment))


async def _serve(assignment: Assignment) -> None:
    """Connect the parts, listen when told to, and end when drained."""
    config, link = assignment.config, assignment.link
    _follow_signals(link)
    metrics = Metrics(assignment.metrics, assignment.slot)
    requests_log = access_log.open_log(config.access_log, shaped_paths(config))
    audit_log = open_audit_log(config.audit_log)
    sinks = (requests_log.sink, audit_log.sink)

    def reopen_logs() -> None:
        for sink in sinks:
            sink.reopen()

    link.follow(drain_seconds=config.timeouts.drain, reopen_logs=reopen_logs)

    def report(event: Event) -> None:
        audit_log.write(event)
        metrics.event(event)

    render = IdentityHeaders(config.identity, UnsentFields())
    sessions = open_sessions(
        config,
        url=assignment.store_url,
        secrets=assignment.secrets,
        render=render,
        report=report,
        observe_latency=metrics.revoked,
    )
    await sessions.start()
    pools = PoolBuilder(config, basis_of(config))
    async with (
        backends(config, pools.called) as calls,
        app.run(config, sessions, calls, metrics.refused) as endpoints,
    ):
        relay = build_relay(
            config,
            pools=pools,
            sessions=sessions,
            key_sets=calls.key_sets,
            endpoints={path: _in_process(endpoints) for path in endpoint_paths(config)},
            captures=_in_process(endpoints),
            render=render,
            record_sinks=[requests_log, RequestCounts(metrics.traffic.publish)],
            metrics=metrics,
            instance=assignment.instance,
            worker=assignment.number,
            limit_memory=assignment.limit_memory,
        )
        admin_runner = web.AppRunner(
            admin.build_admin(
                sessions,
                secret=config.admin.secret,
                is_draining=link.draining.is_set,
                metrics=metrics.render,
                refused=metrics.refused,
            ),
            access_log=None,
        )
        await admin_runner.setup()
        await relay.look_at_servers()
        await _listen(assignment, relay, admin_runner)
        watching = asyncio.create_task(_watch(link, metrics, sessions, audit_log, sinks))
        await link.draining.wait()
        await _drain(link, relay, admin_runner)
        await sessions.renewals.close()  # while their connections are open
        await admin_runner.cleanup()
        watching.cancel()
    await sessions.close()
    audit_log.close()
    _count_dropped_lines(metrics, sinks)


async def _listen(assignment: Assignment, relay: Relay, admin_runner: web.AppRunner) -> None:
    """Report that the worker can serve, and listen when it is told to."""
    link = assignment.link
    link.say_ready()
    await link.listening.wait()
    if link.draining.is_set():  # it was told to end before
        return
    await relay.start(assignment.public, assignment.certificates)
    for listener in assignment.admin:  # last: a ready worker must be reachable
        await web.SockSite(admin_runner, listener, backlog=BACKLOG).start()
    link.say_serves()
    _log.info("worker %d serves", assignment.number)


async def _drain(link: WorkerEnd, relay: Relay, admin_runner: web.AppRunner) -> None:
    """Stop listening, wait for the clients, and end what is left."""
    if link.is_retired or link.is_orphan:  # other workers listen on its address
        for site in list(admin_runner.sites):
            await site.stop()
    await relay.stop_listening()
    link.report(Report.CLOSED)
    await relay.drain(link)
    await relay.end(SERVICE_RESTART if link.is_retired else GOING_AWAY)


async def _watch(
    link: WorkerEnd,
    metrics: Metrics,
    sessions: Sessions,
    audit_log: AuditLog,
    sinks: Iterable[Sink],
) -> None:
    """Beat, update gauges, count dropped log lines and sum up the audit log.

    It does so once a second.
    """
    while True:
        link.report(Report.BEAT)
        near = sessions.near
        metrics.state(entries=len(near), trusted=near.trusted, store_up=sessions.available)
        audit_log.sum_up()
        _count_dropped_lines(metrics, sinks)
        await asyncio.sleep(_WATCH_SECONDS)


def _count_dropped_lines(metrics: Metrics, sinks: Iterable[Sink]) -> None:
    for sink in sinks:
        metrics.lines_dropped(sink.where, sink.count_dropped())


def _follow_signals(link: WorkerEnd) -> None:
    """Obey signals that are sent to the worker itself.

    Those of the terminal go to the supervisor.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, link.drain)
    loop.add_signal_handler(signal.SIGQUIT, link.end)


def _in_process(server: web.Server) -> Connect:
    """Connect the relay to the endpoints over a socket pair.

    No other process can reach it.
    """

    async def connect(factory: Callable[[], UpstreamConnection]) -> object:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(server, theirs)
            return await loop.create_unix_connection(factory, sock=ours)
        except BaseException:
            ours.close()
            theirs.close()
            raise

    return connect
