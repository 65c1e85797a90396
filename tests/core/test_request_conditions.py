"""Conditions on fields and queries: what one says of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.request_conditions import Conditions, Holds, Wanted, cover

NAMES = (b"a", b"b")
WANTED: st.SearchStrategy[Wanted] = st.sampled_from([True, False, b"1", b"2"])
PAIRS = st.dictionaries(st.sampled_from(NAMES), WANTED).map(lambda pairs: (*pairs.items(),))
CONDITIONS = st.builds(Conditions, PAIRS, PAIRS)
REQUESTS = [
    ([b"%b: %b\r\n" % pair for pair in zip(NAMES, values, strict=True) if pair[1]], query)
    for values in [(b"", b""), (b"1", b""), (b"2", b"1"), (b"", b"3"), (b"3", b"2")]
    for query in (b"", b"?a=1", b"?b=2&a=3", b"?b=1")
]


def meets(conditions: Conditions, request: tuple[list[bytes], bytes]) -> bool:
    return conditions.read(*request) is Holds.YES


@given(CONDITIONS, CONDITIONS)
def test_what_conditions_imply_and_exclude(one: Conditions, other: Conditions) -> None:
    """For each request."""
    for request in REQUESTS:
        if meets(one, request):
            assert meets(other, request) or not one.imply(other)
            assert not (meets(other, request) and one.excludes(other))


@given(CONDITIONS, st.lists(CONDITIONS, max_size=4))
def test_what_covers(given_: Conditions, others: list[Conditions]) -> None:
    """No request that meets the first meets none of the others."""
    if cover(others, given_):
        for request in REQUESTS:
            if meets(given_, request):
                assert any(meets(other, request) for other in others)


@pytest.mark.parametrize(
    ("others", "covers"),
    [
        ([True, False], True),
        ([True, b"1"], False),
        ([False, b"1"], False),
        ([False, b"1", True], True),
    ],
)
def test_presence_and_absence_are_all(others: list[Wanted], *, covers: bool) -> None:
    for kind in ("headers", "query"):
        ways = [Conditions(**{kind: ((b"a", wanted),)}) for wanted in others]
        assert cover(ways, Conditions()) is covers
