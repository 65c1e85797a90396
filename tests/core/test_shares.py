"""Shares of what is limited, without anything that is shared."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.shares import Shares


class Places:
    """Places that are taken and given back as a pool does it."""

    def __init__(self, places: int, percent: int = 50, always: int = 0) -> None:
        self.held: list[str] = []
        self.shares = Shares(places, percent, lambda: self.held, always=always)

    def take(self, client: str) -> bool:
        if not self.shares.allows(client, len(self.held)):
            return False
        self.held.append(client)
        if self.shares.counts:
            self.shares.take(client)
        return True

    def give_back(self, client: str) -> None:
        self.held.remove(client)
        if self.shares.counts:
            self.shares.give_back(client, len(self.held))

    def flood(self, client: str) -> int:
        """Takes all that there is for a client, and says how many it holds then."""
        while self.take(client):
            pass
        return self.held.count(client)


def test_one_client_gets_half_of_the_places() -> None:
    """And the next client finds some."""
    places = Places(256)
    assert places.flood("a") == 129
    assert places.take("b")


def test_several_greedy_clients_leave_some() -> None:
    """Each gets a half of what those before it have left, and there is a place for another one."""
    places = Places(256)
    assert [places.flood(f"greedy {number}") for number in range(6)] == [129, 64, 32, 16, 8, 4]
    assert places.take("somebody")


def test_a_client_gets_more_when_others_leave() -> None:
    """A share is of what there is now."""
    places = Places(256)
    places.flood("a")
    assert not places.take("a")
    for _ in range(64):
        assert places.take("b")
    for _ in range(64):
        places.give_back("b")
    places.give_back("a")
    assert places.take("a")


def test_clients_that_take_one_each_get_all_the_places() -> None:
    """A share keeps no place free without another client."""
    places = Places(256)
    assert all(places.take(f"client {number}") for number in range(256))
    assert not places.take("one more")


@pytest.mark.parametrize(("percent", "most"), [(1, 3), (25, 65), (75, 193), (100, 256)])
def test_the_share_is_configurable(percent: int, most: int) -> None:
    """100 percent is no limit."""
    assert Places(256, percent).flood("a") == most


@pytest.mark.parametrize(("count", "most"), [(1, 1), (2, 2), (3, 2), (4, 3), (8, 5)])
def test_few_places(count: int, most: int) -> None:
    """Of one or two, a share cannot be less than all."""
    assert Places(count).flood("a") == most


def test_what_a_client_may_always_have() -> None:
    """However few are free."""
    assert Places(100, always=64).flood("a") == 64
    assert Places(10, always=64).flood("a") == 10


def test_clients_that_cannot_be_told_apart_have_no_share() -> None:
    """All clients of a proxy that names none are not one client."""
    assert Places(256).flood("") == 256


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200))
def test_counting_late_is_counting_right(steps: list[tuple[str, bool]]) -> None:
    """Whenever it counts, it knows what each client holds."""
    places = Places(12)
    for client, takes in steps:
        if takes:
            places.take(client)
        elif client in places.held:
            places.give_back(client)
        if places.shares.counts:
            assert places.shares._held == Counter(places.held)


def test_nothing_is_counted_while_enough_is_free() -> None:
    """Then who holds the places is not even asked."""

    def holders() -> Iterator[str]:
        raise AssertionError

    shares = Shares(256, 50, holders)
    assert all(shares.allows("a", taken) for taken in range(128))
