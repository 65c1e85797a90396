"""One worker process: the composition root, and the only place that names every concrete part."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from gateway.core import identity
from gateway.endpoints import admin, app
from gateway.observe import access_log
from gateway.relay.pool import Connect
from gateway.relay.server import Relay
from gateway.relay.upstream import UpstreamConnection
from gateway.store.sessions import open_sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.worker")

# Python's collector looks at every tracked object; a relay makes few cycles, and the warm path
# makes none, so the youngest generation may grow before it is looked at (measured: 4 % of CPU).
_COLLECT_AFTER = 20_000


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor hands to one worker."""

    config: Config
    public: tuple[socket.socket, ...]  # bound, for the relay
    admin: tuple[socket.socket, ...]  # bound, for the admin listener
    store_url: str  # of the embedded server, or what config.yaml says
    secrets: tuple[str, ...]  # mixed into the seal; the first one seals, all open
    instance: str  # 16 hexadecimal digits, the same for all workers of a gateway
    number: int


def main(assignment: Assignment) -> int:
    """Serves until SIGTERM or SIGINT, then drains. Returns the process's exit code."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    uvloop.run(_serve(assignment))
    return 0


async def _serve(assignment: Assignment) -> None:
    config = assignment.config
    stopping = _stop_signal()
    sessions = open_sessions(
        config,
        url=assignment.store_url,
        secrets=assignment.secrets,
        render=lambda session: identity.lines(session, config.identity),
    )
    await sessions.start()
    async with app.run(config, sessions) as endpoints:
        relay = Relay(
            config,
            sessions=sessions,
            endpoints={path: _in_process(endpoints) for path in app.paths(config)},
            access_log=access_log.open_log(config.access_log),
            instance=assignment.instance,
        )
        health = web.AppRunner(admin.build_admin(sessions, stopping.is_set))
        await health.setup()
        for listener in assignment.admin:
            await web.SockSite(health, listener).start()
        await relay.start(assignment.public)
        _log.info("worker %d serves", assignment.number)
        await stopping.wait()
        await relay.drain(config.timeouts.drain)
        await health.cleanup()
    await sessions.close()


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _in_process(server: web.Server) -> Connect:
    """Connects the relay to the endpoints over a socket pair: no port, no way in from outside."""

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
