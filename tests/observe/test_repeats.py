"""Which refusals have a line of their own in the audit log, and which are summed up."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.events import Event
from gateway.observe.repeats import Repeats

BAD = Event("refused", session_id="s1", address="192.0.2.7", reason="invalid_key", request_id="r1")


def lines(repeats: Repeats, *events: Event, now: float = 0.0) -> list[Event]:
    return [event for event in events if repeats.has_line(event, now)]


def of(address: str, session: str = "", reason: str = "invalid_key") -> Event:
    return Event("refused", session_id=session, address=address, reason=reason)


def test_the_same_over_and_over_is_summed_up() -> None:
    """The first ones have lines, and the window's end tells how often the others happened. It
    says what they have in common, and no request of theirs.
    """
    repeats = Repeats()
    assert len(lines(repeats, *[BAD] * 1000)) == 20
    assert repeats.sums(59.9) == []
    [(event, repeated)] = repeats.sums(60.0)
    assert (event, repeated) == (of("192.0.2.7", "s1"), 980)
    assert repeats.sums(1000.0) == []
    assert len(lines(repeats, *[BAD] * 1000, now=1000.0)) == 20


def test_made_up_keys_of_one_client_are_summed_up() -> None:
    """Each seems to be of another session, and each reason is another one; a /64 is one client."""
    repeats = Repeats()
    events = [of(f"2001:db8::{n:x}", f"s{n}", f"reason {n % 2}") for n in range(1000)]
    assert len(lines(repeats, *events)) == 100
    sums = repeats.sums(60.0)
    assert {(event.reason, repeated) for event, repeated in sums} == {
        ("reason 0", 450),
        ("reason 1", 450),
    }
    assert {event.session_id for event, _ in sums} == {""}


def test_a_flood_hides_nothing_of_others() -> None:
    """Another client has its own lines, and so has another session of the same address."""
    repeats = Repeats()
    lines(repeats, *[BAD] * 1000)
    assert lines(repeats, of("192.0.2.7", "s2"), of("198.51.100.1", "s1"))
    lines(repeats, *[of("192.0.2.7", f"s{n}") for n in range(1000)])
    assert lines(repeats, of("198.51.100.1", "s3"))


def test_what_succeeds_always_has_a_line() -> None:
    """A login, a logout and a revocation change something, and cost a session or a password."""
    repeats = Repeats()
    events = [
        Event(kind, "alice", "s1", "192.0.2.7") for kind in ("login", "logout", "revoke", "renew")
    ]
    assert len(lines(repeats, *events * 500)) == 2000


def test_what_is_remembered_is_bounded() -> None:
    """Of a flood from everywhere, the clients beyond a number are summed up together."""
    repeats = Repeats()
    events = [of(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", f"s{n}") for n in range(50_000)]
    shown = lines(repeats, *events)
    assert len(repeats._lines) <= 10_001
    [(event, repeated)] = repeats.sums(60.0)
    assert (event.address, repeated) == ("", 50_000 - len(shown))


@given(
    st.lists(
        st.builds(
            Event,
            st.sampled_from(["refused", "login_failed", "login"]),
            address=st.sampled_from(["192.0.2.7", "198.51.100.1", "unknown", ""]),
            session_id=st.sampled_from(["", "s1", "s2"]),
            reason=st.sampled_from(["invalid_key", "not_a_key"]),
        ),
        max_size=300,
    )
)
def test_nothing_is_lost(events: list[Event]) -> None:
    """Lines and sums together are what happened, by kind and reason."""
    repeats = Repeats()
    told = Counter((event.kind, event.reason) for event in lines(repeats, *events))
    for event, repeated in repeats.sums(60.0):
        told[event.kind, event.reason] += repeated
    assert told == Counter((event.kind, event.reason) for event in events)
