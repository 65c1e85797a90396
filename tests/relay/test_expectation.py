"""Clients that wait to be asked for their body (`gateway.relay.exchange.expectation`)."""

import asyncio

from gateway.relay.exchange.expectation import Expectation

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Client:
    """A client's connection, as far as an expectation needs it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def test_a_client_is_asked_for_its_body_once() -> None:
    client = Client()
    expectation = Expectation(client)  # type: ignore[arg-type]
    expectation.meet()
    expectation.meet()
    assert client.written == CONTINUE


async def test_a_client_is_asked_after_a_while() -> None:
    """An upstream that says nothing may know nothing of expectations (RFC 9110 §10.1.1)."""
    client = Client()
    Expectation(client).meet_after(0.01, asyncio.get_running_loop())  # type: ignore[arg-type]
    while not client.written:
        await asyncio.sleep(0.01)
    assert client.written == CONTINUE


async def test_a_client_that_has_its_answer_is_not_asked() -> None:
    client = Client()
    expectation = Expectation(client)  # type: ignore[arg-type]
    expectation.meet_after(0.01, asyncio.get_running_loop())
    expectation.cancel()
    await asyncio.sleep(0.05)
    expectation.meet()
    assert client.written == b""
