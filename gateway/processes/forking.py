"""Starts worker processes: forks, and becomes the worker in the child."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.observe.slots import Slots
from gateway.processes.control import Control
from gateway.processes.generation import Generation, Worker
from gateway.processes.store_keeper import StoreKeeper
from gateway.processes.worker_link import WorkerEnd, link
from gateway.store.end_with_parent import end_with_parent

EXIT_FAILED = 1


def preload() -> None:
    """Import what workers need, once.

    It takes half a second, and forking 3 ms. PyJWT is needed by some configurations only, and takes
    50 ms and 1 MiB. Workers share the memory, so the collector must not write to it (`gc.freeze`).
    """
    from gateway.core.tokens import minting, verifying_keys  # noqa: F401
    from gateway.processes import worker  # noqa: F401

    gc.collect()
    gc.freeze()


@dataclass
class Forker:
    """Forks the workers of all generations."""

    say: Callable[[str], None]
    slots: Slots
    store: StoreKeeper
    control: Control
    instance: str = field(default_factory=lambda: secrets.token_hex(8))  # the same for all workers

    def fork(self, generation: Generation, number: int, generations: Sequence[Generation]) -> None:
        """Start a worker of a generation. Raises `OSError`.

        generations: all that have workers, this one among them
        """
        sys.stdout.flush()
        sys.stderr.flush()
        self.slots.make()
        parent = os.getpid()
        slot = self.slots.free(
            worker.slot for other in generations for worker in other.workers.values()
        )
        ours, theirs = link()
        try:
            pid = os.fork()
        except OSError:
            ours.forget()
            theirs.sock.close()
            raise
        if pid == 0:
            ours.forget()
            self._be_worker(
                generation, generations, number=number, slot=slot, end=theirs, parent=parent
            )
        theirs.sock.close()
        generation.workers[pid] = Worker(number, slot, pid, time.monotonic(), ours)

    def _be_worker(
        self,
        generation: Generation,
        generations: Sequence[Generation],
        *,
        number: int,
        slot: int,
        end: WorkerEnd,
        parent: int,
    ) -> NoReturn:
        """Run the worker in the child process.

        generations: all that have workers, its own among them
        slot: of its metrics
        end: of the link to the supervisor
        parent: the supervisor's process id
        """
        code = EXIT_FAILED
        try:
            # A terminal signals the whole process group; workers obey the supervisor alone.
            for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(ignored, signal.SIG_IGN)
            end_with_parent(parent)
            self._let_go_of_others(generation, generations)
            self._work(generation, number=number, slot=slot, end=end)
            code = 0
        except BaseException as error:
            if end.has_served:
                self.say(f"worker {number} failed: {_describe(error)}")
            else:
                end.say_failed(f"worker {number} cannot serve: {_describe(error)}")
        finally:
            if os.getppid() != parent:  # the supervisor is gone and cannot tidy up
                self.slots.remove()
            os._exit(code)

    def _let_go_of_others(self, own: Generation, generations: Sequence[Generation]) -> None:
        """Close what a worker inherited and does not need.

        It would stay open as long as the worker lives.
        """
        self.store.forget()
        self.control.forget()
        for generation in generations:
            for worker in generation.workers.values():
                worker.link.forget()
            if generation is not own:
                generation.limit_memory.release(own.limit_memory)
                generation.listeners.close_others(listener.sock for listener in own.listeners.all())

    def _work(self, generation: Generation, *, number: int, slot: int, end: WorkerEnd) -> None:
        from gateway.processes import worker

        config, listeners = generation.config, generation.listeners
        public = listeners.share(config.listen, number, config.workers)
        admin = listeners.share(config.admin.listen, number, config.workers)
        listeners.close_others(sock for sock, _ in (*public, *admin))
        worker.main(
            worker.Assignment(
                config=config,
                public=public,
                admin=tuple(sock for sock, _ in admin),
                certificates=generation.certificates,
                store_url=generation.store_url,
                secrets=self.store.secrets(config),
                instance=self.instance,
                number=number,
                metrics=self.slots.folder,
                slot=slot,
                link=end,
                limit_memory=generation.limit_memory,
            )
        )


def _describe(error: BaseException) -> str:
    """The error of a worker; for a file, its name and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return repr(error)
