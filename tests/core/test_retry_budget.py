"""How many requests may be sent again."""

from gateway.core.http.retry_budget import RetryBudget


def test_retries_are_a_part_of_the_requests() -> None:
    """20 % of what came in this window, and two a second in any case."""
    budget = RetryBudget(percent=20, per_second=2.0)
    assert [budget.take(0, 100.0) for _ in range(21)] == [True] * 20 + [False]
    assert [budget.take(100, 101.0) for _ in range(21)] == [True] * 20 + [False]
    assert (budget.retries, budget.refused) == (40, 2)


def test_a_new_window_begins() -> None:
    """After ten seconds; the requests before count no more."""
    budget = RetryBudget(percent=50, per_second=0.1)
    assert [budget.take(0, 100.0) for _ in range(2)] == [True, False]
    assert [budget.take(1000, 111.0) for _ in range(2)] == [True, False]
