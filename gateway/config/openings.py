"""Checks that the files and sockets which `run` opens can be opened.

The checks change nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.core.http.addresses import UnixAddress


def check_openings(config: Config, document: Document) -> Iterator[Problem]:
    """Check the logs, the data directory and the folders of unix sockets."""
    for name in ("access_log", "audit_log"):
        where = getattr(config, name)
        if where not in ("stdout", "off") and (why := _unwritable_file(Path(where))):
            yield document.problem((name,), f"cannot be written: {why}")
    if config.store.url == "embedded" and (why := _unusable_folder(Path(config.store.data_dir))):
        yield document.problem(("store", "data_dir"), f"cannot be used: {why}")
    for where, addresses in (
        (("listen",), config.listen),
        (("admin", "listen"), config.admin.listen),
    ):
        for address in addresses:
            if isinstance(address, UnixAddress) and (why := _no_place(Path(address.path))):
                yield document.problem(where, f"{address} cannot be listened on: {why}")


def _unwritable_file(path: Path) -> str:
    """Why a file cannot be appended to or created; empty if it can."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError:
        return _unwritable_folder(path.parent)
    except OSError as error:
        return str(error.strerror)
    return ""


def _unusable_folder(path: Path) -> str:
    """Why a folder cannot be written to or created; empty if it can."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return _unwritable_folder(path)


def _no_place(path: Path) -> str:
    """Why a socket cannot be created at a path; empty if it can."""
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return "there is a file that is not a socket"
    return _unwritable_folder(path.parent)


def _unwritable_folder(path: Path) -> str:
    if not path.exists():
        return os.strerror(errno.ENOENT)
    if not path.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)
