"""The listening sockets, which the supervisor opens and workers inherit.

Each worker accepts from its own sockets (SO_REUSEPORT spreads connections over them). A socket
stays open until the gateway stops listening on its address, so connections in its queue are
accepted by the next worker that has it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.http.addresses import (
    BACKLOG,
    MAX_UNIX_PATH_BYTES,
    Address,
    SystemdAddress,
    TcpAddress,
    UnixAddress,
)
from gateway.processes.errors import StartError
from gateway.processes.inherited import Inherited

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 (to be compared with)
_HERE = ("", "127.0.0.1", "::1", _EVERY_INTERFACE, "::")

# How long to wait for the owner of a unix socket to accept; a living one accepts at once.
_OWNER_SECONDS = 1.0


Permissions = tuple[int, int | None]  # mode and group


@dataclass(slots=True, eq=False)
class Listener:
    """A listening socket.

    A unix socket also has its file: the path, and the device and inode.

    permissions: of a unix socket
    is_inherited: systemd opened it, and goes on with it; a reload may want it again
    """

    sock: socket.socket
    path: str = ""
    inode: tuple[int, int] = (0, 0)
    permissions: Permissions = (0, None)
    is_inherited: bool = False

    @property
    def is_in_place(self) -> bool:
        """Whether the file of a unix socket still belongs to this socket."""
        return not self.path or _inode(self.path) == self.inode

    def put_in_place(self, path: str) -> None:
        """Put a unix socket that was opened beside the one at a path into its place."""
        os.rename(self.path, path)
        self.path = path

    def close(self) -> None:
        """Close the socket, and remove its file if it still belongs to it."""
        if self.path and self.is_in_place:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.sock.close()


@dataclass
class Listeners:
    """The sockets of all addresses; a TCP address has one for each worker.

    inherited: those that systemd has handed over
    """

    inherited: Inherited = field(default_factory=Inherited)
    _open: Mapping[str, tuple[Listener, ...]] = field(default_factory=dict)
    _beside: Mapping[str, Listener] = field(default_factory=dict)  # until they are put in place

    def extended(self, addresses: Iterable[Address], workers: int) -> Listeners:
        """Sockets for these addresses: open ones are kept, missing ones opened.

        Raises `StartError`; then no socket was opened.
        """
        opening = _Opening(self, workers)
        wanted: dict[str, tuple[Listener, ...]] = {}
        try:
            for address in addresses:
                wanted[str(address)] = opening.listeners(address)
        except StartError:
            opening.undo()
            raise
        return Listeners(self.inherited, wanted, opening.beside)

    def at(self, address: Address) -> tuple[Listener, ...]:
        """The open sockets of an address, but for a unix socket whose file was removed."""
        there = self._open.get(str(address), ())
        return tuple(listener for listener in there if listener.is_in_place)

    def put_in_place(self) -> None:
        """Let clients reach the sockets that were opened beside old ones."""
        for path, listener in self._beside.items():
            listener.put_in_place(path)
        self._beside = {}

    def ports(self) -> set[int]:
        """The TCP ports of all sockets."""
        return {
            listener.sock.getsockname()[1]
            for listener in self.all()
            if listener.sock.family != socket.AF_UNIX
        }

    def share(
        self, addresses: Iterable[Address], number: int, workers: int
    ) -> tuple[tuple[socket.socket, Address], ...]:
        """The sockets from which worker `number` of `workers` accepts, with their addresses.

        Every TCP socket belongs to one worker. A unix socket cannot be opened twice, nor can one of
        systemd, so all workers accept from it.
        """
        return tuple(
            (listener.sock, address)
            for address in addresses
            for at, listener in enumerate(self._open[str(address)])
            if not isinstance(address, TcpAddress) or at % workers == number
        )

    def close(self, *, kept: Listeners | None = None) -> None:
        """Close the sockets that are not in `kept`, with their files; without it, all of them."""
        stay = set() if kept is None else {id(listener) for listener in kept.all()}
        for listener in self.all():
            if id(listener) not in stay and not listener.is_inherited:
                listener.close()
        if kept is None:
            self.inherited.close()

    def close_others(self, own: Iterable[socket.socket]) -> None:
        """Close all sockets but `own`, in a worker, without removing files."""
        stay = {id(sock) for sock in own}
        for sock in (*(listener.sock for listener in self.all()), *self.inherited.sockets):
            if id(sock) not in stay:
                sock.close()

    def all(self) -> list[Listener]:
        return [listener for listeners in self._open.values() for listener in listeners]


class _Opening:
    """Opens the sockets that `there` lacks."""

    def __init__(self, there: Listeners, workers: int) -> None:
        self.beside: dict[str, Listener] = {}  # by their places, where others are yet
        self._there = there
        self._ports = there.ports()
        self._workers = workers
        self._new: list[Listener] = []

    def listeners(self, address: Address) -> tuple[Listener, ...]:
        """The sockets of an address: open ones, and new ones. Raises `StartError`."""
        if isinstance(address, SystemdAddress):
            sockets = self._there.inherited.named(address)
            return tuple(Listener(sock, is_inherited=True) for sock in sockets)
        there = self._there.at(address)
        if isinstance(address, UnixAddress):
            return (self._unix(address, there),)
        # A wider or narrower address has the same port.
        is_shared = bool(there) or address.port in self._ports
        missing = self._workers - len(there)
        return (*there, *(self._opened(address, shared=is_shared) for _ in range(missing)))

    def undo(self) -> None:
        """Close what was opened."""
        for listener in self._new:
            listener.close()

    def _unix(self, address: UnixAddress, there: tuple[Listener, ...]) -> Listener:
        if not there:
            return self._opened(address)
        [listener] = there
        if listener.permissions == (address.mode, address.group):
            return listener
        # The reload may still fail, so the old one stays in its place until it has succeeded.
        listener = self._opened(replace(address, path=_beside(address.path)))
        self.beside[address.path] = listener
        return listener

    def _opened(self, address: TcpAddress | UnixAddress, *, shared: bool = False) -> Listener:
        self._new.append(listen(address, shared=shared))
        return self._new[-1]


def _beside(path: str) -> str:
    """Another path in the same folder; its length is limited."""
    longer = path + ".new"
    fits = len(longer.encode()) <= MAX_UNIX_PATH_BYTES
    return longer if fits else path[:-1] + ("~" if path[-1] != "~" else "_")


def describe(address: Address) -> str:
    """An address as you type it into a browser."""
    if not isinstance(address, TcpAddress):
        return str(address)
    host = "localhost" if address.host in _HERE else address.host
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if address.entrance.certificates else 'http'}://{host}:{address.port}"


def listen(address: TcpAddress | UnixAddress, *, shared: bool = False) -> Listener:
    """Open a socket for an address. Raises `StartError`.

    A TCP socket does not listen yet: connections would wait in its queue for the worker.

    shared: whether this gateway already has a socket for the port
    """
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(address)
        sock = _bind_tcp(address.host, address.port, shared=shared)
        sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror or error}") from None
    return Listener(sock)


def _listen_unix(address: UnixAddress) -> Listener:
    _remove_stale(address)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(address.path)
        _permit(address)  # before it listens, so that no other client can connect
        sock.listen(BACKLOG)  # otherwise another gateway would find no owner
        sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, address.path, _inode(address.path), (address.mode, address.group))


def _remove_stale(address: UnixAddress) -> None:
    """Remove the file of a socket without an owner.

    Raises `StartError` if there is one: connecting shows it (ECONNREFUSED: none, unix(7)); and if
    something else stands there. Raises `PermissionError`.
    """
    inode = _inode(address.path)
    if inode == (0, 0):
        if os.path.lexists(address.path):
            raise StartError(f"cannot listen on {address}: what stands there is no socket")
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_OWNER_SECONDS)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            if _inode(address.path) == inode:
                os.unlink(address.path)
            return
        except FileNotFoundError:
            return
        except PermissionError:
            raise
        except OSError:  # its queue is full, or it is for datagrams
            pass
    raise StartError(f"cannot listen on {address}: another process listens there")


def _permit(address: UnixAddress) -> None:
    """Set mode and group of a unix socket. Raises `StartError`."""
    try:
        if address.group is not None:
            os.chown(address.path, -1, address.group)
        os.chmod(address.path, address.mode)
    except OSError as error:
        raise StartError(
            f"cannot set mode and group of {address}: {error.strerror or error}"
        ) from None


def _bind_tcp(host: str, port: int, *, shared: bool) -> socket.socket:
    if not host:
        host = "::" if socket.has_dualstack_ipv6() else _EVERY_INTERFACE
    family, _, _, _, name = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    if not shared:
        # With SO_REUSEPORT alone, a second gateway would silently take half of the connections.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        sock.bind(name)
    except BaseException:
        sock.close()
        raise
    return sock


def _inode(path: str) -> tuple[int, int]:
    """Device and inode of a unix socket's file; zeros if there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return (0, 0)
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else (0, 0)
