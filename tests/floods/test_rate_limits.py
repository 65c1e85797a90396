"""wire-rules.md#D15: a flood from many addresses, against a limit by address."""

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import resident_bytes
from tests.support.raw import Client, Upstream, ask, request, status

PROXY = "127.0.0.9"  # a trusted one
ADDRESSES = 6_000
PIECE = 500  # requests that are sent together

# Garbage, and what a first flood has left of room. A text for each address would take as much.
MAX_GROWTH_BYTES = 4 * 2**20


def memory(running: Gateway) -> int:
    """Resident bytes of the one worker."""
    [worker] = running.workers()
    return resident_bytes(worker)


def asked_from(running: Gateway, address: str) -> int:
    return status(ask(running.port, request("GET /", f"X-Forwarded-For: {address}"), PROXY))


def test_a_flood_of_addresses_resets_no_limit(start: Start, upstream: Upstream) -> None:
    """Who was refused stays so, who is new is served, and memory stays as it is."""
    running = start(
        upstreams={"shop": upstream.url},
        routes=[{"path": "/*", "upstream": "shop", "limits": "3/h"}],
        trusted_proxies=PROXY,
        access_log="off",
    )
    refused = "198.51.100.7"
    assert [asked_from(running, refused) for _ in range(4)] == [401, 401, 401, 429]
    flood(running, 0)
    before = memory(running)
    flood(running, ADDRESSES)
    assert memory(running) - before < MAX_GROWTH_BYTES
    assert asked_from(running, refused) == 429
    assert asked_from(running, "198.51.100.8") == 401


def flood(running: Gateway, first: int) -> None:
    """A request from each of so many IPv6 homes."""
    with Client(running.port, PROXY) as client:
        for piece in range(first, first + ADDRESSES, PIECE):
            lines = [
                f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2001:db8:{number:x}::1\r\n\r\n"
                for number in range(piece, piece + PIECE)
            ]
            client.send("".join(lines).encode())
            for _ in range(PIECE):
                assert client.answer()[0] == 401
