"""The parent process: binds the sockets, starts the store and the workers, and keeps them going.

It has no event loop and does no work of its own, so it can fork at any time. Workers inherit the
configuration and the sockets; a socket outlives its worker, so connections that arrive while a
worker is restarted wait in the kernel and are not refused.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.addresses import Address, UnixAddress
from gateway.observe.slots import Slots
from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError
from gateway.store.lifeline import end_with_parent

if TYPE_CHECKING:
    from gateway.config.model import Config

_BACKLOG = 1024

# What the supervisor waits for; blocked, and taken by `sigtimedwait`, so that no handler runs.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

# How often to look after the children without having been told, in seconds.
_POLL_SECONDS = 1.0

# A worker that ends sooner than this after its start has not recovered from whatever it had.
_SHORT_LIFE = 5.0
_MOST_SHORT_LIVES = 5
_PAUSE_AFTER_SHORT_LIFE = 0.5

# How long workers get beyond `timeouts.drain` before they are killed, in seconds.
_GRACE = 5.0

EXIT_FAILED = 1

_EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 (to be compared with)
_HERE = ("", "127.0.0.1", "::1", _EVERY_INTERFACE, "::")


class StartError(Exception):
    """The gateway cannot start; the message says why."""


@dataclass
class _Worker:
    number: int
    slot: int  # of its metrics
    pid: int
    started: float


@dataclass
class Supervisor:
    """Runs one configuration until it is told to stop, or to take another one."""

    config: Config
    reload: Callable[[], Config | None]  # reads the file again; None when it is wrong
    say: Callable[[str], None]
    _sockets: dict[tuple[str, int], socket.socket] = field(default_factory=dict)
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _leaving: set[int] = field(default_factory=set)
    _store: EmbeddedStore | None = None
    _store_url: str = ""
    _short_lives: int = 0
    _instance: str = field(default_factory=lambda: secrets.token_hex(8))
    _slots: Slots = field(default_factory=Slots)

    def run(self) -> int:
        """Returns the exit code: 0 after a stop, 1 when the workers will not run."""
        _raise_descriptor_limit()
        try:
            self._bind(self.config)
            self._start_store(self.config)
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            self._slots.make()  # not before, or a signal could end us without removing it
            for number in range(self.config.workers):
                self._fork(number)
            self.say(f"listening on {', '.join(describe(each) for each in self.config.listen)}")
            return self._watch()
        finally:
            self._end()

    def _bind(self, config: Config) -> None:
        """Opens what is not open yet, before anything is started that would have to be undone."""
        wanted: dict[tuple[str, int], socket.socket] = {}
        for number in range(config.workers):
            for address in (*config.listen, *config.admin.listen):
                # A unix socket cannot be shared by SO_REUSEPORT, so all workers accept from one.
                name = (str(address), 0 if isinstance(address, UnixAddress) else number)
                if name not in wanted:
                    ours = any(name[0] == other for other, _ in (*self._sockets, *wanted))
                    if isinstance(address, UnixAddress) and name in self._sockets:
                        _permit(address)  # a reload may change who may connect
                    wanted[name] = self._sockets.get(name) or listen(address, shared=ours)
        for name, sock in self._sockets.items():
            if name not in wanted:
                sock.close()
        self._sockets = wanted

    def _start_store(self, config: Config) -> None:
        if config.store.url != "embedded":
            self._store_url = config.store.url
            return
        self._store = EmbeddedStore(config.store.data_dir)
        try:
            self._store_url = self._store.start()
        except EmbeddedStoreError as error:
            raise StartError(str(error)) from None

    def _fork(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent, slot = os.getpid(), self._slots.free(each.slot for each in self._workers.values())
        pid = os.fork()
        if pid == 0:
            code = EXIT_FAILED
            try:
                end_with_parent(parent)
                if self._store is not None:
                    self._store.forget()
                code = self._work(number, slot)
            except BaseException as error:
                self.say(f"worker {number} failed: {error!r}")
            finally:
                if os.getppid() != parent:  # nobody else is left to tidy up
                    self._slots.remove()
                os._exit(code)
        self._workers[pid] = _Worker(number, slot, pid, time.monotonic())

    def _work(self, number: int, slot: int) -> int:
        """The child's whole life."""
        from gateway import worker

        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes ends the parent

        def of(addresses: tuple[Address, ...]) -> tuple[socket.socket, ...]:
            names = [(str(a), 0 if isinstance(a, UnixAddress) else number) for a in addresses]
            return tuple(self._sockets[name] for name in names)

        return worker.main(
            worker.Assignment(
                config=self.config,
                public=of(self.config.listen),
                admin=of(self.config.admin.listen),
                store_url=self._store_url,
                secrets=self._secrets(),
                instance=self._instance,
                number=number,
                metrics=self._slots.folder,
                slot=slot,
            )
        )

    def _secrets(self) -> tuple[str, ...]:
        configured = tuple(each.reveal() for each in self.config.session.secrets)
        return configured or ((self._store.pepper(),) if self._store else ())

    def _watch(self) -> int:
        """Sleeps until something happens; answers it; returns when all is over."""
        while True:
            happened = signal.sigtimedwait(_SIGNALS, _POLL_SECONDS)
            if happened is not None and happened.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stop_workers()
                return 0
            if happened is not None and happened.si_signo == signal.SIGHUP:
                self._take_new_config()
            for worker in self._reaped():
                if worker.pid in self._leaving:
                    self._leaving.discard(worker.pid)
                elif not self._replace(worker):
                    self.say("the workers do not stay alive; giving up")
                    self._stop_workers()
                    return EXIT_FAILED
            if self._store is not None and not self._store.running:
                self._restart_store(self._store)

    def _reaped(self) -> list[_Worker]:
        ended = [pid for pid in self._workers if os.waitpid(pid, os.WNOHANG)[0]]
        workers = [self._workers.pop(pid) for pid in ended]
        for worker in workers:
            self._slots.left(worker.slot)
        return workers

    def _replace(self, worker: _Worker) -> bool:
        """Starts a worker in place of one that died; False when that helps no more."""
        if time.monotonic() - worker.started < _SHORT_LIFE:
            self._short_lives += 1
            if self._short_lives >= _MOST_SHORT_LIVES:
                return False
            time.sleep(_PAUSE_AFTER_SHORT_LIFE)
        else:
            self._short_lives = 0
        self.say(f"worker {worker.number} has ended; starting another")
        self._fork(worker.number)
        return True

    def _restart_store(self, store: EmbeddedStore) -> None:
        self.say(f"the embedded store has ended ({store.cause_of_end()}); starting it again")
        try:
            store.restart()
        except EmbeddedStoreError as error:
            self.say(str(error))

    def _take_new_config(self) -> None:
        """New workers with the new configuration first, then the old ones drain."""
        config = self.reload()
        if config is None:
            return
        store, before = config.store, self.config.store
        if "embedded" in (store.url, before.url) and (
            (store.url, store.data_dir) != (before.url, before.data_dir)
        ):
            self.say("the embedded store cannot be changed by a reload; restart the gateway")
            return
        try:
            self._bind(config)
        except StartError as error:
            self.say(str(error))
            return
        self.config = config
        if store.url != "embedded":
            self._store_url = store.url
        old = list(self._workers.values())
        for number in range(config.workers):
            self._fork(number)
        for worker in old:
            self._leaving.add(worker.pid)
            _signal(worker.pid, signal.SIGTERM)
        self.say("reloaded")

    def _stop_workers(self) -> None:
        for pid in self._workers:
            _signal(pid, signal.SIGTERM)
        until = time.monotonic() + self.config.timeouts.drain + _GRACE
        while self._workers and time.monotonic() < until:
            self._reaped()
            time.sleep(0.02)
        for pid in self._workers:
            _signal(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers.clear()

    def _end(self) -> None:
        if self._workers:
            self._stop_workers()
        for sock in self._sockets.values():
            sock.close()
        for address in (*self.config.listen, *self.config.admin.listen):
            if isinstance(address, UnixAddress) and _is_socket(address.path):
                os.unlink(address.path)
        if self._store is not None:
            self._store.stop()
        self._slots.remove()


def describe(address: Address) -> str:
    """An address as one would type it into a browser."""
    if isinstance(address, UnixAddress):
        return str(address)
    host = "localhost" if address.host in _HERE else address.host
    return f"http://{host}:{address.port}"


def listen(address: Address, *, shared: bool = False) -> socket.socket:
    """A listening socket. `shared`: this gateway listens there already. Raises `StartError`."""
    try:
        if isinstance(address, UnixAddress):
            if _is_socket(address.path):
                os.unlink(address.path)
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(address.path)
            _permit(address)  # before it listens: until then, nothing can connect
        else:
            sock = _bind_tcp(address.host, address.port, shared=shared)
        sock.listen(_BACKLOG)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror or error}") from None
    sock.setblocking(False)  # noqa: FBT003 (the socket API's own)
    return sock


def _permit(address: UnixAddress) -> None:
    """Sets who may connect to a unix socket. Raises `StartError`."""
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
        # SO_REUSEPORT would let a second gateway take half of the connections without a word.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
    sock.bind(name)
    return sock


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _raise_descriptor_limit() -> None:
    """Each connection takes a descriptor, so the soft limit is raised to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
