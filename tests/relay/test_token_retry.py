"""Another token for a request whose token was refused (`gateway.relay.exchange.token_retry`)."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.tokens.claims import MINTED
from gateway.relay.exchange import token_retry
from gateway.relay.http1.request_head import RequestHead

NEVER = 2.0**40


class Store:
    """What a request asks, and what it ends."""

    def __init__(self, *, ends: bool = False, captures: bool = False, renews: bool = False) -> None:
        self.asked: list[bool] = []  # whether the token may be renewed
        self.ended: list[str] = []
        self.context: Any = SimpleNamespace(
            settings=SimpleNamespace(
                captures=captures, renew_on_401=renews, end_on_401=ends, skew=0.0
            ),
            decide_again=self._decide_again,
            ender=SimpleNamespace(end=lambda session_ids, _event: self.ended.extend(session_ids)),
        )

    async def _decide_again(self, *_: object, renew: bool) -> None:
        self.asked.append(renew)
        await asyncio.get_running_loop().create_future()

    def seek(
        self,
        *,
        refresh: str = "refresh",
        renew_at: float = NEVER,
        body: int = 0,
        is_first: bool = True,
        endpoint: bool = False,
    ) -> bool:
        """Whether a token is sought for a request of alice's."""
        session = SimpleNamespace(id="alice's", refresh=refresh, renew_at=renew_at)
        forward: Any = SimpleNamespace(
            resolved=SimpleNamespace(session=session), route=SimpleNamespace(is_endpoint=endpoint)
        )
        head, peer = RequestHead(b"GET", b"/", b"1"), SimpleNamespace()
        head.length = body
        asked = token_retry.seek(self.context, forward, head, peer, b"", is_first=is_first)  # type: ignore[arg-type]
        if asked is not None:
            asked.then(lambda _: None, lambda _: None)
            asked.cancel()
        return asked is not None


@pytest.mark.parametrize(
    ("request_", "sought"),
    [
        ({}, True),
        ({"is_first": False}, False),
        ({"body": 1}, False),
        ({"refresh": ""}, False),
        ({"endpoint": True}, False),
    ],
    ids=["usual", "sought before", "with a body", "no refresh token", "an endpoint"],
)
async def test_a_token_is_sought_once_and_for_repeatable_requests(
    request_: dict[str, Any], *, sought: bool
) -> None:
    """A body has gone upstream, and an endpoint's 401 speaks of the key."""
    assert Store().seek(**request_) == sought


async def test_a_reply_may_have_brought_another_token() -> None:
    """Where replies are captured, a session without a refresh token may have got one."""
    assert Store(captures=True).seek(refresh="")


async def test_a_fresh_token_is_not_renewed() -> None:
    """A backend that logs its user out by revoking the token would have that undone."""
    store = Store()
    assert store.seek()
    assert store.seek(renew_at=time.time() - 1)
    assert store.seek(refresh=MINTED)
    assert store.asked == [False, True, True]
    willing = Store(renews=True)
    assert willing.seek()
    assert willing.asked == [True]


async def test_a_session_ends_with_its_token_where_config_says_so() -> None:
    for store, ended in ((Store(ends=True), ["alice's"]), (Store(), [])):
        assert not store.seek(refresh="")
        assert store.ended == ended
