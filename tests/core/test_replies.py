"""replies: what is read in a backend's reply, and which of its fields stay."""

import pytest

from gateway.core.logins.carriers import LOGIN_STATE_MARK
from gateway.core.logins.replies import MAX_SMALL, Reply, field_and_cookie


@pytest.mark.parametrize(
    ("status", "refuses"), [(200, False), (204, False), (302, False), (304, True), (401, True)]
)
def test_which_statuses_refuse(status: int, refuses: bool) -> None:
    """A redirect is an answer of forms, and 304 is none."""
    assert Reply(status, (), b"").is_refusal is refuses


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é".encode(), "text/plain", "é"),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("\ufeffé".encode("utf-16"), "application/json", "\ufeffé"),
        (b"\xff\xfe\x00", "application/json", "\xff\xfe\x00"),
    ],
)
def test_a_text_turns_back_into_its_bytes(body: bytes, content_type: str, text: str) -> None:
    """By its charset, by its first bytes, or as latin-1, which takes any bytes."""
    found, encoding = Reply(200, (("Content-Type", content_type),), body).text()
    assert found.encode(encoding) == body
    assert found.lstrip("\ufeff") == text.lstrip("\ufeff")


def test_no_cache_stores_a_key() -> None:
    """Whatever the backend says of caches."""
    fields = (
        ("Cache-Control", "public"),
        ("Expires", "0"),
        ("X-A", "b"),
        ("CDN-Cache-Control", "x"),
    )
    assert Reply(200, fields, b"").unstored().fields == (
        ("X-A", "b"),
        ("Cache-Control", "no-store"),
    )


def test_cookies_that_only_the_gateway_sets() -> None:
    """wire-rules.md#E7: they go, but for the one that holds the key."""
    lines = [
        ("Set-Cookie", "latchkey=of-the-backend"),
        ("Set-Cookie", "latchkey=lk_key; Path=/"),
        ("Set-Cookie", f"other={LOGIN_STATE_MARK}x"),
        ("Set-Cookie", "theme=dark"),
        ("X-Latchkey", "latchkey=no cookie"),
    ]
    kept = Reply(200, tuple(lines), b"").without_cookies({"latchkey"}, "lk_key")
    assert kept.fields == (lines[1], lines[3], lines[4])


def test_the_last_of_two_members_counts() -> None:
    """As parsers take it; each string still is one."""
    reply = Reply(200, (), b'{"a": "one", "a": "two"}')
    assert [string.value for string in reply.members()] == ["two"]
    assert [string.value for string in reply.strings()] == ["a", "one", "a", "two"]


def test_names_of_a_line() -> None:
    """A field's name, and that of the cookie that it sets."""
    assert field_and_cookie(("Set-Cookie", "a = b; Path=/")) == ("set-cookie", "a")
    assert field_and_cookie(("X-Token", "a=b")) == ("x-token", "")


def test_large_replies() -> None:
    """Their fields count as well."""
    assert not Reply(200, (), b"x" * MAX_SMALL).is_large
    assert Reply(200, (("X-A", "y"),), b"x" * MAX_SMALL).is_large
