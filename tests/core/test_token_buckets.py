"""Token buckets: rates, bursts, and a flood of keys."""

import pytest

from gateway.core.http.rates import parse_rate
from gateway.core.http.token_buckets import BYTES, TokenBuckets

NOW = 1000.0


def buckets(rate: str, burst: int) -> TokenBuckets:
    return TokenBuckets(
        memoryview(bytearray(BYTES)), interval=parse_rate(rate).interval, burst=burst
    )


def passed(limit: TokenBuckets, key: str, now: float, count: int) -> int:
    """How many of so many requests at one time get a token."""
    return sum(limit.take(key, now) > 0 for _ in range(count))


def test_a_burst_then_the_rate() -> None:
    """A full bucket gives its burst at once, and then a token an interval."""
    limit = buckets("10/s", 5)
    assert passed(limit, "a", NOW, 50) == 5
    assert sum(passed(limit, "a", NOW + tick / 100, 3) for tick in range(1, 1001)) == 100


def test_keys_have_buckets_of_their_own() -> None:
    limit = buckets("1/s", 2)
    assert [passed(limit, key, NOW, 5) for key in ("a", "b", "")] == [2, 2, 2]


def test_a_refusal_says_how_long_to_wait() -> None:
    """After that time there is a token, and shortly before there is none."""
    limit = buckets("6/m", 2)
    assert passed(limit, "a", NOW, 2) == 2
    wait = -limit.take("a", NOW + 1)
    assert wait == pytest.approx(9, abs=1e-3)
    assert limit.take("a", NOW + 1 + wait - 0.01) < 0
    assert limit.take("a", NOW + 1 + wait + 0.01) > 0


def test_what_is_left_is_told() -> None:
    limit = buckets("60/m", 10)
    left = [limit.take("a", NOW) for _ in range(10)]
    assert [limit.tokens(wait) for wait in left] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert left[-1] == pytest.approx(10)


def test_a_token_that_is_given_back_was_never_taken() -> None:
    limit = buckets("1/h", 2)
    for _ in range(5):
        limit.take("a", NOW)
        limit.give_back("a")
    limit.give_back("unknown")
    assert passed(limit, "a", NOW, 5) == 2


def test_a_drained_bucket_has_no_token_before_its_time() -> None:
    limit = buckets("10/s", 5)
    limit.take("a", NOW)
    limit.drain("a", NOW + 30)
    assert -limit.take("a", NOW + 1) == pytest.approx(29)
    assert limit.take("a", NOW + 30.01) > 0


def test_a_flood_of_keys_resets_no_limit() -> None:
    """Memory is bounded, and the buckets of the flood give way: a drained one stays, and new keys
    find room.
    """
    limit = buckets("1/h", 20)
    drained = [f"drained {number}" for number in range(50)]
    for key in drained:
        assert passed(limit, key, NOW, 30) == 20
    for number in range(200_000):
        assert limit.take(f"flood {number}", NOW + number / 1e5) > 0
    assert sum(passed(limit, key, NOW + 3, 1) for key in drained) == 0
    assert passed(limit, "new", NOW + 3, 30) == 20
