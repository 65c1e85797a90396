"""Reading config.yaml in a process of its own.

What it takes to read one (pydantic, PyYAML) is 10 MiB that neither the supervisor nor a worker
needs again. So a child reads it, hands over plain values, and ends.
"""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from gateway.config.problems import ConfigError, Problem

if TYPE_CHECKING:
    from gateway.config.model import Config

_log = logging.getLogger("gateway.config")


def load_apart(path: str | os.PathLike[str]) -> Config:
    """What `load` gives, with the same attributes, as plain values; warnings are logged.

    Raises `ConfigError`.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                pickle.dump(_read(Path(path)), out)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    if not data:
        raise RuntimeError("the process that reads the configuration has died")
    config, problems, warnings = pickle.loads(data)  # noqa: S301 (our own child wrote it)
    if problems:
        raise ConfigError(problems)
    for warning in warnings:
        _log.warning("%s", warning)
    return cast("Config", config)


def _read(path: Path) -> tuple[Any, list[Problem], list[Problem]]:
    from gateway.config.load import load_with_warnings

    try:
        config, warnings = load_with_warnings(path)
    except ConfigError as error:
        return None, error.problems, []
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
