"""How many requests may be sent again."""

from gateway.core.http.retry_budget import RetryBudget


def test_retries_are_a_part_of_the_requests() -> None:
    """20 % of what came in this window, and two a second in any case."""
    budget = RetryBudget(percent=20, per_second=2.0)
    assert [budget.take(0, 100.0) for _ in range(21)] == [True] * 20 + [False]
    assert [budget.take(100, 101.0) for _ in range(21)] == [True] * 20 + [False]
    assert (budget.retries, budget.refused) == (40, 2)


def test_the_requests_before_the_first_failure_count() -> None:
    """Those of the last ten seconds: of a window before, the part that is not too old."""
    budget = RetryBudget(percent=50, per_second=0.0)
    for requests, now in ((0, 100.0), (0, 105.0), (40, 110.0), (40, 112.0)):
        budget.sweep(requests, now)
    assert [budget.take(40, 115.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.take(40, 120.0)


def test_retries_of_the_last_ten_seconds_count() -> None:
    """A new window gives no second budget at once."""
    budget = RetryBudget(percent=50, per_second=1.0)
    assert [budget.take(0, 109.0) for _ in range(11)] == [True] * 10 + [False]
    assert [budget.take(0, 119.0) for _ in range(1)] == [False]
    assert [budget.take(0, 124.0) for _ in range(6)] == [True] * 5 + [False]
    assert [budget.take(0, 150.0) for _ in range(11)] == [True] * 10 + [False]


def test_servers_that_are_gone_take_no_budget_with_them() -> None:
    """Their requests count no more: then there are fewer than before."""
    budget = RetryBudget(percent=50, per_second=0.1)
    budget.sweep(1000, 100.0)
    assert budget.take(0, 101.0)
