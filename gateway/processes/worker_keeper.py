"""Keeps the workers of the present generation running."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.observe.slots import Slots
from gateway.processes.errors import StartError
from gateway.processes.forking import Forker
from gateway.processes.generation import Generation, Worker
from gateway.processes.generations import Generations
from gateway.processes.worker_link import Report
from gateway.store.end_with_parent import describe_end

_GIVING_UP = "the workers do not stay alive; giving up"


@dataclass
class WorkerKeeper:
    """Starts workers, and replaces those that have ended."""

    say: Callable[[str], None]
    generations: Generations
    forker: Forker
    slots: Slots
    has_served: bool = False  # all workers of the first generation could serve
    failure: str = ""  # why the gateway has to end

    @property
    def is_busy(self) -> bool:
        """Whether workers start, or will soon."""
        return bool(self.generations.present.replacements) or not self.has_served

    def start(self, generation: Generation) -> None:
        """Start all workers of a generation. Raises `StartError`."""
        generation.deadline = time.monotonic() + generation.config.timeouts.start
        try:
            for number in range(generation.config.workers):
                self.forker.fork(generation, number, list(self.generations))
        except OSError as error:
            reason = error.strerror or error
            raise StartError(f"no worker can be started: {reason}") from None

    def look_after(self) -> None:
        """Let workers listen that can serve, kill those that hang, and start missing ones."""
        present = self.generations.present
        present.let_listen()
        present.kill_hung()
        for worker in present.workers.values():
            self._look_after_closing(worker)
        for number in present.replacements.take_due():
            self._replace(number)

    def has_ended(self, generation: Generation, worker: Worker, code: int) -> None:
        """Note the end of a worker. One of the present generation is replaced.

        code: the exit code, or a signal's number with a minus sign
        """
        self.slots.left(worker.slot)
        generation.limit_memory.forget_worker(worker.number)
        if generation is not self.generations.present or worker.is_succeeded:
            return
        reason = worker.link.reason
        if reason and not self.has_served:
            self.say(reason)
            self.failure = _GIVING_UP
            return
        ended = f"worker {worker.number} has ended ({describe_end(code)})"
        self.say(f"{reason or ended}; starting another")
        generation.replacements.add(
            worker.number, started=worker.started, was_ready=worker.link.is_ready
        )
        self._give_up_if_hopeless()

    def _look_after_closing(self, worker: Worker) -> None:
        """Start another worker beside one that drains by itself, since it got SIGTERM.

        Connections would wait in the queues of its sockets until it has ended.
        """
        if worker.is_succeeded or not worker.link.has_heard(Report.CLOSED):
            return
        worker.is_succeeded = True
        self.say(f"worker {worker.number} takes no more connections; starting another")
        self.generations.present.replacements.add(
            worker.number, started=worker.started, was_ready=True
        )

    def _replace(self, number: int) -> None:
        present = self.generations.present
        try:
            self.forker.fork(present, number, list(self.generations))
        except OSError as error:
            self.say(f"worker {number} cannot be started: {error.strerror or error}")
            present.replacements.postpone(number)
            self._give_up_if_hopeless()

    def _give_up_if_hopeless(self) -> None:
        """End a gateway that has never served if its workers do not stay alive."""
        if self.generations.present.replacements.are_hopeless and not self.has_served:
            self.failure = _GIVING_UP
