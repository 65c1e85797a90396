"""Answers that are held back (`gateway.relay.exchange.held_answer`)."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

from gateway.relay.exchange.held_answer import HeldAnswer
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead


class Way:
    """A request of alice's whose answer has come, and what becomes of the two."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.found: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.ending: list[Any] = []
        session = SimpleNamespace(id="alice's", refresh="refresh", renew_at=0.0, claims={})
        forward: Any = SimpleNamespace(
            resolved=SimpleNamespace(session=session),
            route=SimpleNamespace(is_endpoint=False, in_process=False),
        )
        context = SimpleNamespace(
            settings=SimpleNamespace(captures=False, renew_on_401=False, end_on_401=False, skew=0),
            decide_again=self._decide_again,
            cookies=SimpleNamespace(is_of_backend=lambda _name: True, forget=lambda *_: None),
            ender=SimpleNamespace(log_out=lambda *args: self.ending.append(args)),
            log=logging.getLogger("gateway.relay"),
        )
        client = SimpleNamespace(address="192.0.2.1")
        self.exchange: Any = SimpleNamespace(
            head=RequestHead(b"GET", b"/", b"1"),
            context=context,
            client=SimpleNamespace(peer=SimpleNamespace(client=lambda _head: client)),
            forward=forward,
            own_id=b"7" * 32,
            request_id=b"7" * 32,
            logs_out=False,
            has_sought_token=False,
            is_over=False,
            suspended=None,
            send_again=lambda _forward: self.calls.append("sent again"),
            fail=lambda _refusal: self.calls.append("failed"),
        )
        upstream: Any = SimpleNamespace(release_answer=lambda: self.calls.append("released"))
        self.held = HeldAnswer(self.exchange, forward, upstream)

    async def _decide_again(self, *_: object, renew: bool) -> str | None:
        return await self.found

    async def has_found(self, token: str | None) -> list[str]:
        """What is called when the token has been sought."""
        self.found.set_result(token)
        await asyncio.sleep(0)
        return self.calls


def response(status: int, *cookies: bytes) -> ResponseHead:
    head = ResponseHead(b"1", status, b"")
    head.set_cookies = tuple(b"Set-Cookie: " + cookie + b"\r\n" for cookie in cookies)
    return head


async def test_a_request_is_sent_again_with_another_token() -> None:
    way = Way()
    assert way.held.has_to_wait(response(401))
    assert await way.has_found("another") == ["sent again"]


async def test_without_another_token_the_answer_goes_on() -> None:
    """And a second 401 does not wait: a token is sought once a request."""
    way = Way()
    assert way.held.has_to_wait(response(401))
    assert await way.has_found(None) == ["released"]
    assert not way.held.has_to_wait(response(401))


async def test_a_token_that_comes_too_late() -> None:
    """The exchange has ended meanwhile."""
    way = Way()
    assert way.held.has_to_wait(response(401))
    way.exchange.is_over = True
    assert await way.has_found("another") == []


async def test_an_answer_that_deletes_a_keys_cookie_waits_for_the_end_of_sessions() -> None:
    """wire-rules.md#E4: then it deletes the cookie in all its forms."""
    way = Way()
    way.exchange.head.key_cookies = ((b"key", b"lk_1"),)
    assert way.held.has_to_wait(response(200, b"key=; Max-Age=0"))
    ((_, event, done, _),) = way.ending
    assert (event.kind, event.reason, way.calls) == ("logout", "cookie", [])
    done()
    assert way.calls == ["released"]
    assert way.exchange.logs_out


async def test_other_answers_do_not_wait() -> None:
    way = Way()
    way.exchange.head.key_cookies = ((b"key", b"lk_1"),)
    assert not way.held.has_to_wait(response(200, b"other=1"))
    assert not way.held.has_to_wait(response(500))
