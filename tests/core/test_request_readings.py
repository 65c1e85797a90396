"""request_readings: a request in all ways in which a backend may read it."""

import base64
import gzip
import zlib
from collections.abc import Sequence

import brotli
import pytest

from gateway.core.logins.request_readings import (
    MAX_MEMBERS,
    MAX_STEPS,
    MAX_UNPACKED,
    UnreadableRequest,
    readings,
)

SECRET = "eyJ-a-secret-text_0123"


def read(
    body: bytes = b"", fields: Sequence[tuple[str, str]] = (), target: str = "/login"
) -> list[str]:
    return list(readings(target, fields, body))


def holds(text: str, found: list[str]) -> bool:
    return any(text in reading for reading in found)


def test_the_request_itself_comes_first() -> None:
    """Its target with its fields, and its body."""
    found = read(b"user=alice", [("X-A", "b")], "/login?to=%2F")
    assert found[:2] == ["/login?to=%2F\n\nX-A: b", "user=alice"]


@pytest.mark.parametrize(
    "body",
    [
        SECRET.replace("-", "%2D").encode(),
        SECRET.replace("-", "%252D").encode(),
        SECRET.replace("-", "\\u002d").encode(),
        SECRET.replace("-", "&#45;").encode(),
        base64.b64encode(SECRET.encode()),
        base64.b64encode(base64.urlsafe_b64encode(SECRET.encode())),
        SECRET.encode("utf-16"),
        b"=?utf-8?q?" + SECRET.replace("-", "=2D").encode() + b"?=",
    ],
)
def test_encodings(body: bytes) -> None:
    """Each of them, and one within another."""
    assert holds(SECRET, read(body))


def test_steps_are_bounded() -> None:
    """A backend takes few of them; more are not read."""
    body = SECRET.encode()
    for _ in range(MAX_STEPS):
        body = base64.b64encode(body)
    assert holds(SECRET, read(body))
    assert not holds(SECRET, read(base64.b64encode(body)))


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(SECRET.encode())),
        ("gzip", gzip.compress(b"x") + gzip.compress(SECRET.encode())),
        ("deflate", zlib.compress(SECRET.encode())),
        ("br", brotli.compress(SECRET.encode())),
        ("gzip, br", brotli.compress(gzip.compress(SECRET.encode()))),
    ],
)
def test_packed_bodies(coding: str, packed: bytes) -> None:
    """They are unpacked, the last coding first (RFC 9110 §8.4)."""
    assert holds(SECRET, read(packed, [("Content-Encoding", coding)]))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not packed at all"),
        ("zstd", b"unknown"),
        ("gzip", gzip.compress(bytes(MAX_UNPACKED + 1))),
        ("br", brotli.compress(bytes(MAX_UNPACKED + 1))),
        ("gzip", gzip.compress(b"x") * (MAX_MEMBERS + 1)),
    ],
)
def test_bodies_that_cannot_be_unpacked(coding: str, body: bytes) -> None:
    """It is not known what they hold: they are large, or packed in another way."""
    with pytest.raises(UnreadableRequest):
        read(body, [("Content-Encoding", coding)])


def test_unknown_charsets() -> None:
    """Of bytes that are no UTF-8, nothing is known."""
    fields = [("Content-Type", "text/plain; charset=x-unknown")]
    assert holds("plain", read(b"plain", fields))
    with pytest.raises(UnreadableRequest):
        read(b"\xff\xfe\xfd", fields)
