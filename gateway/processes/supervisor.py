"""The parent process: keeps the sockets, the store and the workers.

It has no event loop, so it can fork at any time. Workers inherit the configuration and the sockets,
and report when they can serve (`worker_link.py`). The workers of one configuration are a
generation. The next generation takes over when all its workers can serve; a failure before that
leaves the present one in place.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.config.problems import ConfigError
from gateway.core.http.addresses import Address
from gateway.observe.slots import Slots
from gateway.processes.errors import StartError
from gateway.processes.file_watch import FileWatch
from gateway.processes.forking import EXIT_FAILED, Forker
from gateway.processes.generation import GRACE_SECONDS, Generation, Worker
from gateway.processes.inherited import Inherited
from gateway.processes.listeners import Listeners, describe
from gateway.processes.notify import Notifier
from gateway.processes.replacements import Replacements
from gateway.processes.signals import SIGNALS, STOP, block_signals
from gateway.processes.store_keeper import StoreKeeper
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

# How many old generations may keep their tunnels, which may last for days. In older ones tunnels
# end, and other requests get `timeouts.drain`. A worker takes 13 MiB.
_MAX_RETIRED = 3

# How long workers may take to end when told to end at once.
_AT_ONCE_SECONDS = 2.0

_GIVING_UP = "the workers do not stay alive; giving up"


@dataclass
class Supervisor:
    """Runs the gateway until a signal stops it, and reloads the configuration."""

    config: Config
    read: Callable[[float], ConfigReader]  # again, in so many seconds; raises `ConfigError`
    say: Callable[[str], None]
    files: FileWatch  # that the configuration was read from
    inherited: Inherited = field(default_factory=Inherited)  # sockets of systemd
    _present: Generation | None = None
    _has_served: bool = False  # all workers of the first generation could serve
    _next: Generation | None = None  # has not taken over yet
    _retired: list[Generation] = field(default_factory=list)  # the oldest first
    _wants_reload: bool = False
    _reading: ConfigReader | None = None  # what will be the next generation's configuration
    _replacements: Replacements = field(default_factory=Replacements)
    _failure: str = ""  # why the gateway has to end
    _slots: Slots = field(default_factory=Slots)
    _notifier: Notifier = field(default_factory=Notifier)

    def __post_init__(self) -> None:
        self._store = StoreKeeper(self.say)
        self._forker = Forker(self.say, self._slots, self._store)

    def run(self) -> int:
        """Run. The exit code: 0 after a stop, 1 if the workers cannot run."""
        block_signals()
        _raise_descriptor_limit()
        try:
            listeners = Listeners(self.inherited).extended(
                _addresses(self.config), self.config.workers
            )
            self._present = Generation(self.config, listeners)
            self._present.store_url = self._store.start(self.config)
            self._begin(self._present)
            return self._watch()
        finally:
            self._end()

    def _watch(self) -> int:
        """Wait for events and handle them, until a stop. The exit code."""
        while True:
            is_busy = self._reading or self._next or self._replacements or not self._has_served
            poll = _BUSY_POLL_SECONDS if is_busy else _POLL_SECONDS
            happened = signal.sigtimedwait(SIGNALS, min(poll, self._notifier.beat_seconds / 2))
            number = None if happened is None else happened.si_signo
            if number in STOP:
                self._stop(at_once=number == signal.SIGQUIT)
                return 0
            if number == signal.SIGHUP:
                self._wants_reload = True
            if number == signal.SIGUSR1:
                self._order_all(Order.REOPEN_LOGS)
            self._look_after_children()
            self._store.look_after()
            self._notifier.beat(lives=self._answers)
            if self._failure:
                self.say(self._failure)
                self._stop(at_once=False)
                return EXIT_FAILED
            try:
                self._look_after_reload()
            except (ConfigError, StartError, OSError) as error:
                self._has_read()
                self._keep_present("; ".join(str(error).split("\n")))

    # Generations.

    def _look_after_reload(self) -> None:
        """Begin to read the file, or start its generation once it has been read.

        Raises `ConfigError` and `StartError`.
        """
        if self._reading is not None:
            config = self._reading.poll()
            if config is not None:
                self._has_read()
                self._begin_next(config)
            return
        if self.config.watch and self.files.have_changed():
            self._wants_reload = True
        if self._wants_reload and self._has_served and self._next is None:
            self._wants_reload = False
            self._notifier.reloading()
            self._reading = self.read(self.config.timeouts.start)

    def _has_read(self) -> None:
        if self._reading is not None:
            self.files.follow(self._reading.files)
        self._reading = None

    def _begin_next(self, config: Config) -> None:
        """Raises `StartError`."""
        assert self._present is not None
        self._store.check_reload(self._present.config, config)
        listeners = self._present.listeners.extended(_addresses(config), config.workers)
        url = self._present.store_url if config.store.url == "embedded" else config.store.url
        self._next = Generation(config, listeners, url)
        self._begin(self._next)

    def _begin(self, generation: Generation) -> None:
        generation.deadline = time.monotonic() + generation.config.timeouts.start
        try:
            for number in range(generation.config.workers):
                self._forker.fork(generation, number, list(self._generations()))
        except OSError as error:
            self._start_failed(f"no worker can be started: {error.strerror or error}")

    def _look_after_start(self) -> None:
        """Let a generation take over when it is ready.

        It ends if it takes longer than `timeouts.start`.
        """
        generation = self._next if self._has_served else self._present
        if generation is None:
            return
        if generation.is_ready:
            generation.deadline = math.inf
            if self._has_served:
                self._take_over(generation)
            else:
                self._has_served = True
                self._announce(f"listening on {', '.join(map(describe, self.config.listen))}")
        elif time.monotonic() > generation.deadline:
            seconds = generation.config.timeouts.start
            self._start_failed(f"the workers did not serve within {seconds:g} s")

    def _start_failed(self, reason: str) -> None:
        """End the generation that failed to start; the first one ends the gateway."""
        if self._has_served:
            self._abandon(reason)
        else:
            self._failure = reason

    def _take_over(self, generation: Generation) -> None:
        before, self._present, self._next = self._present, generation, None
        assert before is not None
        self._replacements.clear()
        self.config = generation.config
        generation.let_listen()
        for retired in (*self._retired, before):
            retired.retire(generation)
        before.listeners.close(kept=generation.listeners)
        self._retired.append(before)
        for oldest in self._retired[:-_MAX_RETIRED]:
            oldest.order(Order.END_RETIRED)
        self._slots.note_reload(succeeded=True)
        self._announce("reloaded")

    def _abandon(self, reason: str) -> None:
        """End a generation that has not taken over."""
        generation, self._next = self._next, None
        assert generation is not None
        assert self._present is not None
        generation.deadline = math.inf
        generation.order(Order.END)
        generation.listeners.close(kept=self._present.listeners)
        self._retired.insert(0, generation)
        self._keep_present(reason)

    def _keep_present(self, reason: str) -> None:
        self._slots.note_reload(succeeded=False)
        self._announce(f"the old configuration stays: {reason}")

    def _announce(self, state: str) -> None:
        self.say(state)
        self._notifier.ready(state)

    # Workers.

    def _answers(self) -> bool:
        """Whether no worker of the present generation hangs."""
        seconds = max(_MIN_HANG_SECONDS, self._notifier.beat_seconds)
        return self._present is not None and self._present.answers_within(seconds)

    def _workers(self) -> Iterator[Worker]:
        for generation in self._generations():
            yield from generation.workers.values()

    def _generations(self) -> Iterator[Generation]:
        """All generations with workers, the oldest first."""
        yield from self._retired
        if self._present is not None:
            yield self._present
        if self._next is not None:
            yield self._next

    def _order_all(self, order: Order) -> None:
        for generation in self._generations():
            generation.order(order)

    def _look_after_children(self) -> None:
        for pid, code in self._reaped():
            self._has_ended(pid, code)
        self._retired = [generation for generation in self._retired if generation.workers]
        for generation in self._retired:
            generation.kill_late()
        self._look_after_start()
        if self._present is not None:
            self._present.let_listen()
            self._present.kill_hung()
        for number in self._replacements.take_due():
            self._replace(number)

    def _reaped(self) -> Iterator[tuple[int, int]]:
        """Reap ended processes: their ids and exit codes (negative: a signal).

        Process 1 also inherits the orphans of its descendants.
        """
        waiting = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, waiting)
            except ChildProcessError:
                return
            if ended is None:
                return
            if not self._is_reaped_elsewhere(ended.si_pid):
                _, status = os.waitpid(ended.si_pid, 0)
                yield ended.si_pid, os.waitstatus_to_exitcode(status)

    def _is_reaped_elsewhere(self, pid: int) -> bool:
        """Whether a process is the store or the reader.

        They note their end themselves.
        """
        for owner in (self._store, self._reading):
            if owner is not None and owner.pid == pid:
                owner.reap()
                return True
        return False

    def _has_ended(self, pid: int, code: int) -> None:
        """Handle the end of a process. A worker that is still needed is replaced."""
        for generation in self._generations():
            worker = generation.workers.pop(pid, None)
            if worker is not None:
                break
        else:
            return
        reason = worker.link.reason
        was_ready = worker.link.is_ready
        worker.link.close()
        self._slots.left(worker.slot)
        if generation is self._next:
            self._abandon(reason or f"worker {worker.number} has ended ({describe_end(code)})")
        elif generation is self._present and reason and not self._has_served:
            self.say(reason)
            self._failure = _GIVING_UP
        elif generation is self._present:
            self.say(f"worker {worker.number} has ended ({describe_end(code)}); starting another")
            self._replacements.add(worker.number, started=worker.started, was_ready=was_ready)
            self._give_up_if_hopeless()

    def _replace(self, number: int) -> None:
        assert self._present is not None
        try:
            self._forker.fork(self._present, number, list(self._generations()))
        except OSError as error:
            self.say(f"worker {number} cannot be started: {error.strerror or error}")
            self._replacements.postpone(number)
            self._give_up_if_hopeless()

    def _give_up_if_hopeless(self) -> None:
        """End a gateway that has never served if its workers do not stay alive."""
        if self._replacements.are_hopeless and not self._has_served:
            self._failure = _GIVING_UP

    # The end.

    def _stop(self, *, at_once: bool) -> None:
        """End all workers.

        They drain first, unless `at_once` or a second signal ends that.
        """
        self._notifier.stopping()
        now = time.monotonic()
        until = now + self.config.timeouts.drain + GRACE_SECONDS
        for generation in self._generations():
            generation.listeners.close()  # first, so that new clients go to another gateway
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._order_all(Order.END if at_once else Order.STOP)
        if at_once:
            until = now + _AT_ONCE_SECONDS
        while any(self._workers()) and time.monotonic() < until:
            happened = signal.sigtimedwait(SIGNALS, _BUSY_POLL_SECONDS)
            if happened is not None and happened.si_signo in STOP:
                self._order_all(Order.END)
                until = min(until, time.monotonic() + _AT_ONCE_SECONDS)
            for pid, _ in self._reaped():
                self._forget(pid)
        for worker in list(self._workers()):
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            self._forget(worker.pid)

    def _forget(self, pid: int) -> None:
        for generation in self._generations():
            worker = generation.workers.pop(pid, None)
            if worker is not None:
                worker.link.close()

    def _end(self) -> None:
        self._stop(at_once=True)
        self._store.stop()
        self._slots.remove()


def _addresses(config: Config) -> tuple[Address, ...]:
    return (*config.listen, *config.admin.listen)


def _raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one.

    Each connection takes a descriptor.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
