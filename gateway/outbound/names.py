"""Looks up the addresses of a name: as the system does, or at one DNS server."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import aiohttp.abc

from gateway.core.http.addresses import TcpAddress

# Looks a name up. Raises `OSError` if it has no address now.
LookUp = Callable[[str], Awaitable[tuple[str, ...]]]

# `getaddrinfo` blocks, for 30 s if no name server answers (resolv.conf(5)). So look-ups have
# threads of their own: they delay neither the event loop nor connections that are opened by name.
_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="names")

# For all answers of a DNS server to one look-up, in seconds; as in resolv.conf(5).
_DNS_SECONDS = 5.0


def look_up_with(server: TcpAddress | None) -> LookUp:
    """Look names up at this DNS server; None: as the system does."""
    return by_system if server is None else functools.partial(_by_dns_server, server)


async def by_system(name: str) -> tuple[str, ...]:
    """The addresses by nsswitch.conf: of /etc/hosts, of DNS and the like."""
    loop = asyncio.get_running_loop()
    find = functools.partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
    try:
        found = await loop.run_in_executor(_threads, find)
    except UnicodeError:  # a label that is too long
        raise socket.gaierror(socket.EAI_NONAME, "it is no name") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def _by_dns_server(server: TcpAddress, name: str) -> tuple[str, ...]:
    """The A and AAAA records. If one kind cannot be had, the other one counts."""
    # Imported here: a worker whose names the system resolves does not carry it.
    import dns.asyncresolver
    import dns.exception

    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.host], server.port
    resolver.lifetime = _DNS_SECONDS
    answers = await asyncio.gather(
        *(resolver.resolve(name, kind) for kind in ("A", "AAAA")), return_exceptions=True
    )
    addresses: list[str] = []
    failure: BaseException | None = None
    for answer in answers:
        if isinstance(answer, dns.exception.DNSException):
            failure = failure or answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            addresses += [record.to_text() for record in answer]
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, str(failure).partition("\n")[0])
    return tuple(dict.fromkeys(addresses))


class OneResolver(aiohttp.abc.AbstractResolver):
    """Resolves names for aiohttp, at one DNS server."""

    def __init__(self, server: TcpAddress) -> None:
        self._look_up = look_up_with(server)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """All addresses, whatever the `family`."""
        return [
            aiohttp.abc.ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._look_up(host)
        ]

    async def close(self) -> None: ...
