"""Moments in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.timestamps import BadTimestamp, parse_timestamp, rfc3339

NOON = 1769860800  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T13:00:00 01:00",  # a plus sign of a query
        "2026-01-31T07:00:00-05:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00Z",
        "1769860800",
        "1769860800.0",
    ],
)
def test_the_same_moment(text: str) -> None:
    """RFC 3339 with any offset, or UNIX seconds."""
    assert parse_timestamp(text) == NOON


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "-1",
        "1e9",
        "nan",
        "inf",
        "１７６９８６０８００",
        "1769860800Z",
        "9" * 400,
    ],
)
def test_no_moment(text: str) -> None:
    """Nothing is guessed: a time without an offset has no known zone."""
    with pytest.raises(BadTimestamp):
        parse_timestamp(text)


@given(st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(at: int) -> None:
    assert parse_timestamp(rfc3339(at)) == at
