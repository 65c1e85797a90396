"""Which of several servers gets the next request."""

from gateway.core.http.balancing import (
    FIRST_EJECTION_SECONDS,
    MAX_EJECTION_SECONDS,
    ServerLoad,
    pick,
)


def test_equals_take_turns() -> None:
    """Among servers with as much to do, each gets its turn."""
    servers = [ServerLoad(), ServerLoad(), ServerLoad()]
    assert [pick(servers, turn, 0.0) for turn in range(4)] == [0, 1, 2, 0]


def test_the_least_busy_one_is_chosen() -> None:
    """A server with less to do comes before one whose turn it is."""
    servers = [ServerLoad(busy=3), ServerLoad(busy=1), ServerLoad(busy=2)]
    assert {pick(servers, turn, 0.0) for turn in range(3)} == {1}


def test_a_recent_error_counts_as_a_request() -> None:
    """A server that is idle because it fails at once is not preferred."""
    servers = [ServerLoad(busy=2), ServerLoad(errors=2.5)]
    assert {pick(servers, turn, 0.0) for turn in range(2)} == {0}


def test_errors_are_forgotten() -> None:
    """An error weighs less each time, and nothing in the end."""
    server = ServerLoad(errors=8.0)
    server.forget()
    assert 0 < server.errors < 8
    for _ in range(50):
        server.forget()
    assert server.errors == 0


def test_an_ejected_server_is_passed_over() -> None:
    """However much the others have to do; when its time has passed it is like any other."""
    servers = [ServerLoad(), ServerLoad(busy=9)]
    servers[0].eject(100.0)
    assert pick(servers, 0, 100.0) == 1
    assert pick(servers, 0, 100.0 + FIRST_EJECTION_SECONDS) == 0


def test_a_request_that_may_not_probe() -> None:
    """It goes to a server that has not failed, until the longest ejection more has passed."""
    servers = [ServerLoad(), ServerLoad(busy=9)]
    servers[0].eject(100.0)
    lapsed = 100.0 + FIRST_EJECTION_SECONDS
    assert pick(servers, 0, lapsed, probes=False) == 1
    assert pick(servers, 0, lapsed + MAX_EJECTION_SECONDS, probes=False) == 0
    servers[1].eject(lapsed)
    assert pick(servers, 0, lapsed, probes=False) == 0


def test_all_ejected() -> None:
    """When no server is left, all are: one of them may be back."""
    servers = [ServerLoad(), ServerLoad()]
    for server in servers:
        server.eject(100.0)
    assert [pick(servers, turn, 100.0) for turn in range(2)] == [0, 1]


def test_ejections_back_off() -> None:
    """Each one is twice as long, up to a limit; failures during one do not prolong it."""
    server, now, lengths = ServerLoad(), 100.0, []
    for _ in range(12):
        server.eject(now)
        until = server.ejected_until
        server.eject(now + 0.1)
        assert server.ejected_until == until
        lengths.append(until - now)
        now = until
    assert lengths[:3] == [FIRST_EJECTION_SECONDS * factor for factor in (1, 2, 4)]
    assert lengths[-1] == MAX_EJECTION_SECONDS
    server.reinstate()
    server.eject(now)
    assert server.ejected_until - now == FIRST_EJECTION_SECONDS
