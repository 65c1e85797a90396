"""The parent process: keeps the sockets, the store and the workers.

It has no event loop, so it can fork at any time. Workers inherit the configuration and the sockets,
and report when they can serve (`worker_link.py`). The workers of one configuration are a
generation. The next generation takes over when all its workers can serve (`reloads.py`).
"""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.observe.slots import Slots
from gateway.processes.control import Control
from gateway.processes.file_watch import FileWatch
from gateway.processes.forking import EXIT_FAILED, Forker
from gateway.processes.generation import GRACE_SECONDS, Generation, Worker, addresses
from gateway.processes.generations import Generations
from gateway.processes.inherited import Inherited
from gateway.processes.listeners import Listeners, describe
from gateway.processes.notify import Notifier
from gateway.processes.reaping import reaped
from gateway.processes.reloads import Reloads
from gateway.processes.signals import SIGNALS, STOP, block_signals
from gateway.processes.store_keeper import StoreKeeper
from gateway.processes.worker_keeper import WorkerKeeper
from gateway.processes.worker_link import Order
from gateway.store.end_with_parent import describe_end

if TYPE_CHECKING:
    from gateway.config.load_isolated import ConfigReader
    from gateway.config.model import Config

# How often the supervisor checks its children: usually, and while one starts or reads.
_POLL_SECONDS = 1.0
_BUSY_POLL_SECONDS = 0.02

# After how long without a beat a worker hangs, at the least; it beats once a second.
_MIN_HANG_SECONDS = 3.0

# How long workers may take to end when told to end at once.
_AT_ONCE_SECONDS = 2.0

# How long workers may take to close their listeners at a stop. New connections would wait there.
_MAX_CLOSING_SECONDS = 5.0


@dataclass
class Supervisor:
    """Runs the gateway until a signal stops it, and reloads the configuration."""

    config: Config  # of the start
    read: Callable[[float], ConfigReader]  # again, in so many seconds; raises `ConfigError`
    say: Callable[[str], None]
    files: FileWatch  # that the configuration was read from
    control: Control
    inherited: Inherited = field(default_factory=Inherited)  # sockets of systemd

    def __post_init__(self) -> None:
        """Raises `StartError`."""
        self._slots = Slots()
        self._notifier = Notifier()
        self._store = StoreKeeper(self.say)
        self._generations = Generations(Generation(self.config))
        self._workers = WorkerKeeper(
            say=self.say,
            generations=self._generations,
            forker=Forker(self.say, self._slots, self._store, self.control),
            slots=self._slots,
        )
        self._reloads = Reloads(
            say=self.say,
            read=self.read,
            files=self.files,
            generations=self._generations,
            workers=self._workers,
            store=self._store,
            slots=self._slots,
            notifier=self._notifier,
            control=self.control,
        )

    def run(self) -> int:
        """Run. The exit code: 0 after a stop, 1 if the workers cannot run. Raises `StartError`."""
        block_signals()
        self._raise_descriptor_limit()
        try:
            self._start()
            return self._watch()
        finally:
            self._end()

    def _raise_descriptor_limit(self) -> None:
        """Raise the soft limit to the hard one: each connection takes a descriptor."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if hard < self.config.limits.connections:
            self.say(
                f"a worker may open {hard} files, and limits.connections are "
                f"{self.config.limits.connections}: more clients will be refused; "
                "raise the limit (LimitNOFILE=, ulimit -Hn)"
            )

    def _start(self) -> None:
        """Raises `StartError`."""
        self.control.open()
        first = self._generations.present
        listeners = Listeners(self.inherited)
        first.listeners = listeners.extended(addresses(self.config), self.config.workers)
        if unused := self.inherited.unused(addresses(self.config)):
            self.say(
                f"no listener takes the sockets of systemd named {', '.join(unused)}: "
                "clients wait there"
            )
        first.store_url = self._store.start(self.config)
        self._workers.start(first)

    def _watch(self) -> int:
        """Wait for events and handle them, until a stop. The exit code."""
        while True:
            number = self._next_signal()
            if number in STOP:
                self._stop(at_once=number == signal.SIGQUIT)
                return 0
            if number == signal.SIGHUP:
                self._reloads.want()
            if number == signal.SIGUSR1:
                self._generations.order(Order.REOPEN_LOGS)
            self._look_after_children()
            self._notifier.beat(lives=self._answers)
            if self._workers.failure:
                self.say(self._workers.failure)
                self._stop(at_once=False)
                return EXIT_FAILED
            self._reloads.look_after()

    def _next_signal(self) -> int | None:
        """Wait for a signal, or until it is time to look after something."""
        is_busy = self._workers.is_busy or self._reloads.is_busy
        poll = _BUSY_POLL_SECONDS if is_busy else _POLL_SECONDS
        happened = signal.sigtimedwait(SIGNALS, min(poll, self._notifier.beat_seconds / 2))
        return None if happened is None else happened.si_signo

    def _look_after_children(self) -> None:
        if not self._workers.has_served:
            self._look_after_first_start()  # before one that served, and was killed, is taken out
        for pid, code in self._reaped():
            self._has_ended(pid, code)
        self._generations.look_after_retired()
        self._workers.look_after()
        self._store.look_after()

    def _reaped(self) -> Iterator[tuple[int, int]]:
        return reaped((self._store, self._reloads.reading))

    def _has_ended(self, pid: int, code: int) -> None:
        """Handle the end of a process."""
        taken = self._generations.take_out(pid)
        if taken is None:
            return
        generation, worker = taken
        if generation is self._generations.next:
            ended = f"worker {worker.number} has ended ({describe_end(code)})"
            self._reloads.fail(worker.link.reason or ended)
        self._workers.has_ended(generation, worker, code)

    def _look_after_first_start(self) -> None:
        """End the gateway if its first workers take longer than `timeouts.start`."""
        first = self._generations.present
        if first.serves:
            first.deadline = math.inf
            self._workers.has_served = True
            state = f"listening on {', '.join(map(describe, self.config.listen))}"
            self.say(state)
            self._notifier.ready(state)
        elif first.is_late:
            self._workers.failure = first.why_late

    def _answers(self) -> bool:
        """Whether no worker of the present generation hangs."""
        seconds = max(_MIN_HANG_SECONDS, self._notifier.beat_seconds)
        return self._generations.present.answers_within(seconds)

    def _stop(self, *, at_once: bool) -> None:
        """End all workers.

        They drain first, unless `at_once` or a second signal ends that.
        """
        self._notifier.stopping()
        self.control.close("the gateway stops")
        for generation in self._generations:
            generation.listeners.close()  # first, so that new clients go to another gateway
        self._reloads.cancel()
        self._generations.order(Order.END if at_once else Order.STOP)
        drain = self._generations.present.config.timeouts.drain + GRACE_SECONDS
        self._await_workers(_AT_ONCE_SECONDS if at_once else drain)
        self._kill(self._generations.workers())

    def _await_workers(self, seconds: float) -> None:
        """Wait until all workers have ended, or for `seconds`."""
        began = time.monotonic()
        until = began + seconds
        while any(self._generations.workers()) and time.monotonic() < until:
            happened = signal.sigtimedwait(SIGNALS, _BUSY_POLL_SECONDS)
            number = None if happened is None else happened.si_signo
            if number in STOP:
                self._generations.order(Order.END)
                until = min(until, time.monotonic() + _AT_ONCE_SECONDS)
            if number == signal.SIGUSR1:
                self._generations.order(Order.REOPEN_LOGS)
            for pid, _ in self._reaped():
                self._generations.take_out(pid)
            if time.monotonic() > began + _MAX_CLOSING_SECONDS:
                self._kill(self._generations.listening_workers())

    def _kill(self, workers: Iterable[Worker]) -> None:
        for worker in list(workers):
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            self._generations.take_out(worker.pid)

    def _end(self) -> None:
        self._stop(at_once=True)
        self._store.stop()
        self._slots.remove()
