"""Requests that wait for a place (`gateway.relay.upstream.queues`)."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.http import refusals
from gateway.relay.upstream.queues import Queues


@dataclass(eq=False)
class Waiter:
    """A request of a client."""

    network: str
    tried: frozenset[Any] = frozenset()
    outage: Any = None
    queued: bool = False


@dataclass(eq=False)
class Server:
    """A server of which these clients have their share."""

    sated: set[str] = field(default_factory=set)
    takes_waiting: bool = True
    load: Any = field(default_factory=lambda: SimpleNamespace(busy=1))

    @property
    def shares(self) -> Any:
        return SimpleNamespace(allows=lambda client, _busy: client not in self.sated)


def queues(*waiters: Waiter) -> Any:
    """Queues in which these wait, each for longer than the one before."""
    found = Queues(timeout=1, share=50, late=refusals.BUSY)
    for until, waiter in enumerate(waiters):
        found.add(waiter, float(until))  # type: ignore[arg-type]
    return found


def test_clients_take_turns() -> None:
    """A client that sends many requests has one turn, as the others have."""
    first, second, third = Waiter("a"), Waiter("a"), Waiter("b")
    waiting, server = queues(first, second, third), Server()
    assert [waiting.take(server) for _ in range(4)] == [first, third, second, None]
    assert not first.queued
    assert not waiting.by_client


def test_a_client_that_has_its_share_is_passed_over() -> None:
    waiting = queues(Waiter("a"), other := Waiter("b"))
    assert waiting.take(Server(sated={"a"})) is other
    assert waiting.take(Server(sated={"a"})) is None


def test_a_server_is_not_tried_twice() -> None:
    server = Server()
    waiting = queues(Waiter("a", tried=frozenset({server})), other := Waiter("a"))
    assert waiting.take(server) is other


def test_a_waiter_that_leaves() -> None:
    waiting = queues(waiter := Waiter("a"))
    assert waiter.queued
    waiting.remove(waiter)
    assert (waiter.queued, dict(waiting.by_client)) == (False, {})


def test_the_waiters_whose_time_is_over() -> None:
    waiting = queues(first := Waiter("a"), second := Waiter("b"), Waiter("a"))
    assert waiting.late(1.5) == [first, second]


def test_the_first_one_in_an_outage_dials_again() -> None:
    assert queues(Waiter("a"), waiter := Waiter("b", outage="down")).in_outage() is waiter
    assert queues(Waiter("a")).in_outage() is None


@pytest.mark.parametrize(("client", "has_room"), [("a", False), ("b", True)])
def test_no_client_takes_all_the_room(client: str, *, has_room: bool) -> None:
    """A client may hold as many places as are free, and one more."""
    waiting = queues(Waiter("a"), Waiter("a"))
    assert waiting.have_room(Waiter(client), places=3) == has_room
