"""Reading config.yaml in a process of its own.

What it takes to read one (pydantic, PyYAML) is 10 MiB that neither the supervisor nor a worker
needs again. So a child reads it, hands over plain values, and ends; whatever happens to it, the
process that asked goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Mapping, MutableMapping
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, cast

from gateway.config import files
from gateway.config.files import Mark
from gateway.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.config")

# How long reading may take at a start, in seconds. It takes a third of one; a pipe may never end.
_START_SECONDS = 20.0
_POLL_SECONDS = 0.1
_CHUNK_BYTES = 2**16

# When the child ends by itself, should the process that asked have gone, in seconds.
_FORGOTTEN_SECONDS = 5.0

# The exit code of a child that cannot import what reads, since its files are of another version.
_EXIT_OTHER_VERSION = 3

_FIRST_OWN = 3  # the first descriptor that is no standard stream

# How nice a child is that reads beside workers that serve (nice(2)): they come first, and it still
# gets a fourth of a processor that one of them would use up.
_BESIDE_OTHERS = 5


class NotRead(ConfigError):
    """The process that reads has failed: the file may be right."""


class ConfigReader:
    """A child that reads a configuration. `poll` asks whether it has."""

    def __init__(
        self, path: str | os.PathLike[str], *, seconds: float, beside_others: bool = True
    ) -> None:
        """Starts the child. Raises `ConfigError` if there cannot be one.

        seconds: how long it may take
        beside_others: workers serve meanwhile, and must not be slowed down
        """
        self._path = Path(path)
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._data = bytearray()
        self._status: int | None = None  # with which the child has ended
        self.files: Mapping[str, Mark] = {}  # that the child has read, as they were
        try:
            self.pid, self._pipe = _start_child(self._path, _BESIDE_OTHERS * beside_others, seconds)
        except OSError as error:
            raise self._unread(f"no process can be started: {error.strerror}") from None

    def poll(self) -> Config | None:
        """The configuration as plain values, or None before it is there.

        It has the attributes of the one that `load` returns. Its warnings are logged. Raises
        `ConfigError`.
        """
        is_complete = self._receive()
        self.reap()
        if is_complete and self._status is not None:
            os.close(self._pipe)
            return self._result()
        if time.monotonic() > self._deadline:
            self.cancel()
            raise self._unread(f"not within {self._seconds:g} s")
        return None

    def wait(self, seconds: float) -> None:
        """Sleeps until there is more to `poll`, for `seconds` at most."""
        select.select([self._pipe], [], [], seconds)

    def cancel(self) -> None:
        """Kills the child without waiting for its end, which may take long.

        The kernel may be busy on its behalf.
        """
        os.close(self._pipe)
        self.reap()
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """Takes note of the child's end, if it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None

    def _receive(self) -> bool:
        """Reads what the child has written so far. True if that is all."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._pipe, _CHUNK_BYTES):
                self._data += chunk
            return True
        return False

    def _result(self) -> Config:
        assert self._status is not None
        if self._status != 0 or not self._data:
            raise self._unread(_why_failed(os.waitstatus_to_exitcode(self._status)))
        config, problems, warnings, self.files = pickle.loads(self._data)  # noqa: S301 (our own child wrote it)
        if problems:
            raise ConfigError(problems)
        for warning in warnings:
            _log.warning("%s", warning)
        return cast("Config", config)

    def _unread(self, why: str) -> NotRead:
        return NotRead([Problem(str(self._path), 1, 1, "", f"cannot be read: {why}")])


def load_in_child(
    path: str | os.PathLike[str],
    *,
    is_interrupted: Callable[[], bool] = lambda: False,
    meanwhile: Callable[[], None] = lambda: None,
    read_files: MutableMapping[str, Mark] | None = None,
) -> Config:
    """Waits for a `ConfigReader`, and calls `meanwhile` after its start.

    read_files: gets the files that were read, as they were

    Raises `ConfigError`, and `KeyboardInterrupt` when it is interrupted.
    """
    reader = ConfigReader(path, seconds=_START_SECONDS, beside_others=False)
    meanwhile()
    while not is_interrupted():
        if (config := reader.poll()) is not None:
            if read_files is not None:
                read_files.update(reader.files)
            return config
        reader.wait(_POLL_SECONDS)
    reader.cancel()
    raise KeyboardInterrupt


def _start_child(path: Path, niceness: int, seconds: float) -> tuple[int, int]:
    """A child that reads, and the pipe into which it writes. Raises `OSError`."""
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if child == 0:
        _be_reader(path, writer, niceness, seconds)
    os.close(writer)
    os.set_blocking(reader, False)
    return child, reader


def _be_reader(path: Path, writer: int, niceness: int, seconds: float) -> NoReturn:
    """The child's whole life."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor's mask is not the child's
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(ignored, signal.SIG_IGN)  # for the supervisor, if sent to the group
        signal.setitimer(signal.ITIMER_REAL, seconds + _FORGOTTEN_SECONDS)
        os.nice(niceness)
        # Listening sockets and the store's lock would be held open for as long as it reads.
        os.closerange(_FIRST_OWN, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        with os.fdopen(writer, "wb") as out:
            pickle.dump((*_read(path), files.seen), out)
        code = 0
    except ImportError:
        code = _EXIT_OTHER_VERSION
    finally:
        os._exit(code)


def _why_failed(code: int) -> str:
    """Why a child with this exit code has read nothing; a signal's number has a minus sign."""
    if code < 0:
        return f"the process that reads it was killed by signal {-code}"
    if code == _EXIT_OTHER_VERSION:
        return "a module of Latchkey cannot be imported: after an update, restart the gateway"
    return "the process that reads it has failed"


def _read(path: Path) -> tuple[Any, list[Problem], list[Problem]]:
    from gateway.config.load import load_with_warnings

    try:
        config, warnings = load_with_warnings(path)
    except ConfigError as error:
        return None, error.problems, []
    except Exception as error:  # its text may repeat a value
        return None, [Problem(str(path), 1, 1, "", f"cannot be read: {type(error).__name__}")], []
    return _plain(config), [], warnings


def _properties(model: type[Any]) -> list[str]:
    """The names of a section's own properties, without pydantic's."""
    from gateway.config.base import Model

    own = takewhile(lambda base: base is not Model, model.__mro__)
    return [name for base in own for name, it in vars(base).items() if isinstance(it, property)]


def _plain(value: Any) -> Any:
    """The value with namespaces in place of models.

    They have the fields and the properties of the models.
    """
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        names = [*type(value).model_fields, *_properties(type(value))]
        return SimpleNamespace(**{name: _plain(getattr(value, name)) for name in names})
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
