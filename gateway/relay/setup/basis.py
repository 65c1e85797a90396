"""What the parts of a worker's relay share, which is made before any of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.relay.client.registered import Clients
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import Settings
from gateway.relay.loop.write_batch import WriteBatch
from gateway.relay.setup.settings import settings_of

if TYPE_CHECKING:
    from gateway.config.model import Config


@dataclass(frozen=True, slots=True)
class Basis:
    """The numbers, the connections of clients, the clock over them, and the writes of a turn."""

    settings: Settings
    clients: Clients
    clock: Clock
    write_batch: WriteBatch


def basis_of(config: Config) -> Basis:
    """Make it, in the running event loop."""
    settings, clients = settings_of(config), Clients()
    clock = Clock(clients, settings.write, settings.seconds_per_byte)
    return Basis(settings, clients, clock, WriteBatch(asyncio.get_running_loop()))
