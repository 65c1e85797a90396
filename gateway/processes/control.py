"""The control socket: `gateway reload` connects to it, and gets the outcome of a reload.

To connect is the request: nothing that a peer writes is read. The socket has an abstract name
(unix(7)), made of the path of config.yaml, so it needs no folder that can be written to, and
goes with the supervisor, however that ends. Peers of other users are refused, and so is a gateway
of another user: any process may take an abstract name.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import hashlib
import json
import os
import pwd
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

# How many processes may wait for reloads; others wait in the queue of the socket.
_MAX_WAITING = 64

# Of an outcome, so that it fits into the buffer of a socket (208 KiB, unix(7)).
_MAX_TEXT = 2**15

_PEER_CREDENTIALS = struct.Struct("iII")  # process id, user id, group id (unix(7), SO_PEERCRED)


class Result(enum.Enum):
    """How a reload has ended."""

    RELOADED = "reloaded"
    WRONG_CONFIGURATION = "wrong configuration"
    FAILED = "failed"  # for another reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a reload; `text` says why it failed."""

    result: Result
    text: str = ""


class ControlError(Exception):
    """There is no outcome; the text says why."""


@dataclass
class Control:
    """The supervisor's end.

    path: of config.yaml
    """

    path: str
    say: Callable[[str], None]
    _sock: socket.socket | None = None
    _waiting: list[socket.socket] = field(default_factory=list)  # for the next reload to begin
    _served: list[socket.socket] = field(default_factory=list)  # by the one that has begun
    _has_failed: bool = False

    def open(self) -> None:
        """Take the name, unless it is taken; that is said once."""
        if self._sock is not None:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(address(self.path))
            sock.listen(_MAX_WAITING)
            sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
            # A connection is a signal (SIGIO), since the supervisor waits for signals.
            fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
            flags = fcntl.fcntl(sock, fcntl.F_GETFL)
            fcntl.fcntl(sock, fcntl.F_SETFL, flags | os.O_ASYNC)
        except OSError as error:
            sock.close()
            if not self._has_failed:
                self.say(f"`gateway reload` cannot reach this gateway: {error.strerror}")
            self._has_failed = True
            return
        self._sock = sock

    def take_requests(self) -> bool:
        """Accept connections. Whether there were any."""
        before = len(self._waiting)
        while self._sock is not None and len(self._waiting) < _MAX_WAITING:
            try:
                peer, _ = self._sock.accept()
            except OSError:  # none is there, or no descriptor is left
                break
            if _user_of(peer) == os.geteuid():
                peer.setblocking(False)  # noqa: FBT003 (the socket API's own)
                self._waiting.append(peer)
            else:
                peer.close()
        return len(self._waiting) > before

    def begin(self) -> None:
        """Begin a reload, whose outcome is for all requests so far."""
        self._served, self._waiting = self._served + self._waiting, []

    def tell(self, outcome: Outcome) -> None:
        """Tell the outcome of the reload that has begun."""
        fields = {"result": outcome.result.value, "text": outcome.text[:_MAX_TEXT]}
        for peer in self._served:
            with contextlib.suppress(OSError), peer:
                peer.sendall(json.dumps(fields).encode())
        self._served = []

    def close(self, reason: str) -> None:
        """Free the name, and answer all who wait."""
        self.take_requests()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self.begin()
        self.tell(Outcome(Result.FAILED, reason))

    def forget(self) -> None:
        """Close all sockets, also those that a worker has inherited."""
        for sock in (*self._waiting, *self._served, *([self._sock] if self._sock else [])):
            sock.close()
        self._waiting, self._served, self._sock = [], [], None


def request_reload(path: str) -> Outcome:
    """Have the gateway that runs with this config.yaml reload, and wait for the outcome.

    Raises `ControlError`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(address(path))
        except OSError:
            raise ControlError(f"no gateway runs here with {os.path.abspath(path)}") from None
        user = _user_of(sock)
        if user != os.geteuid():
            name = _name_of(user)
            raise ControlError(f"the gateway belongs to {name}: run this command as that user")
        data = b""
        with contextlib.suppress(ConnectionError), sock.makefile("rb") as answer:
            data = answer.read()
    try:
        fields = json.loads(data)
        return Outcome(Result(fields["result"]), fields["text"])
    except (ValueError, KeyError):
        raise ControlError("the gateway has ended before it had reloaded") from None


def address(path: str) -> str:
    """The abstract name for a config.yaml (unix(7)).

    Containers may share a network, to which names belong: each has a root folder of its own. A
    path stays as it was typed, since its links may lead elsewhere by now.
    """
    root = os.stat("/")
    identity = f"{root.st_dev}:{root.st_ino}:{os.path.abspath(path)}"
    return "\0latchkey-" + hashlib.sha256(os.fsencode(identity)).hexdigest()


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # as in most containers
        return f"user {user}"


def _user_of(peer: socket.socket) -> int:
    """The user id of the process that has connected, or that listens."""
    size = _PEER_CREDENTIALS.size
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(_PEER_CREDENTIALS.unpack(credentials)[1])
