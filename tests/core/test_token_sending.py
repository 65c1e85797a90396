"""gateway/core/logins/token_sending.py: how a session's token is sent upstream."""

import pytest

from gateway.core.logins import reply_tokens, token_sending
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import InBody, InField
from gateway.core.logins.token_sending import (
    BEARER,
    BadTokenSending,
    InCookie,
    InQuery,
    TokenSending,
    as_it_came,
    kept,
    parse_token_sending,
    put,
    put_as_it_came,
)
from tests.conftest import token_of

SENDINGS: list[tuple[str, TokenSending]] = [
    ("bearer", BEARER),
    ("scheme:Token", token_sending.InField("Authorization", "Token")),
    ("header:Authorization", token_sending.InField("Authorization")),
    ("header:x-access-token", token_sending.InField("x-access-token")),
    ("header:X-Auth Bearer", token_sending.InField("X-Auth", "Bearer")),
    ("cookie:access_token_cookie", InCookie("access_token_cookie")),
    ('cookie:jwt="Bearer {}"', InCookie("jwt", '"Bearer ', '"')),
    ("query:access_token", InQuery("access_token")),
]


@pytest.mark.parametrize(("text", "sending"), SENDINGS)
def test_each_way_has_one_spelling(text: str, sending: TokenSending) -> None:
    """It is read from its text, and is written as that text again."""
    assert parse_token_sending(text) == sending
    assert str(sending) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "Bearer", "none", "token", "cookie", "cookie:", "cookie:a b", "query:a&b", "query:"),
        *("header:", "header:Host", "header:Cookie", "header:X-Forwarded-For", "scheme:", "auto "),
        *("scheme:a b", "header:X\r\nY", "cookie:a=;{}", "cookie:a=\t{}"),
    ],
)
def test_other_texts_name_no_way(text: str) -> None:
    """Among them fields that mean something else."""
    with pytest.raises(BadTokenSending):
        parse_token_sending(text)


@pytest.mark.parametrize(("text", "sending"), SENDINGS)
def test_a_session_keeps_how_its_token_came(text: str, sending: TokenSending) -> None:
    """A bearer token is what most sessions have, so nothing is kept of it."""
    assert kept(sending) == ("" if sending == BEARER else text)
    assert as_it_came(kept(sending)) == (None if sending == BEARER else sending)


def test_what_a_later_version_keeps_is_sent_as_a_bearer_token() -> None:
    """It may know further ways."""
    assert as_it_came("body:token") is None


COOKIES = [b"Cookie: a=1; jwt=mine; b=2\r\n", b"X-A: 1\r\n", b"cookie: %6awt=x; c=3\r\n"]


@pytest.mark.parametrize(
    ("text", "target", "lines", "token_line"),
    [
        ("bearer", b"/x?a=1", COOKIES, b"Authorization: Bearer T\r\n"),
        ("scheme:JWT", b"/x?a=1", COOKIES, b"Authorization: JWT T\r\n"),
        ("header:Authorization", b"/x?a=1", COOKIES, b"Authorization: T\r\n"),
        ("header:X_A", b"/x?a=1", [COOKIES[0], COOKIES[2]], b"X_A: T\r\n"),
        ("cookie:jwt", b"/x?a=1", [b"X-A: 1\r\n"], b"Cookie: jwt=T; a=1; b=2; c=3\r\n"),
        (
            "cookie:d",
            b"/x?a=1",
            [b"X-A: 1\r\n"],
            b"Cookie: d=T; a=1; jwt=mine; b=2; %6awt=x; c=3\r\n",
        ),
        ("query:a", b"/x?a=T", COOKIES, b""),
        ("query:b", b"/x?a=1&b=T", COOKIES, b""),
    ],
)
def test_the_token_stands_alone_in_its_place(
    text: str, target: bytes, lines: list[bytes], token_line: bytes
) -> None:
    """Nothing of the client's stays there, in no spelling, and all else stays as it came."""
    sending = parse_token_sending(text)
    assert sending != "auto"
    assert put(sending, b"T", b"/x?a=1", COOKIES) == (target, lines, token_line)


@pytest.mark.parametrize(
    ("text", "by_cookie", "line"),
    [
        ("cookie:jwt", True, b"Cookie: jwt=T\r\n"),
        ("cookie:jwt", False, b"Authorization: Bearer T\r\nCookie: jwt=T\r\n"),
        ("header:X-T", True, b"Authorization: Bearer T\r\nX-T: T\r\n"),
        ("header:X-T", False, b"Authorization: Bearer T\r\nX-T: T\r\n"),
        ("scheme:JWT", True, b"Authorization: JWT T\r\n"),
        ("scheme:JWT", False, b"Authorization: JWT T\r\n"),
    ],
)
def test_a_token_goes_in_authorization_too_where_it_may_be_read(
    text: str, by_cookie: bool, line: bytes
) -> None:
    """Not beside a cookie alone: its backend might check no CSRF value then."""
    came = as_it_came(text)
    assert came is not None
    assert put_as_it_came(came, b"T", b"/x", [], by_cookie=by_cookie).token_line == line


def test_an_opaque_token_is_escaped_in_a_query() -> None:
    """It may hold any visible character."""
    assert put(InQuery("t"), b"a&b=c/d", b"/x", []).target == b"/x?t=a%26b%3Dc/d"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("Set-Cookie", "jwt=TOKEN; Path=/; HttpOnly"), "cookie:jwt"),
        (("set-cookie", 'jwt="Bearer TOKEN"; Path=/'), 'cookie:jwt="Bearer {}"'),
        (("Set-Cookie", "auth[jwt]=TOKEN"), "cookie:auth[jwt]"),
        (("Set-Cookie", "sid=elsewhere"), "cookie:sid"),
        (("Authorization", "Bearer TOKEN"), ""),
        (("authorization", "TOKEN"), ""),
        (("Authorization", "Token TOKEN"), "scheme:Token"),
        (("X-Auth-Token", "TOKEN"), "header:X-Auth-Token"),
        (("X-Auth-Token", "JWT TOKEN"), "header:X-Auth-Token JWT"),
        (("X-Auth-Token", "TOKEN, TOKEN"), ""),
        (("Content-Location", "TOKEN"), ""),
    ],
)
def test_a_token_goes_as_it_came(line: tuple[str, str], expected: str) -> None:
    """In its cookie or its field, with its scheme; otherwise as a bearer token."""
    token = token_of("alice")
    reply = Reply(200, (("X-A", "1"), (line[0], line[1].replace("TOKEN", token))), b"")
    assert kept(reply_tokens.sending(reply, InField(token, 1))) == expected
    assert kept(reply_tokens.sending(reply, InBody(token))) == ""
