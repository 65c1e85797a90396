"""Reloads, one after another: the file is read, its workers start, and they take over.

What goes wrong before they do leaves the present generation in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config.load_isolated import ConfigReader, NotRead
from gateway.config.problems import ConfigError
from gateway.observe.slots import Slots
from gateway.processes.control import Control, Outcome, Result
from gateway.processes.errors import StartError
from gateway.processes.file_watch import FileWatch
from gateway.processes.generation import Generation, addresses
from gateway.processes.generations import Generations
from gateway.processes.notify import Notifier
from gateway.processes.store_keeper import StoreKeeper
from gateway.processes.worker_keeper import WorkerKeeper

if TYPE_CHECKING:
    from gateway.config.model import Config

# How long old workers may take to cease to accept connections; a turn of the loop.
_MAX_SETTLE_SECONDS = 5.0


@dataclass
class Reloads:
    """Reloads the configuration when it is wanted.

    read: begins to read the configuration, in so many seconds; raises `ConfigError`
    files: that the configuration was read from
    """

    say: Callable[[str], None]
    read: Callable[[float], ConfigReader]
    files: FileWatch
    generations: Generations
    workers: WorkerKeeper
    store: StoreKeeper
    slots: Slots
    notifier: Notifier
    control: Control
    reading: ConfigReader | None = None  # what will be the next generation's configuration
    _is_wanted: bool = False
    _settles_until: float = 0.0  # monotonic seconds; zero unless one generation follows another

    @property
    def is_busy(self) -> bool:
        """Whether a reload has begun, or can."""
        is_due = self._is_wanted and self.workers.has_served
        return bool(is_due or self.reading or self.generations.next or self._settles_until)

    def want(self) -> None:
        """Reload, after the reload that has begun, if any."""
        self._is_wanted = True

    def look_after(self) -> None:
        """Do what there is to do for a reload."""
        self.control.open()
        if self.control.take_requests():
            self._is_wanted = True
        try:
            if self.reading is not None:
                self._look_after_reading(self.reading)
            elif self.generations.next is not None:
                self._look_after_start(self.generations.next)
            elif self._settles_until:
                self._look_after_settling()
            else:
                self._begin_if_wanted()
        except ConfigError as error:
            self._has_read()
            is_wrong = not isinstance(error, NotRead)
            self.fail(str(error), Result.WRONG_CONFIGURATION if is_wrong else Result.FAILED)
        except (StartError, OSError) as error:
            self._has_read()
            self.fail(str(error))

    def fail(self, reason: str, result: Result = Result.FAILED) -> None:
        """Note that the reload has failed; workers that have been started for it end."""
        if self.generations.next is not None:
            self.generations.abandon_next()
        self.slots.note_reload(succeeded=False)
        self._announce(f"the old configuration stays: {'; '.join(reason.splitlines())}")
        self.control.tell(Outcome(result, reason))

    def cancel(self) -> None:
        """Begin no reload any more: the gateway stops."""
        if self.reading is not None:
            self.reading.cancel()
            self.reading = None

    def _begin_if_wanted(self) -> None:
        """Raises `ConfigError`."""
        present = self.generations.present.config
        if present.watch and self.files.have_changed():
            self._is_wanted = True
        if self._is_wanted and self.workers.has_served:
            self._is_wanted = False
            self.notifier.reloading()
            self.control.begin()
            self.reading = self.read(present.timeouts.start)

    def _look_after_reading(self, reading: ConfigReader) -> None:
        """Start the next generation once its configuration has been read.

        Raises `ConfigError`, `StartError` and `OSError`.
        """
        config = reading.poll()
        if config is not None:
            self._has_read()
            self.generations.next = self._generation(config)
            self.workers.start(self.generations.next)

    def _has_read(self) -> None:
        if self.reading is not None:
            self.files.follow(self.reading.files)
        self.reading = None

    def _generation(self, config: Config) -> Generation:
        """Raises `StartError` and `OSError`."""
        present = self.generations.present
        self.store.check_reload(present.config, config)
        url = present.store_url if config.store.url == "embedded" else config.store.url
        generation = Generation(config, store_url=url, before=present)
        generation.listeners = present.listeners.extended(addresses(config), config.workers)
        return generation

    def _look_after_start(self, generation: Generation) -> None:
        """Let the workers listen when all can serve, and take over when all do.

        Raises `OSError`.
        """
        if generation.serves:
            self.generations.take_over()
            self._settles_until = time.monotonic() + _MAX_SETTLE_SECONDS
        elif generation.is_late:
            self.fail(generation.why_late)
        elif generation.is_ready:
            generation.let_listen()

    def _look_after_settling(self) -> None:
        """End the reload when the old workers accept connections no more.

        A worker that hangs is not waited for.
        """
        if self.generations.is_settled or time.monotonic() > self._settles_until:
            self._settles_until = 0.0
            self.slots.note_reload(succeeded=True)
            self._announce("reloaded")
            self.control.tell(Outcome(Result.RELOADED))

    def _announce(self, state: str) -> None:
        self.say(state)
        self.notifier.ready(state)
