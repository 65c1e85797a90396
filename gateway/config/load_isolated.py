"""Reading config.yaml in a process of its own.

What it takes to read one (pydantic, PyYAML) is 10 MiB that neither the supervisor nor a worker
needs again. So a child reads it, hands over plain values, and ends; whatever happens to it, the
process that asked goes on.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from gateway.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.config")

# How long reading may take, in seconds. It takes a third of one; a pipe may never end.
_READING_SECONDS = 20
_POLL_SECONDS = 0.1
_CHUNK_BYTES = 2**16


def load_apart(
    path: str | os.PathLike[str], *, is_interrupted: Callable[[], bool] = lambda: False
) -> Config:
    """What `load` gives, with the same attributes, as plain values; warnings are logged.

    Raises `ConfigError`, and `KeyboardInterrupt` when it is interrupted meanwhile.
    """
    try:
        data, status = _read_in_child(Path(path), is_interrupted)
    except OSError as error:
        raise _unread(
            path, f"cannot be read: no process can be started: {error.strerror}"
        ) from None
    if status != 0 or not data:
        raise _unread(path, _why(os.waitstatus_to_exitcode(status)))
    config, problems, warnings = pickle.loads(data)  # noqa: S301 (our own child wrote it)
    if problems:
        raise ConfigError(problems)
    for warning in warnings:
        _log.warning("%s", warning)
    return cast("Config", config)


def _read_in_child(path: Path, is_interrupted: Callable[[], bool]) -> tuple[bytes, int]:
    """What a child has read, and the status with which it ended. Raises `OSError`."""
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if child == 0:
        _be_reader(path, reader, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb", buffering=0) as answer:
            data = _receive(answer.fileno(), is_interrupted)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return data, os.waitpid(child, 0)[1]


def _receive(reader: int, is_interrupted: Callable[[], bool]) -> bytes:
    data = b""
    while True:
        if is_interrupted():
            raise KeyboardInterrupt
        if not select.select([reader], [], [], _POLL_SECONDS)[0]:
            continue
        chunk = os.read(reader, _CHUNK_BYTES)
        if not chunk:
            return data
        data += chunk


def _why(code: int) -> str:
    if code == -signal.SIGALRM:
        return f"cannot be read within {_READING_SECONDS} s"
    how = f"was killed by signal {-code}" if code < 0 else "has failed"
    return f"cannot be read: the process that reads it {how}"


def _unread(path: str | os.PathLike[str], why: str) -> ConfigError:
    return ConfigError([Problem(str(path), 1, 1, "", why)])


def _be_reader(path: Path, reader: int, writer: int) -> None:
    """The child's whole life."""
    code = 1
    try:
        os.close(reader)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor's mask is not the child's
        signal.alarm(_READING_SECONDS)
        with os.fdopen(writer, "wb") as out:
            pickle.dump(_read(path), out)
        code = 0
    finally:
        os._exit(code)


def _read(path: Path) -> tuple[Any, list[Problem], list[Problem]]:
    from gateway.config.load import load_with_warnings

    try:
        config, warnings = load_with_warnings(path)
    except ConfigError as error:
        return None, error.problems, []
    except Exception as error:  # whose text may repeat a value
        return None, [Problem(str(path), 1, 1, "", f"cannot be read: {type(error).__name__}")], []
    return _plain(config), [], warnings


def _plain(value: Any) -> Any:
    """The value with namespaces in place of its models."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return SimpleNamespace(**{name: _plain(each) for name, each in value})
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return value
