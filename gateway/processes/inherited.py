"""The sockets that systemd has opened for the gateway (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass

from gateway.core.http.addresses import Address, SystemdAddress
from gateway.processes.errors import StartError

_FIRST = 3  # SD_LISTEN_FDS_START
_UNNAMED = "unknown"  # a socket's name without LISTEN_FDNAMES (sd_listen_fds_with_names(3))
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True)
class Inherited:
    """Sockets and their names, of which several may be the same.

    why_none: why there are no sockets
    """

    sockets: Sequence[socket.socket] = ()
    names: Sequence[str] = ()
    why_none: str = "systemd has handed over no socket (LISTEN_FDS is not set)"

    def named(self, address: SystemdAddress) -> tuple[socket.socket, ...]:
        """The sockets of an address. Raises `StartError` if it has none, or an unusable one."""
        found = [
            (sock, name)
            for sock, name in zip(self.sockets, self.names, strict=True)
            if address.name in ("", name)
        ]
        if not self.sockets:
            raise StartError(f"cannot listen on {address}: {self.why_none}")
        if not found:
            names = ", ".join(sorted(set(self.names)))
            raise StartError(f"cannot listen on {address}: systemd has handed over {names}")
        for sock, name in found:
            if not _accepts(sock):
                raise StartError(
                    f"cannot listen on {address}: its socket {name} accepts no "
                    "connections (ListenStream= with Accept=no)"
                )
        return tuple(sock for sock, _ in found)

    def unused(self, addresses: Iterable[Address]) -> list[str]:
        """The names of sockets that none of these addresses takes."""
        used = {address.name for address in addresses if isinstance(address, SystemdAddress)}
        return [] if "" in used else sorted(set(self.names) - used)

    def close(self) -> None:
        """Close the gateway's own descriptors; systemd's stay open."""
        for sock in self.sockets:
            sock.close()


def take_inherited(environ: MutableMapping[str, str]) -> Inherited:
    """Take the sockets over, and remove what tells of them: children must not take them too.

    Raises `StartError` if the variables or descriptors are not as they have to be.
    """
    pid, count, names = (environ.pop(variable, None) for variable in _VARIABLES)
    if not count:
        return Inherited()
    if pid != str(os.getpid()):
        return Inherited(
            why_none=f"the sockets of LISTEN_FDS are for process {pid} (LISTEN_PID), "
            f"and this one is {os.getpid()}"
        )
    if not count.isdecimal():
        raise StartError("LISTEN_FDS is not a number")
    sockets = [_taken(descriptor) for descriptor in range(_FIRST, _FIRST + int(count))]
    listed = [_UNNAMED] * len(sockets) if names is None else names.split(":")
    if len(listed) != len(sockets):
        raise StartError(f"LISTEN_FDNAMES has {len(listed)} names, and LISTEN_FDS is {count}")
    return Inherited(sockets, listed)


def _taken(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (os's own)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(
            f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}"
        ) from None
    sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
    return sock


def _accepts(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_STREAM and bool(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )
