"""Keeps the embedded store running, if config.yaml has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.processes.errors import StartError
from gateway.processes.signals import stop_wanted
from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError

if TYPE_CHECKING:
    from gateway.config.model import Config

# The embedded store is restarted at most this often.
_PAUSE_SECONDS = 1.0


@dataclass
class StoreKeeper:
    """Starts the embedded store, and starts it again when it has ended."""

    say: Callable[[str], None]
    _store: EmbeddedStore | None = None
    _started: float = 0.0  # monotonic seconds

    def start(self, config: Config) -> str:
        """Start the embedded store if it is configured. The URL of the store.

        Raises `StartError`.
        """
        if config.store.url != "embedded":
            return config.store.url
        self._store = EmbeddedStore(config.store.data_dir)
        self._started = time.monotonic()
        try:
            return self._store.start(is_interrupted=stop_wanted)
        except EmbeddedStoreError as error:
            raise StartError(str(error)) from None

    def check_reload(self, before: Config, config: Config) -> None:
        """Raises `StartError` for a reload that would change the embedded store."""
        old, new = before.store, config.store
        if "embedded" in (old.url, new.url) and (
            (old.url, old.data_dir) != (new.url, new.data_dir)
        ):
            raise StartError(
                "the embedded store cannot be changed by a reload; restart the gateway"
            )

    def secrets(self, config: Config) -> tuple[str, ...]:
        """The secrets for seals: the configured ones, or else the store's own."""
        configured = tuple(secret.reveal() for secret in config.session.secrets)
        return configured or ((self._store.pepper(),) if self._store else ())

    def look_after(self) -> None:
        """Start the store again if it has ended."""
        store, now = self._store, time.monotonic()
        if store is None or store.running or now - self._started < _PAUSE_SECONDS:
            return
        self._started = now
        self.say(f"the embedded store has ended ({store.cause_of_end()}); starting it again")
        try:
            store.restart()
        except EmbeddedStoreError as error:
            self.say(str(error))

    def stop(self) -> None:
        if self._store is not None:
            self._store.stop()

    def forget(self) -> None:
        """Close what a worker inherited of the store."""
        if self._store is not None:
            self._store.forget()

    @property
    def pid(self) -> int | None:
        """The process id of the store."""
        return None if self._store is None else self._store.pid

    def reap(self) -> None:
        """Note the end of the store's process."""
        if self._store is not None:
            self._store.reap()
