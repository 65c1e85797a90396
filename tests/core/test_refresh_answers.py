"""Answers to refresh calls: the backend's reply, with other secrets in the tokens' places."""

import json

import pytest

from gateway.core.logins import refresh_answers, refresh_tokens, reply_tokens
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import parse_token_place
from tests.support.replies import token

TOKEN = token("alice")
SECRET = "r3fresh-s3cret"
AUTO = parse_token_place("auto")


def filled(reply: Reply) -> Reply:
    """The answer of a reply, kept and handed out."""
    found = reply_tokens.find(reply, AUTO)
    refresh = refresh_tokens.find(reply, AUTO)
    made = refresh_answers.make(reply, found, refresh, "mark")
    dumped = refresh_answers.dump(made)
    assert TOKEN.encode() not in dumped
    assert SECRET.encode() not in dumped
    return refresh_answers.load(dumped).filled("KEY", "REFRESH")


def test_a_body() -> None:
    """Its other members stay as they are."""
    body = {"access_token": TOKEN, "refresh_token": SECRET, "user": {"name": "Zoë"}, "n": 1}
    reply = Reply(201, (("Content-Type", "application/json"),), json.dumps(body).encode())
    expected = {**body, "access_token": "KEY", "refresh_token": "REFRESH"}
    assert filled(reply).status == 201
    assert json.loads(filled(reply).body) == expected


@pytest.mark.parametrize("name", ["refresh_token", "refresh_token_cookie", "rt"])
@pytest.mark.parametrize("secret", [SECRET, token("a refresh token")])
def test_cookies_keep_their_attributes(name: str, secret: str) -> None:
    """Whatever they are called, and whether the refresh token is a JWT or not."""
    reply = Reply(
        200,
        (
            ("Set-Cookie", f"access_token_cookie={TOKEN}; Path=/; HttpOnly"),
            ("Set-Cookie", f"{name}={secret}; Path=/token/refresh; HttpOnly"),
            ("Set-Cookie", "csrf_access_token=1; Path=/"),
        ),
        b"{}",
    )
    found = reply_tokens.find(reply, parse_token_place("cookie:access_token_cookie"))
    refresh = refresh_tokens.find(reply, AUTO)
    made = refresh_answers.make(reply, found, refresh, "mark")
    assert made.filled("KEY", "REFRESH").fields == (
        ("Set-Cookie", "access_token_cookie=KEY; Path=/; HttpOnly"),
        ("Set-Cookie", f"{name}=REFRESH; Path=/token/refresh; HttpOnly"),
        ("Set-Cookie", "csrf_access_token=1; Path=/"),
    )


def test_a_reply_without_a_refresh_token_gets_none() -> None:
    reply = Reply(200, (), json.dumps({"access": TOKEN}).encode())
    assert json.loads(filled(reply).body) == {"access": "KEY"}
