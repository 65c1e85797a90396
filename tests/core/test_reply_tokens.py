"""reply_tokens: which token is found in a reply, and where."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.logins import reply_tokens
from gateway.core.logins.reply_tokens import InBody, InField, NoToken
from gateway.core.logins.token_places import parse_token_place
from gateway.core.tokens.claims import BadToken
from tests.support.replies import ACCESS, JSON, OTHER, REFRESH, reply


@pytest.mark.parametrize(
    "body",
    [
        {"token": ACCESS},
        {"access": ACCESS, "refresh": REFRESH},
        {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer"},
        {"accessToken": ACCESS, "refreshToken": REFRESH},
        {"refresh": REFRESH, "access": ACCESS},
        {"refresh": {"token": REFRESH}, "access": {"token": ACCESS}},
        {"tokens": {"refresh": {"token": REFRESH}, "access": {"token": ACCESS}}},
        {"id_token": OTHER, "access_token": ACCESS},
        {"something": OTHER, "jwt": ACCESS},
        {"key": ACCESS, "user": {"name": "alice"}},
        {"data": {"login": {"token": ACCESS, "refreshToken": REFRESH}}},
        {"rt": REFRESH, "apiToken": ACCESS},
        {"my_refresh_token": REFRESH, "auth": ACCESS},
        {"authorization": f"Bearer {ACCESS}"},
        {"message": f"you are welcome: {OTHER}", "bearer_token": ACCESS},
        {"reset_token": OTHER, "idToken": ACCESS, "mfa": {"enabled": True}},
        [{"token": ACCESS}],
        ACCESS,
    ],
)
def test_auto_finds_the_token_that_is_to_be_sent_back(body: Any) -> None:
    """By name, the likeliest first, at any depth; and never the refresh token."""
    assert reply_tokens.find(reply(body), parse_token_place("auto")) == InBody(ACCESS)


@pytest.mark.parametrize(
    ("fields", "index"),
    [
        ([("Authorization", f"Bearer {ACCESS}")], 0),
        ([("X-Refresh-Token", REFRESH), ("X-Auth-Token", ACCESS)], 1),
        ([("X-Other", OTHER), ("X-Access-Token", ACCESS)], 1),
        ([("Set-Cookie", f"refresh_token={REFRESH}"), ("Set-Cookie", f"jwt={ACCESS}; Path=/")], 1),
        ([("Set-Cookie", f"csrf={OTHER}"), ("Set-Cookie", f"access_token={ACCESS}")], 1),
        ([("Set-Cookie", f"jwt={OTHER}"), ("Authorization", f"Bearer {ACCESS}")], 1),
        ([("Set-Cookie", f"jwt=Bearer%20{ACCESS}; HttpOnly")], 0),
        ([("Set-Cookie", f"__Host-jwt={ACCESS}; Path=/; Secure")], 0),
        ([("Set-Cookie", f"access_token_cookie={ACCESS}; HttpOnly")], 0),
        ([("Location", f"/app#access_token={OTHER}"), ("X-Token", ACCESS)], 1),
        ([("Authorization", f"Bearer {ACCESS}, refresh_token={REFRESH}")], 0),
    ],
)
def test_auto_looks_at_fields_and_then_at_cookies(
    fields: list[tuple[str, str]], index: int
) -> None:
    """Without a token in the body, the fields are next, and the cookies last."""
    given = reply({"ok": True}, JSON, *fields)
    assert reply_tokens.find(given, parse_token_place("auto")) == InField(ACCESS, index + 1)


def test_auto_takes_the_body_first() -> None:
    """A frontend that reads the body is the likelier one."""
    given = reply({"token": ACCESS}, JSON, ("Set-Cookie", f"jwt={OTHER}"))
    assert reply_tokens.find(given, parse_token_place("auto")) == InBody(ACCESS)


@pytest.mark.parametrize(
    "body",
    [
        {"unusual": ACCESS},
        {"user": {"name": ACCESS}},
        {"data": {"message": ACCESS, "next": f"/x?token={ACCESS}"}},
        {"mfa_token": ACCESS},
        {"mfaToken": {"token": ACCESS}},
        {"challenge": {"access_token": ACCESS}},
        {"data": {"verifyEmail": {"token": ACCESS}}},
        {"password_reset": {"token": ACCESS}},
        {"otp": [{"jwt": ACCESS}]},
        {"temp": {"token": ACCESS}},
        {"temporary_token": ACCESS},
        {"pre_auth": {"token": ACCESS}},
        {"2fa": {"token": ACCESS}},
        {"magicLink": {"token": ACCESS}},
        {"invite": {"token": ACCESS}},
        {"csrf": {"token": ACCESS}},
        {"step": {"token": ACCESS}},
        {"errors": {"token": ACCESS}},
        {"access_token_expires": ACCESS},
        {ACCESS: "token"},
        [ACCESS, "token"],
    ],
)
def test_auto_takes_no_other_member(body: Any) -> None:
    """Neither one of an unknown name, nor one on whose way a name says that it is another kind."""
    with pytest.raises(NoToken):
        reply_tokens.find(reply(body), parse_token_place("auto"))


@pytest.mark.parametrize("body", [{"token": ACCESS}, ACCESS, ACCESS.encode()])
def test_auto_takes_nothing_from_the_body_of_a_redirect(body: Any) -> None:
    """Browsers follow a redirect unread; a cookie or a field of a known name counts."""
    with pytest.raises(NoToken):
        reply_tokens.find(reply(body, status=302), parse_token_place("auto"))
    given = reply(body, JSON, ("Set-Cookie", f"token={OTHER}"), status=302)
    assert reply_tokens.find(given, parse_token_place("auto")) == InField(OTHER, 1)


@pytest.mark.parametrize("place", ["/unusual", "header:X-Unusual", "cookie:unusual", "/mfa_token"])
def test_a_place_that_is_named_may_be_anything(place: str) -> None:
    """Who names it knows what stands there."""
    given = reply(
        {"unusual": ACCESS, "mfa_token": ACCESS, "mfa_required": True},
        JSON,
        ("X-Unusual", ACCESS),
        ("Set-Cookie", f"unusual={ACCESS}"),
    )
    assert reply_tokens.find(given, parse_token_place(place)).token == ACCESS


@pytest.mark.parametrize(
    "body",
    [
        {"token": "opaque"},
        {"refresh": REFRESH},
        {"ok": True},
        {"message": f"your token is {ACCESS}"},
        {"token": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn"},
        b"",
        b"<html>hello</html>",
        f"<script>token='{ACCESS}'</script>".encode(),
        b"\xff\xfe\x00",
    ],
)
def test_a_reply_that_hands_nothing_out_has_no_token(body: Any) -> None:
    """Opaque values, refresh tokens, sentences and pages are no login's token."""
    with pytest.raises(NoToken):
        reply_tokens.find(reply(body), parse_token_place("auto"))


@pytest.mark.parametrize("place", ["/nothing", "/data", "/data/token/x", "/list/7", "/", "/text"])
def test_a_pointer_to_nothing_finds_nothing(place: str) -> None:
    """Nothing is taken by chance from elsewhere."""
    body = {"token": ACCESS, "data": {"token": 5}, "list": [], "text": "no token"}
    with pytest.raises(NoToken):
        reply_tokens.find(reply(body), parse_token_place(place))
    with pytest.raises(NoToken):
        reply_tokens.find(reply(b"<html>"), parse_token_place(place))


def test_a_field_or_a_cookie_says_where() -> None:
    """`header:` goes by the field's name in any case, `cookie:` by the cookie's exact name."""
    given = reply(
        {"token": OTHER}, JSON, ("x-token", f"Bearer {ACCESS}"), ("Set-Cookie", f"jwt={REFRESH}")
    )
    assert reply_tokens.find(given, parse_token_place("header:X-Token")) == InField(ACCESS, 1)
    assert reply_tokens.find(given, parse_token_place("cookie:jwt")) == InField(REFRESH, 2)
    for place in ("header:Set", "cookie:JWT", "cookie:x-token"):
        with pytest.raises(NoToken):
            reply_tokens.find(given, parse_token_place(place))


@pytest.mark.parametrize(
    ("place", "body", "lines"),
    [
        ("auto", {"tokens": [ACCESS, OTHER]}, []),
        ("auto", {"a": {"token": ACCESS}, "b": {"token": OTHER}}, []),
        ("auto", {"a": {"access_token": ACCESS}, "b": {"accessToken": OTHER}}, []),
        ("auto", f'{{"token": "{OTHER}", "token": "{ACCESS}"}}'.encode(), []),
        ("auto", {}, [("X-Token", ACCESS), ("x-token", OTHER)]),
        ("auto", {}, [("Set-Cookie", f"jwt={ACCESS}"), ("Set-Cookie", f"jwt={OTHER}; Path=/a")]),
        ("/token", f'{{"token": "{OTHER}", "token": "{ACCESS}"}}'.encode(), []),
        ("header:X-Token", {}, [("X-Token", ACCESS), ("x-token", f"Bearer {OTHER}")]),
        ("header:X-Token", {}, [("X-Token", f"{ACCESS}, {OTHER}")]),
        ("cookie:jwt", {}, [("Set-Cookie", f"jwt={ACCESS}"), ("Set-Cookie", f"jwt={OTHER}")]),
    ],
)
def test_two_tokens_of_which_either_could_be_meant(
    place: str, body: Any, lines: list[tuple[str, str]]
) -> None:
    """They may be two users', so the reply is refused; the same one twice is one."""
    given = reply(body, JSON, *lines)
    with pytest.raises(BadToken, match="two_tokens"):
        reply_tokens.find(given, parse_token_place(place))
    same = replace(
        given,
        fields=tuple((name, value.replace(OTHER, ACCESS)) for name, value in given.fields),
        body=given.body.replace(OTHER.encode(), ACCESS.encode()),
    )
    assert reply_tokens.find(same, parse_token_place(place)).token == ACCESS


def test_a_reply_tells_nothing_when_it_is_shown() -> None:
    """A reply in a traceback or a log shows neither token nor cookie."""
    given = reply({"token": ACCESS}, JSON, ("Set-Cookie", f"jwt={ACCESS}"))
    found = reply_tokens.find(given, parse_token_place("auto"))
    assert "eyJ" not in repr(given) + repr(found) + repr(InField(ACCESS, 1))
