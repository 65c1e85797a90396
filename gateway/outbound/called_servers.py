"""The servers of an upstream, as the gateway's own calls see them.

The relay keeps them: it knows which ones can be reached, are healthy or ejected, and calls tell it
what they find.
"""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.core.http.addresses import ServerUrl
from gateway.core.http.refusals import Refusal

if TYPE_CHECKING:
    from gateway.outbound.upstream_tls import UpstreamContext


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of a server.

    url: what config.yaml says
    context: for TLS to it
    address: one of its name's; "" has each connection look the name up
    """

    url: ServerUrl
    context: UpstreamContext
    address: str = ""

    def __str__(self) -> str:
        return f"{self.url} ({self.address})" if self.address else str(self.url)

    @property
    def base_url(self) -> str:
        """The URL before the path of a request."""
        url = self.url
        host = self.address or url.host or "localhost"
        host = f"[{host}]" if ":" in host else host
        port = f":{url.port}" if url.port else ""
        return f"{'https' if url.tls else 'http'}://{host}{port}{url.base}"

    def tls(self) -> tuple[ssl.SSLContext | None, str | None]:
        """The context for a connection now, and the name for SNI. Nothing without TLS."""
        return self.context.of(self.url)


class Attempts(Protocol):
    """The attempts of one call: at one server after the other, until one is reached."""

    def server(self) -> AbstractContextManager[ServerAddress]:
        """The server to call next, which has one call more meanwhile.

        Raises `BackendFailed` if the upstream is left alone.
        """

    def unreached(self, error: OSError) -> bool:
        """Note that nothing could be sent to it. Whether another server is left to be tried."""

    def failed(self, why: str, refusal: Refusal) -> None:
        """Note that it has not answered as a whole."""

    def answered(self, status: int) -> None:
        """Note that an answer of it has begun."""

    def waits(self, error: OSError) -> None:
        """Note that the call tries all servers again: they may restart."""

    def given_up(self, error: OSError) -> Refusal:
        """The refusal, since no server could be reached."""


class CalledServers(Protocol):
    """The servers of one upstream."""

    @property
    def try_for(self) -> float:
        """How long a call waits while no server can be reached (seconds)."""

    def attempts(self) -> Attempts:
        """The attempts of one call."""
