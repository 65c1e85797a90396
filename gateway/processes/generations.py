"""The generations of workers: the present one, the next one, and those that drain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.processes.generation import Generation, Worker
from gateway.processes.worker_link import Order

# How many old generations may keep their tunnels, which may last for days. In older ones tunnels
# end, and other requests get `timeouts.drain`. A worker takes 13 MiB.
_MAX_RETIRED = 3


@dataclass
class Generations:
    """All generations with workers.

    next: its workers start; it has not taken over
    retired: they drain, the oldest first
    """

    present: Generation
    next: Generation | None = None
    retired: list[Generation] = field(default_factory=list)

    def __iter__(self) -> Iterator[Generation]:
        """The oldest first."""
        yield from self.retired
        yield self.present
        if self.next is not None:
            yield self.next

    def workers(self) -> Iterator[Worker]:
        for generation in self:
            yield from generation.workers.values()

    def order(self, order: Order) -> None:
        """Send an order to all workers."""
        for generation in self:
            generation.order(order)

    def take_over(self) -> None:
        """Let the next generation, which accepts connections, replace the present one.

        Raises `OSError` before.
        """
        assert self.next is not None
        self.next.listeners.put_in_place()
        before, self.present, self.next = self.present, self.next, None
        self.present.deadline = math.inf
        for retired in (*self.retired, before):
            retired.retire(self.present)
        before.listeners.close(kept=self.present.listeners)
        self.retired.append(before)
        for oldest in self.retired[:-_MAX_RETIRED]:
            oldest.order(Order.END_RETIRED)

    @property
    def is_settled(self) -> bool:
        """Whether no retired worker accepts connections any more."""
        return not any(
            worker.accepts for generation in self.retired for worker in generation.workers.values()
        )

    def abandon_next(self) -> None:
        """End the next generation, which cannot take over."""
        assert self.next is not None
        abandoned, self.next = self.next, None
        abandoned.abandon()
        abandoned.listeners.close(kept=self.present.listeners)
        self.retired.insert(0, abandoned)

    def listening_workers(self) -> Iterator[Worker]:
        """The workers that still accept connections."""
        return (worker for worker in self.workers() if worker.accepts)

    def take_out(self, pid: int) -> tuple[Generation, Worker] | None:
        """Take out the worker with a process id, which has ended; None if there is none."""
        for generation in self:
            worker = generation.workers.pop(pid, None)
            if worker is not None:
                worker.link.close()
                return generation, worker
        return None

    def look_after_retired(self) -> None:
        """Forget the generations that have ended, and kill workers that take too long."""
        self.retired = [generation for generation in self.retired if generation.workers]
        for generation in self.retired:
            generation.kill_late()
