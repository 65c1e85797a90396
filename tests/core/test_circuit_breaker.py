"""When an upstream is left alone."""

import pytest

from gateway.core.http.circuit_breaker import CircuitBreaker


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(percent=50, of=4, open_for=5.0)


def ask(breaker: CircuitBreaker, now: float, outcomes: str) -> str:
    """Send a request for each outcome, `+` or `-`; a refused one is `.` in what is returned."""
    found = ""
    for outcome in outcomes:
        if not breaker.allows(now):
            found += "."
            continue
        request = object()
        if outcome == "-":
            breaker.failed(request)
        breaker.ended(request, now)
        found += outcome
    return found


def test_it_opens_when_so_many_fail(breaker: CircuitBreaker) -> None:
    """A half of the last four; three alone are too few to judge by."""
    assert ask(breaker, 100.0, "--") == "--"
    assert ask(breaker, 100.0, "++-+") == "++.."
    assert (breaker.openings, breaker.refused) == (1, 2)


def test_it_stays_closed_while_fewer_fail(breaker: CircuitBreaker) -> None:
    assert "." not in ask(breaker, 100.0, "+++-" * 50)


def test_one_request_tries_whether_it_may_close(breaker: CircuitBreaker) -> None:
    """After its time one may go on: an answer closes it, and a failure keeps it open as long."""
    ask(breaker, 100.0, "----")
    assert ask(breaker, 104.9, "+") == "."
    assert ask(breaker, 105.0, "-+") == "-."
    assert ask(breaker, 110.0, "+++") == "+++"


def test_a_trial_that_never_ends(breaker: CircuitBreaker) -> None:
    """Others are refused meanwhile, and after the same time the next one tries."""
    ask(breaker, 100.0, "----")
    assert breaker.allows(105.0)
    assert not breaker.allows(109.9)
    assert breaker.allows(110.0)


def test_a_trial_whose_client_goes(breaker: CircuitBreaker) -> None:
    """It tells nothing: the breaker stays open, and the next one tries after the same time."""
    ask(breaker, 100.0, "----")
    assert breaker.allows(105.0)
    assert not breaker.ended(object(), 106.0, is_answered=False)
    assert not breaker.allows(109.9)
    assert breaker.allows(110.0)


def test_requests_from_before_it_opened_say_nothing(breaker: CircuitBreaker) -> None:
    """The answer to a long request does not close it, and a failure keeps it open no longer."""
    breaker.failed("fails late")
    ask(breaker, 100.0, "----")
    breaker.ended("answered late", 101.0)
    breaker.ended("fails late", 104.0)
    assert ask(breaker, 104.9, "+") == "."
    assert ask(breaker, 105.0, "++") == "++"


def test_clients_that_go_hide_no_failure(breaker: CircuitBreaker) -> None:
    """Requests without an answer are none of the last ones."""
    for _ in range(2):
        ask(breaker, 100.0, "-")
        breaker.ended(object(), 100.0, is_answered=False)
    assert ask(breaker, 100.0, "--+") == "--."


def test_several_failures_of_one_request_count_once(breaker: CircuitBreaker) -> None:
    """A 503 whose body breaks off; other requests that end meanwhile have their own outcome."""
    breaker.failed("first")
    breaker.failed("first")
    for request in ("second", "first", "third", "fourth"):
        assert not breaker.ended(request, 100.0)
    assert breaker.allows(100.0)


def test_it_is_calm_while_no_answer_would_change_it(breaker: CircuitBreaker) -> None:
    """It has to see four good answers, again after a failure, and never while it is open."""
    found = ""
    for outcome in "++++-++++----":
        ask(breaker, 100.0, outcome)
        found += "c" if breaker.is_calm else "."
    assert found == "...c....c...."
    assert ask(breaker, 105.0, "+") == "+"
    assert not breaker.is_calm


def test_a_failure_ends_the_calm_before_its_request_ends(breaker: CircuitBreaker) -> None:
    """Of several requests at once, the others do not hide it."""
    ask(breaker, 100.0, "++++")
    breaker.failed("first")
    breaker.failed("second")
    assert not breaker.is_calm
    breaker.ended("first", 100.0)
    assert breaker.ended("second", 100.0)
