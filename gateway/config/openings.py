"""Checks that the files and sockets which `run` opens can be opened.

The checks change nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.core.http.addresses import Address, SystemdAddress, TcpAddress, UnixAddress


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
            if why := _unusable_address(address):
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


def _unusable_address(address: Address) -> str:
    """Why an address cannot be listened on; empty if it can."""
    match address:
        case UnixAddress():
            return _no_place(Path(address.path))
        case TcpAddress():
            return _unbindable(address)
        case SystemdAddress():
            return ""  # systemd opens it, for `run` alone


def _no_place(path: Path) -> str:
    """Why a socket cannot be created at a path; empty if it can."""
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return "there is a file that is not a socket"
    return _unwritable_folder(path.parent)


def _unbindable(address: TcpAddress) -> str:
    """Why an address cannot be bound; empty if it can, or is in use.

    A gateway with this configuration may be running on it.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:  # without listening
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind(place)
    except OSError as error:
        return "" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return ""


def _unwritable_folder(path: Path) -> str:
    if not path.exists():
        return os.strerror(errno.ENOENT)
    if not path.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(path, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)
