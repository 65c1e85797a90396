"""Refresh keys: sealed, of their own shape, and good for one generation after another."""

import pytest

from gateway.core.sessions import keys, refresh_keys
from gateway.core.sessions.keys import KEY_PATTERN, new_key
from gateway.core.sessions.refresh_keys import RANDOM_BYTES, Opened
from gateway.core.sessions.sealing import Sealer

SEALER = Sealer(["a secret of the tests"])
KEY = new_key(bytes(range(100, 132)))
RANDOM = bytes(range(RANDOM_BYTES))


def test_only_its_gateway_opens_one() -> None:
    """With an older secret as well; and its repr shows nothing."""
    made = refresh_keys.new(KEY, 7, SEALER, RANDOM)
    assert refresh_keys.opened(made.raw, SEALER) == Opened(KEY, 7)
    rotated = Sealer(["a newer secret", "a secret of the tests"])
    assert refresh_keys.opened(made.raw, rotated) == Opened(KEY, 7)
    assert refresh_keys.opened(made.raw, Sealer(["another gateway's"])) is None
    assert repr(made) == "RefreshKey(…)"


def test_it_is_no_key_and_is_found_like_one() -> None:
    """So whatever keeps keys from upstreams and logs keeps refresh keys, too."""
    made = refresh_keys.new(KEY, 0, SEALER, RANDOM).raw
    assert keys.parse_key(made) is None
    assert KEY_PATTERN.search(made)
    assert refresh_keys.opened(KEY.raw, SEALER) is None
    assert refresh_keys.opened(made[:-1], SEALER) is None
    assert refresh_keys.opened(made + b"A", SEALER) is None
    changed = made[:20] + (b"A" if made[20:21] != b"A" else b"B") + made[21:]
    assert refresh_keys.opened(changed, SEALER) is None


def test_it_does_not_hold_the_key_in_the_open() -> None:
    made = refresh_keys.new(KEY, 0, SEALER, RANDOM).raw
    assert KEY.raw[3:23] not in made


@pytest.mark.parametrize(
    ("generation", "now", "is_good"),
    [(2, 100.0, True), (2, 900.0, True), (1, 109.0, True), (1, 110.0, False), (0, 100.0, False)],
)
def test_the_last_but_one_is_good_for_a_grace_period(
    generation: int, now: float, is_good: bool
) -> None:
    answer = refresh_keys.is_good(generation, last=2, replaced_at=100.0, now=now, grace=10.0)
    assert answer is is_good
