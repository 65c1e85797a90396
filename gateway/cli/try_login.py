"""`gateway try login`: log in once, and report what became of the login.

It uses the parts that `run` would use.

The backend is really asked. The session goes into a store of its own, which ends with the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from gateway.cli.store import CommandFailed
from gateway.config.store_sections import Store
from gateway.core.http.refusals import Refusal
from gateway.core.logins.replies import Reply
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.endpoints import app
from gateway.observe.unsent_fields import UnsentFields
from gateway.outbound.backends import Backends
from gateway.outbound.http_client import open_client
from gateway.relay.setup.basis import basis_of
from gateway.relay.setup.pools import PoolBuilder
from gateway.store.embedded import EmbeddedStore, EmbeddedStoreError
from gateway.store.issuer import Issued
from gateway.store.sessions import Sessions, open_sessions

if TYPE_CHECKING:
    from gateway.config.model import Config

# The client of the trial, as the relay would describe it to the endpoints.
_ADDRESS = "127.0.0.1"
_REQUEST_ID = "try-login"


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """The request to log in. Its repr shows nothing that the user typed."""

    method: str
    target: str = field(repr=False)
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    host: str = "localhost"
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class BackendCall:
    """One call that the gateway made to an upstream, with its reply."""

    upstream: str
    method: str
    target: str = field(repr=False)
    reply: Reply


@dataclass(slots=True)
class Trial:
    """The outcome of a trial.

    calls: the gateway's calls to upstreams, in their order
    issued: the session; None if the login was refused
    messages: what the log said
    reply: the reply as the frontend would see it
    """

    calls: list[BackendCall] = field(default_factory=list)
    issued: Issued | None = None
    messages: list[str] = field(default_factory=list)
    reply: Reply | None = None


def try_login(config: Config, request: LoginRequest) -> Trial:
    """Log in once. Raises `CommandFailed` if there is no store to do it with."""
    with tempfile.TemporaryDirectory(prefix="latchkey-") as folder:
        store = EmbeddedStore(folder)
        try:
            url = store.start()
        except EmbeddedStoreError as error:
            raise CommandFailed(f"a trial needs the embedded store: {error}") from None
        try:
            return asyncio.run(_try(config, request, Path(folder), url, store.pepper()))
        finally:
            store.stop()


async def _try(config: Config, request: LoginRequest, folder: Path, url: str, secret: str) -> Trial:
    config = config.model_copy(update={"store": Store()})
    trial = Trial()
    sessions = open_sessions(
        config,
        url=url,
        secrets=(secret,),
        render=IdentityHeaders(config.identity, UnsentFields()),
    )
    _record_sessions(sessions, trial)
    try:
        with _recorded_messages(trial):
            await sessions.start()
            async with _endpoints(config, sessions, trial, folder / "endpoints.sock") as path:
                trial.reply = await _ask(path, request)
    finally:
        await sessions.close()
    return trial


def _record_sessions(sessions: Sessions, trial: Trial) -> None:
    issue = sessions.issue

    async def recorded(**session: Any) -> Issued:
        trial.issued = await issue(**session)
        return trial.issued

    sessions.issue = recorded


@contextlib.contextmanager
def _recorded_messages(trial: Trial) -> Iterator[None]:
    """Put what the gateway logs meanwhile into the trial instead of stderr."""

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            trial.messages.append(record.getMessage())

    log, recorder = logging.getLogger("gateway"), Recorder(logging.INFO)
    log.addHandler(recorder)
    propagated, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = propagated
        log.removeHandler(recorder)


class _RecordingBackends(Backends):
    """Upstreams, whose replies are noted."""

    def __init__(self, config: Config, trial: Trial) -> None:
        super().__init__(config, PoolBuilder(config, basis_of(config)).called)
        self._trial = trial

    async def call(self, upstream: str, method: str, target: str, **call: Any) -> Reply:
        reply = await super().call(upstream, method, target, **call)
        self._trial.calls.append(BackendCall(upstream, method, target, reply))
        return reply


@contextlib.asynccontextmanager
async def _endpoints(
    config: Config, sessions: Sessions, trial: Trial, path: Path
) -> AsyncIterator[str]:
    """The gateway's endpoints on a unix socket. Yields the socket's path."""

    def ignore(_refusal: Refusal) -> None:
        """The refusal stands in the reply."""

    backends = _RecordingBackends(config, trial)
    try:
        async with app.run(config, sessions, backends, ignore) as server:
            listener = await asyncio.get_running_loop().create_unix_server(server, str(path))
            yield str(path)
            listener.close()
    finally:
        await backends.close()


async def _ask(path: str, request: LoginRequest) -> Reply:
    """Send the request as the relay would. Returns the reply."""
    described = {
        "X-Real-IP": _ADDRESS,
        "X-Request-Id": _REQUEST_ID,
        "X-Forwarded-For": _ADDRESS,
        "X-Forwarded-Proto": request.scheme,
        "X-Forwarded-Host": request.host,
    }
    async with (
        open_client(aiohttp.UnixConnector(path)) as client,
        client.request(
            request.method,
            URL(f"http://{request.host}{request.target}", encoded=True),
            headers=[*request.fields, *described.items()],
            data=request.body or None,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        ) as response,
    ):
        fields = tuple(response.headers.items())
        return Reply(response.status, fields, await response.read(), response.reason or "")
