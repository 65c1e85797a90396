"""What the log says of a reply without a token."""

from typing import Any

import pytest

from gateway.core.logins.token_hints import without_token
from gateway.core.logins.token_places import parse_token_place
from tests.support.replies import ACCESS, JSON, OTHER, reply

OPAQUE = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"


@pytest.mark.parametrize(
    ("body", "place", "said"),
    [
        ({"token": OPAQUE}, "/token", "at /token stands a text of 40 characters that is no JWT"),
        ({"token": OPAQUE}, "/token", "maybe an opaque token"),
        ({"token": "abc"}, "/token", "a text of 3 characters that is no JWT; JWTs: none"),
        ({"token": {"a": 1}}, "/token", "at /token stands an object"),
        ({"token": [1]}, "/token", "at /token stands a list"),
        ({"token": 1}, "/token", "at /token stands a number"),
        ({"token": True}, "/token", "at /token stands true or false"),
        ({"token": None}, "/token", "at /token stands nothing"),
        ({"token": " "}, "/token", "at /token stands an empty text"),
        ({"data": {"key": OPAQUE}}, "/token", "JWTs: none; other texts named as tokens: /data/key"),
        ({"data": {"access": ACCESS}}, "/token", "nothing; JWTs: /data/access"),
        ({"a": [ACCESS], "b": OTHER}, "/token", "JWTs: /a/0, /b"),
        ({"a secret": ACCESS}, "/token", "JWTs: /…"),
        ({}, "auto", "no JWT has a known name; JWTs: none"),
        ({"note": ACCESS}, "auto", "no JWT has a known name; JWTs: /note"),
        (ACCESS, "/token", "JWTs: the whole body"),
        (b"<p>" + ACCESS.encode(), "/token", "the body is no JSON; JWTs: the body"),
        ({}, "header:X-Token", "at header:X-Token stands nothing"),
        ({}, "cookie:jwt", "at cookie:jwt stands a text of 40 characters"),
        ({}, "/token", "JWTs: header:authorization, cookie:other"),
    ],
)
def test_what_stands_there(body: Any, place: str, said: str) -> None:
    """Its type and its length, and where JWTs do stand; never a value."""
    fields = [JSON, ("Set-Cookie", f"jwt={OPAQUE}; Path=/")]
    if said.endswith("cookie:other"):
        fields += [("Authorization", f"Bearer {ACCESS}"), ("Set-Cookie", f"other={OTHER}")]
    hint = without_token(reply(body, *fields), parse_token_place(place))
    assert said in hint
    assert not {ACCESS, OTHER, OPAQUE, "a secret"} & set(hint.replace("/", " ").split())
    assert OPAQUE not in hint
