"""Double submits of backends: their values, and the present one in place of the browser's."""

import pytest

from gateway.core.logins import double_submit, refresh_tokens
from gateway.core.logins.refresh_tokens import RefreshToken, Sending
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import parse_token_place
from gateway.core.secret import Secret

OLD, NEW = b"0a1b2c3d", b"4e5f6a7b"


def setting(*cookies: str) -> Reply:
    return Reply(200, tuple(("Set-Cookie", f"{cookie}; Path=/") for cookie in cookies), b"")


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        (("csrf_access_token=1", "csrf_refresh_token=2"), "1"),
        (("XSRF-TOKEN=abc",), "abc"),
        (("sid=1", 'csrf="1"'), "1"),
        (("csrf=",), ""),
        (("csrf=1", "xsrf=2"), ""),  # either could be meant
        (("csrf=1", "xsrf=1"), "1"),
        (("csrf=a b",), ""),
        (("sid=1",), ""),
    ],
)
def test_the_value_for_a_token(cookies: tuple[str, ...], value: str) -> None:
    assert double_submit.value_for_token(setting(*cookies)) == value


def test_a_refresh_token_is_sent_with_its_own() -> None:
    """As a cookie, and in the field; it stays with the token that the session keeps."""
    reply = setting("csrf_refresh_token=2", "csrf_access_token=1", "refresh_token_cookie=SECRET")
    found = refresh_tokens.find(reply, parse_token_place("auto"))
    sending = Sending("cookie", "refresh_token_cookie")
    assert found == RefreshToken(Secret("SECRET"), sending, csrf="csrf_refresh_token=2")
    assert refresh_tokens.load(refresh_tokens.dump(found)) == found
    assert refresh_tokens.request(found, None, {}) == (
        [
            ("Cookie", "refresh_token_cookie=SECRET; csrf_refresh_token=2"),
            ("X-CSRF-TOKEN", "2"),
        ],
        b"",
    )


def test_what_a_session_keeps() -> None:
    """The browser's value, and the present one if that is another."""
    assert double_submit.values("") is None
    assert double_submit.values("1") is None
    kept = double_submit.renewed("1", "2")
    assert double_submit.values(kept) == (b"1", b"2")
    kept = double_submit.renewed(kept, "3")
    assert double_submit.values(kept) == (b"1", b"3")
    assert double_submit.renewed(kept, "") == kept
    assert double_submit.renewed("", "2") == ""
    assert double_submit.renewed("1", "1") == "1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"X-CSRF-TOKEN: OLD\r\n", b"X-CSRF-TOKEN: NEW\r\n"),
        (b"x-xsrf-token:OLD\r\n", b"x-xsrf-token: NEW\r\n"),
        (
            b"Cookie: a=1; csrf_access_token=OLD; b=2\r\n",
            b"Cookie: a=1; csrf_access_token=NEW; b=2\r\n",
        ),
        (b"Cookie: XSRF-TOKEN=OLD\r\n", b"Cookie: XSRF-TOKEN=NEW\r\n"),
        # Anything else is not what the browser was given.
        (b"X-CSRF-TOKEN: OLD2\r\n", b"X-CSRF-TOKEN: OLD2\r\n"),
        (b"X-Other: OLD\r\n", b"X-Other: OLD\r\n"),
        (b"Cookie: a=OLD\r\n", b"Cookie: a=OLD\r\n"),
        (b"Cookie: csrf=xOLD\r\n", b"Cookie: csrf=xOLD\r\n"),
        (b"Referer: https://a.example/?csrf=OLD\r\n", b"Referer: https://a.example/?csrf=OLD\r\n"),
    ],
)
def test_lines(line: bytes, expected: bytes) -> None:
    line, expected = line.replace(b"OLD", OLD), expected.replace(b"OLD", OLD)
    expected = expected.replace(b"NEW", NEW)
    assert double_submit.with_present([b"A: b\r\n", line], OLD, NEW) == [b"A: b\r\n", expected]
