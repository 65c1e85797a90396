"""Refresh tokens: how they are found, kept and sent."""

import json

import pytest

from gateway.core.logins import refresh_tokens
from gateway.core.logins.refresh_tokens import BadSending, RefreshToken, Sending, parse_sending
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import parse_token_place
from gateway.core.secret import Secret

SECRET = "r3fresh-s3cret"


def reply(body: object = None, *fields: tuple[str, str]) -> Reply:
    return Reply(200, fields, b"" if body is None else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("answer", "place", "way", "name"),
    [
        (reply({"access": "a", "refresh": SECRET}), "auto", "json", "refresh"),
        (reply({"access": "a", "refresh_token": SECRET}), "auto", "json", "refresh_token"),
        (reply({"data": {"refreshToken": SECRET}}), "auto", "json", "refreshToken"),
        (reply({"refresh": {"token": SECRET, "expires": "soon"}}), "auto", "json", "refresh_token"),
        (reply({"data": {"long": SECRET}}), "/data/long", "json", "refresh_token"),
        (reply({}, ("Set-Cookie", f"rt={SECRET}; Path=/; HttpOnly")), "auto", "cookie", "rt"),
        (reply({}, ("Set-Cookie", f"refresh={SECRET}")), "auto", "cookie", "refresh"),
        (reply({}, ("Set-Cookie", f"x={SECRET}; Path=/")), "cookie:x", "cookie", "x"),
        (reply({}, ("X-Refresh-Token", SECRET)), "auto", "header", "X-Refresh-Token"),
        (reply({}, ("X-Long", f"Bearer {SECRET}")), "header:X-Long", "header", "X-Long"),
    ],
)
def test_found(answer: Reply, place: str, way: str, name: str) -> None:
    """By its name, or where config.yaml says; and remembered as it came."""
    found = refresh_tokens.find(answer, parse_token_place(place))
    assert found == RefreshToken(Secret(SECRET), Sending(way, name))  # type: ignore[arg-type]
    assert refresh_tokens.load(refresh_tokens.dump(found)) == found
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "answer",
    [
        reply({"access": "a"}),
        reply({"refresh_expires_in": "300", "refresh": ""}),
        reply({"refresh": ["This field is required."]}),
        reply({}, ("Refresh", "5; url=/")),
        reply({}, ("Set-Cookie", "rt=; Max-Age=0")),
        Reply(200, (), b"no json"),
    ],
)
def test_none_there(answer: Reply) -> None:
    assert refresh_tokens.find(answer, parse_token_place("auto")) is None


@pytest.mark.parametrize(
    ("came", "send", "more", "fields", "body"),
    [
        ("json:refresh", "auto", {}, {"Content-Type": "application/json"}, {"refresh": SECRET}),
        ("cookie:rt", "auto", {}, {"Cookie": f"rt={SECRET}"}, None),
        ("header:X-R", "auto", {}, {"X-R": SECRET}, None),
        ("json:refresh", "header:Authorization", {}, {"Authorization": f"Bearer {SECRET}"}, None),
        ("cookie:rt", "json:token", {}, {"Content-Type": "application/json"}, {"token": SECRET}),
        (
            "cookie:rt",
            "auto",
            {"client": "web"},
            {"Cookie": f"rt={SECRET}", "Content-Type": "application/json"},
            {"client": "web"},
        ),
    ],
)
def test_sent(
    came: str,
    send: str,
    more: dict[str, str],
    fields: dict[str, str],
    body: dict[str, str] | None,
) -> None:
    """As it came, or as config.yaml says."""
    sending = parse_sending(came)
    assert sending is not None
    token = RefreshToken(Secret(SECRET), sending)
    sent, content = refresh_tokens.request(token, parse_sending(send), more)
    assert dict(sent) == fields
    assert (json.loads(content) if content else None) == body


def test_sent_as_a_form() -> None:
    """RFC 6749 §6, with what else a token endpoint asks for."""
    token = RefreshToken(Secret("a b&c"), Sending("json", "refresh"))
    fields, body = refresh_tokens.request(
        token, parse_sending("form:refresh_token"), {"grant_type": "refresh_token"}
    )
    assert fields == [("Content-Type", "application/x-www-form-urlencoded")]
    assert body == b"grant_type=refresh_token&refresh_token=a+b%26c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "json",
        "json:",
        "query:x",
        ":x",
        "JSON:x",
        "json:/refresh",
        "json: refresh",
        "form:refresh ",
        "cookie:a b",
        "cookie:rt;",
        "header:X Refresh",
        "header:Cookie",
        "header:host",
        "header:Content-Length",
    ],
)
def test_no_way_to_send(text: str) -> None:
    """What would be accepted and then send something else, or nothing, is refused."""
    with pytest.raises(BadSending, match="write auto"):
        parse_sending(text)
