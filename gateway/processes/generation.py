"""The workers of one configuration, as the supervisor sees them."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING

from gateway.core.http.addresses import Address, Entrance
from gateway.processes.errors import StartError
from gateway.processes.listeners import Listeners
from gateway.processes.replacements import Replacements
from gateway.processes.worker_link import Order, Report, SupervisorEnd
from gateway.relay.client.certificates import (
    Certificates,
    UnusableCertificate,
    all_certificates,
)
from gateway.relay.setup.limit_memory import LimitMemory

if TYPE_CHECKING:
    from gateway.config.model import Config

# How long workers get beyond `timeouts.drain` before they are killed.
GRACE_SECONDS = 5.0


@dataclass(eq=False)
class Worker:
    """One worker process, as the supervisor sees it."""

    number: int
    slot: int  # of its metrics
    pid: int
    started: float
    link: SupervisorEnd
    listens: bool = False  # it was told to
    is_succeeded: bool = False  # by another one with its number, while it drains

    @property
    def accepts(self) -> bool:
        """Whether it was told to accept connections, and has not reported that it ceased."""
        return self.listens and not self.link.has_heard(Report.CLOSED)


@dataclass(eq=False)
class Generation:
    """The workers of one configuration."""

    config: Config
    store_url: str = ""
    listeners: Listeners = field(default_factory=Listeners)
    workers: dict[int, Worker] = field(default_factory=dict)
    replacements: Replacements = field(default_factory=Replacements)  # of workers that ended
    deadline: float = math.inf  # for all of them to serve, or to have ended (monotonic s)
    certificates: Mapping[Entrance, Certificates] = field(init=False)
    limit_memory: LimitMemory = field(init=False)  # which the workers share
    before: InitVar[Generation | None] = None  # whose limits go on

    def __post_init__(self, before: Generation | None) -> None:
        """Raises `StartError` if a certificate cannot be used, and `OSError`."""
        try:
            self.certificates = all_certificates(self.config.listen)
        except UnusableCertificate as error:
            raise StartError(f"a certificate of listen cannot be used: {error}") from None
        memory = None if before is None else before.limit_memory
        self.limit_memory = LimitMemory.of(self.config, memory)

    def order(self, order: Order) -> None:
        """Send an order to all workers.

        Those that are to end are killed if they have not ended when their time is over.
        """
        if order in (Order.END, Order.END_RETIRED):
            drain = self.config.timeouts.drain if order == Order.END_RETIRED else 0.0
            self.deadline = min(self.deadline, time.monotonic() + drain + GRACE_SECONDS)
        for worker in self.workers.values():
            worker.link.order(order)

    @property
    def is_ready(self) -> bool:
        """Whether all its workers can serve."""
        return self._all_have_reported(Report.READY)

    @property
    def serves(self) -> bool:
        """Whether all its workers accept connections."""
        return self._all_have_reported(Report.SERVES)

    def _all_have_reported(self, report: Report) -> bool:
        return len(self.workers) == self.config.workers and all(
            worker.link.has_heard(report) for worker in self.workers.values()
        )

    @property
    def is_late(self) -> bool:
        """Whether the time for all its workers to serve, or to have ended, is over."""
        return time.monotonic() > self.deadline

    @property
    def why_late(self) -> str:
        """The reason if its workers do not serve in time."""
        return f"the workers did not serve within {self.config.timeouts.start:g} s"

    def answers_within(self, seconds: float) -> bool:
        """Whether the event loop of each worker that can serve has gone on in that time."""
        latest = time.monotonic() - seconds
        return all(
            not worker.link.is_ready or worker.link.last_beat >= latest
            for worker in self.workers.values()
        )

    def retire(self, after: Generation) -> None:
        """Let the workers drain: others have taken over.

        Tunnels and streams outlive that, but for those of rules that are not in `after`.
        """
        kept = {rule.same_route for rule in after.config.routes}
        gone = [
            number for number, rule in enumerate(self.config.routes) if rule.same_route not in kept
        ]
        for worker in self.workers.values():
            worker.link.end_routes(gone)
        self.order(Order.RETIRE)

    def abandon(self) -> None:
        """End the workers, which will not take over; those that accept connections drain."""
        listens = any(worker.listens for worker in self.workers.values())
        drain = self.config.timeouts.drain if listens else 0.0
        self.deadline = time.monotonic() + drain + GRACE_SECONDS
        for worker in self.workers.values():
            worker.link.order(Order.STOP if worker.listens else Order.END)

    def let_listen(self) -> None:
        """Let the workers that can serve listen."""
        for worker in self.workers.values():
            if worker.link.is_ready and not worker.listens:
                worker.listens = True
                worker.link.order(Order.LISTEN)

    def kill_hung(self) -> None:
        """Kill the workers that do not serve within `timeouts.start`."""
        for worker in self.workers.values():
            latest = worker.started + self.config.timeouts.start
            if time.monotonic() > latest and not worker.link.has_heard(Report.SERVES):
                os.kill(worker.pid, signal.SIGKILL)

    def kill_late(self) -> None:
        """Kill the workers that have not ended by the deadline."""
        if self.is_late:
            for pid in self.workers:
                os.kill(pid, signal.SIGKILL)


def addresses(config: Config) -> tuple[Address, ...]:
    """All addresses at which a gateway listens."""
    return (*config.listen, *config.admin.listen)
