"""Which of several servers gets the next request."""

from collections import Counter

from gateway.core.http.balancing import (
    FIRST_EJECTION_SECONDS,
    MAX_EJECTION_SECONDS,
    EjectionRules,
    ServerLoad,
    Turns,
    pick,
    preferred,
    take_turn,
)


def picks(
    servers: list[ServerLoad], count: int, *, now: float = 0.0, by_turns: bool = False
) -> str:
    """The indexes of the servers that get so many requests, which end at once."""
    found, turn = "", 0.0
    for _ in range(count):
        index = pick(servers, turn, now, by_turns=by_turns)
        turn = take_turn(servers[index], turn, now)
        found += str(index)
    return found


def test_equals_take_turns() -> None:
    """Among servers with as much to do, each gets its turn."""
    assert picks([ServerLoad(), ServerLoad(), ServerLoad()], 4) == "0120"


def test_turns_are_weighted_and_smooth() -> None:
    """A server of three times the weight gets three of four, and not one after the other."""
    turns = picks([ServerLoad(weight=3), ServerLoad()], 40)
    assert turns.count("0") == 30
    assert "0000" not in turns
    assert "11" not in turns


def test_round_robin_does_not_look_at_the_load() -> None:
    assert picks([ServerLoad(busy=9), ServerLoad()], 4, by_turns=True) == "0101"


def test_a_server_that_was_away_catches_up_on_nothing() -> None:
    """Back again, it does not get all requests at once."""
    servers = [ServerLoad(), ServerLoad(is_unhealthy=True)]
    turn = 0.0
    for _ in range(50):
        turn = take_turn(servers[pick(servers, turn, 0.0)], turn, 0.0)
    servers[1].is_unhealthy = False
    back = [pick(servers, turn, 0.0)]
    turn = take_turn(servers[back[0]], turn, 0.0)
    assert {back[0], pick(servers, turn, 0.0)} == {0, 1}


def test_the_least_busy_one_is_chosen() -> None:
    """A server with less to do for its weight comes before one whose turn it is."""
    assert set(picks([ServerLoad(busy=3), ServerLoad(busy=1), ServerLoad(busy=2)], 3)) == {"1"}
    assert set(picks([ServerLoad(busy=3, weight=4), ServerLoad(busy=1)], 3)) == {"0"}


def test_a_recent_error_counts_as_a_request() -> None:
    """A server that is idle because it fails at once is not preferred."""
    assert picks([ServerLoad(busy=2), ServerLoad(errors=2.5)], 2) == "00"


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


def test_an_unhealthy_server_is_passed_over() -> None:
    """Until its checks say otherwise, also by requests that may probe."""
    servers = [ServerLoad(is_unhealthy=True), ServerLoad(busy=9)]
    assert set(picks(servers, 3, now=1e9)) == {"1"}


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
    assert picks(servers, 2, now=100.0) == "01"


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
    server.reinstate(now)
    server.eject(now)
    assert server.ejected_until - now == FIRST_EJECTION_SECONDS


def test_many_servers_take_the_turns_of_few() -> None:
    """The heap chooses as `pick` does, weights included."""
    loads = [ServerLoad(weight=1 + number % 3) for number in range(30)]
    turns, turn = Turns(loads), 0.0
    served: Counter[int] = Counter()
    for _ in range(600):
        index = turns.pick(turn, 0.0)
        assert index is not None
        turn = take_turn(loads[index], turn, 0.0)
        served[index] += 1
    assert [served[number] for number in (0, 1, 2)] == [10, 20, 30]


def test_a_server_that_is_out_misses_its_turn() -> None:
    """It is looked at once in a round; if too many are out, all have to be looked at."""
    loads = [ServerLoad(is_unhealthy=number == 3) for number in range(10)]
    turns, turn = Turns(loads), 0.0
    order = []
    for _ in range(18):
        index = turns.pick(turn, 0.0)
        assert index is not None
        turn = take_turn(loads[index], turn, 0.0)
        order.append(index)
    assert order == 2 * [0, 1, 2, 4, 5, 6, 7, 8, 9]
    for load in loads:
        load.is_unhealthy = True
    assert turns.pick(turn, 0.0) is None


def test_a_part_of_the_servers_may_be_ejected() -> None:
    rules = EjectionRules(max_percent=50)
    servers = [ServerLoad() for _ in range(4)]
    for server in servers[:2]:
        assert rules.allows_one_more(servers)
        server.eject(1.0, rules)
    assert not rules.allows_one_more(servers)


def test_a_slow_start() -> None:
    """A server that is back gets a tenth of its part, and more and more of it."""
    parts = []
    for now in (100.0, 105.0, 110.0):
        servers = [ServerLoad(), ServerLoad(slow_start=10.0)]
        servers[1].reinstate(100.0)
        parts.append(picks(servers, 110, now=now).count("1"))
    assert parts == [10, 37, 55]


def test_a_key_prefers_one_server_and_the_others_in_an_order_of_its_own() -> None:
    """Weights are the servers' parts of the keys. A server that goes moves its own keys alone."""
    labels = [(b"a", 1), (b"b", 1), (b"c", 2)]
    keys = [b"key %d" % number for number in range(2000)]
    first = {key: labels[preferred(key, labels)[0]][0] for key in keys}
    parts = Counter(first.values())
    assert 400 < parts[b"a"] < 600
    assert 900 < parts[b"c"] < 1100
    left = [labels[0], labels[2]]
    for key in keys:
        now = left[preferred(key, left)[0]][0]
        assert now == first[key] or first[key] == b"b"


def test_an_unhealthy_server_comes_last() -> None:
    """If all are out: of one that is ejected, a single request may have been the reason."""
    servers = [
        ServerLoad(is_unhealthy=True, ejected_until=9.0),
        ServerLoad(is_unhealthy=True),
        ServerLoad(ejected_until=9.0, busy=5),
    ]
    assert set(picks(servers, 3)) == {"2"}
    assert set(picks(servers, 3, by_turns=True)) == {"2"}
