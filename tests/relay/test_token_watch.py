"""JWTs in replies (`gateway.relay.access.token_watch`): noticed, or held back."""

import gzip
import itertools
import logging
import re
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.access.token_watch import Inspection, TokenFound, TokenWatch, TokenWatches
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead

TOKEN = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
JSON = b"Content-Type: application/json\r\n"


def answer(*lines: bytes) -> ResponseHead:
    head = ResponseHead(b"1", 200, b" OK")
    head.passed = list(lines)
    return head


def asked(method: bytes = b"GET") -> RequestHead:
    head = RequestHead(method, b"/api/x", b"1")
    head.path = b"/api/x"
    return head


def watch(told: list[str]) -> TokenWatch:
    return TokenWatch("/api/*", told.append)


def guard() -> Inspection:
    told: list[str] = []
    found = TokenWatch("/safe/*", told.append, refuses=True).inspection(asked(), answer(JSON))
    assert found is not None
    return found


def delivered(text: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """What of a body, cut into pieces, leaves a guard; and whether it finds a token."""
    inspection, left = guard(), b""
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    try:
        for start, end in itertools.pairwise(edges):
            left += b"".join(inspection.passed([text[start:end]]) or [])
        left += b"".join(inspection.ended())
    except TokenFound:
        return left, True
    return left, False


CUTS = st.lists(st.integers(min_value=0, max_value=2**20), max_size=6)


@given(st.sampled_from([10, 65_000, 66_000, 150_000]), CUTS)
def test_no_part_of_a_token_leaves_a_guard(before: int, cuts: list[int]) -> None:
    """However the body is cut; and what leaves is its beginning."""
    text = b'["%b", "%b", "more"]' % (b"x y" * (before // 3), TOKEN)
    left, found = delivered(text, cuts)
    assert found
    assert text.startswith(left)
    assert len(left) <= text.index(TOKEN)


@given(st.sets(st.sampled_from(list(b"eyJhbGciO.-_1")), min_size=1), CUTS)
def test_an_escaped_token_leaves_no_guard(escaped: set[int], cuts: list[int]) -> None:
    """RFC 8259 §7: JSON may write each character as `\\uXXXX`, as some encoders write `-`."""
    token = b"".join(b"\\u%04x" % c if c in escaped else bytes([c]) for c in TOKEN)
    text = b'["%b", "%b", "more"]' % (b"x y" * 22_000, token)
    left, found = delivered(text, cuts)
    assert found
    assert len(left) <= text.index(token)


def test_a_long_word_takes_no_time() -> None:
    """A stored image in base64 is read in linear time: 1 MiB in pieces takes milliseconds."""
    word = b"x" * 16_000 + b'"'
    began = time.process_time()
    assert delivered(word * 64, [len(word) * number for number in range(64)])[1] is False
    assert time.process_time() - began < 5


@given(
    st.binary(max_size=60).map(lambda some: re.sub(rb"[^a-z._-]", b"y", some)),
    st.integers(min_value=1, max_value=4000),
    CUTS,
)
def test_all_else_leaves_a_guard(some: bytes, times: int, cuts: list[int]) -> None:
    """Unchanged, also a long text that looks a bit like a token."""
    text = b'{"a": "' + some * times + b'"}'
    assert delivered(text, cuts) == (text, False)


def test_a_get_is_looked_at_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Twenty a minute, and other methods more often; after the first token, none."""
    told: list[str] = []
    watching, watches = watch(told), TokenWatches()
    watches.add(watching)
    watches.sweep(50.0)
    for _ in range(20):
        assert watching.looks_at_get
        inspection = watching.inspection(asked(), answer(JSON))
        assert inspection is not None
        assert inspection.passed([b"{}"]) == [b"{}"]
        assert inspection.ended() == []
    assert (watching.looks_at_get, watching.looks_at_others) == (False, True)
    watches.sweep(109.0)
    assert not watching.looks_at_get
    watches.sweep(110.0)
    assert watching.looks_at_get
    inspection = watching.inspection(asked(b"POST"), answer(JSON))
    assert inspection is not None
    inspection.passed([b'{"token": "', TOKEN[:9]])
    inspection.passed([TOKEN[9:], b'"}'])
    with caplog.at_level(logging.WARNING):
        inspection.ended()
    assert (told, watching.looks_at_get, watching.looks_at_others) == (["/api/*"], False, False)
    assert "the reply to POST /api/x gave a JWT" in caplog.text
    assert TOKEN.decode() not in caplog.text
    watches.sweep(1000.0)
    assert not watching.looks_at_get


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)],
)
def test_a_packed_reply_is_looked_into(coding: str, pack: Callable[[bytes], bytes]) -> None:
    """Frameworks pack what browsers take packed; a reply in no such coding says nothing."""
    for body, expected in ((pack(b'{"token": "%b"}' % TOKEN), ["/api/*"]), (b"no such coding", [])):
        told: list[str] = []
        head = answer(JSON, f"Content-Encoding: {coding}\r\n".encode())
        inspection = watch(told).inspection(asked(), head)
        assert inspection is not None
        assert inspection.passed([body]) == [body]
        assert inspection.ended() == []
        assert told == expected


def test_pages_end_the_looking_as_well() -> None:
    """A route that has no JSON costs nothing after a while."""
    watching, page = watch([]), answer(b"Content-Type: text/html\r\n")
    for _ in range(201):
        assert watching.inspection(asked(), page) is None
    assert not watching.looks_at_get


@pytest.mark.parametrize(
    ("kind", "is_looked_at"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"application/x-ndjson", False),
        (b"text/event-stream", False),
        (b"text/html", False),
        (b"application/octet-stream", False),
    ],
)
def test_only_json_is_looked_at(kind: bytes, *, is_looked_at: bool) -> None:
    """And no sequence of texts, which may never end."""
    found = watch([]).inspection(asked(), answer(b"content-type: " + kind + b"\r\n"))
    assert (found is not None) is is_looked_at
