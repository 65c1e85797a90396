"""Load shedding: when it begins, how much is refused, and when it ends."""

from gateway.core.http.shedding import Shedding

TARGET = 0.2


def refused(shedding: Shedding, count: int = 1000) -> int:
    return sum(shedding.refuses() for _ in range(count))


def test_one_long_delay_refuses_nothing() -> None:
    """A pause of the collector is no overload."""
    shedding = Shedding(TARGET)
    for delay in (0.0, 0.0, 5.0, 0.0, 0.0, 5.0):
        shedding.measured(delay)
    assert refused(shedding) == 0


def test_a_delay_that_stays_refuses_more_and_more() -> None:
    """Evenly, and never all."""
    shedding = Shedding(TARGET)
    parts = []
    for _ in range(40):
        shedding.measured(2 * TARGET)
        parts.append(refused(shedding))
    assert parts[:4] == [0] * 4
    assert parts[4] == 100
    assert parts == sorted(parts)
    assert parts[-1] == 900


def test_it_ends_when_the_delay_is_short_again() -> None:
    shedding = Shedding(TARGET)
    for _ in range(40):
        shedding.measured(2 * TARGET)
    for _ in range(40):
        shedding.measured(0.0)
    assert refused(shedding) == 0
    assert shedding.percent == 0
