"""Redirects of plain HTTP to HTTPS, in place of the decision."""

from __future__ import annotations

from typing import NoReturn

from gateway.core.http import refusals
from gateway.relay.access.peer import Peer
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered, Refused

_HTTPS_PORT = 443
_SAFE = (b"GET", b"HEAD")


class Redirects:
    """Decides on each request by its place at HTTPS."""

    def __init__(self, port: int) -> None:
        """`port`: that of HTTPS."""
        self._port = "" if port == _HTTPS_PORT else f":{port}"

    async def decide(self, head: RequestHead, _peer: Peer, _own_id: bytes) -> NoReturn:
        """Raise `Answered`, or `Refused` for a request without a host.

        The host is the one that the client has asked, whose form the head's reader has checked. 308
        keeps method and body (RFC 9110 §15.4.9).
        """
        if not head.host or head.target[:1] != b"/":
            raise Refused(refusals.MALFORMED)
        host = _without_port(head.host.decode("ascii"))
        location = f"https://{host}{self._port}{head.target.decode('latin-1')}"
        raise Answered(301 if head.method in _SAFE else 308, {"Location": location})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host
