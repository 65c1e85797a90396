"""Claims out of a backend's reply: where they stand, and when they cannot be trusted."""

import json
from typing import Any

import pytest

from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_claims import Wanted, collect
from gateway.core.logins.token_places import BadTokenPlace, Header, JsonPointer, parse_claim_place
from gateway.core.tokens.minting import BadClaims

SUB = ("sub", JsonPointer("/user/id"), True)


def reply(body: Any, *fields: tuple[str, str]) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(200, (("Content-Type", "application/json"), *fields), content)


def refused(body: Any, *fields: tuple[str, str], wanted: Any = (SUB,)) -> str:
    with pytest.raises(BadClaims) as caught:
        collect(reply(body, *fields), wanted)
    return str(caught.value)


def test_claims_in_the_body_and_in_fields() -> None:
    """Pointers go through objects and lists, and are escaped by RFC 6901."""
    body = {"user": {"id": 7, "a/b": {"~": True}}, "roles": ["x", {"name": "admin"}]}
    wanted: list[Wanted] = [
        SUB,
        ("deep", JsonPointer("/user/a~1b/~0"), True),
        ("role", JsonPointer("/roles/1/name"), True),
        ("roles", JsonPointer("/roles"), True),
        ("tenant", Header("X-Tenant"), True),
        ("none", JsonPointer("/nothing"), False),
    ]
    assert collect(reply(body, ("x-tenant", "blue")), wanted) == {
        "sub": "7",
        "deep": True,
        "role": "admin",
        "roles": ["x", {"name": "admin"}],
        "tenant": "blue",
    }


def test_fields_alone_need_no_body() -> None:
    """A 204 that names the user is enough."""
    empty = Reply(204, (("X-User", "alice"),), b"")
    assert collect(empty, [("sub", Header("X-User"), True)]) == {"sub": "alice"}
    with pytest.raises(BadClaims, match="sub is missing"):
        collect(Reply(204, (), b""), [SUB])


@pytest.mark.parametrize(
    "body",
    [{}, [], {"user": None}, {"user": {"id": None}}, {"user": [1]}, {"user": "id"}, 5, None],
)
def test_missing_claims(body: object) -> None:
    """A null is nothing."""
    assert refused(body) == "sub is missing"


def test_only_what_is_not_required_may_be_missing() -> None:
    """A token that says less than was asked for could mean more rights, or less."""
    body = {"user": {"id": 1}}
    assert refused(body, wanted=[SUB, ("role", JsonPointer("/role"), True)]) == "role is missing"
    assert collect(reply(body), [SUB, ("role", JsonPointer("/role"), False)]) == {"sub": "1"}


@pytest.mark.parametrize("value", [True, [], {}, "", 1.5, "a\nb"])
def test_subjects_of_the_wrong_type(value: object) -> None:
    """Such a value is no name."""
    assert "names a user" in refused({"user": {"id": value}})


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome, alice!</html>",
        b"OK",
        b'{"user": {"id": 1}',
        b'{"user": {"id": 1}, "user": {"id": 2}}',
        b'{"user": {"id": 1, "id": 2}}',
        b'{"user": {"id": NaN}}',
        b"[" * 100_000,
    ],
    ids=["html", "text", "cut", "twice", "twice inside", "NaN", "deep"],
)
def test_bodies_that_say_nothing_for_certain(body: bytes) -> None:
    """No reader may choose between two ids."""
    assert refused(body) == "the reply's body is no JSON, or says something twice"


def test_charsets() -> None:
    """What is no text in any charset that was named is refused, rather than half understood."""
    name = ("sub", JsonPointer("/name"), True)
    korean = '{"name": "한글"}'
    for content in (korean.encode(), b"\xef\xbb\xbf" + korean.encode(), korean.encode("utf-16")):
        assert collect(reply(content), [name]) == {"sub": "한글"}
    assert refused(korean.encode("euc-kr"), wanted=[name]) == "the reply's body is no text"
    fields = (("Content-Type", "application/json; charset=euc-kr"),)
    assert collect(Reply(200, fields, korean.encode("euc-kr")), [name]) == {"sub": "한글"}


def test_a_field_that_comes_twice() -> None:
    """No reader may choose here either."""
    wanted = [("sub", Header("X-User"), True)]
    twice = (("X-User", "alice"), ("x-user", "bob"))
    assert refused({}, *twice, wanted=wanted) == "the field x-user came twice"
    assert refused({}, ("X-User", ""), wanted=wanted) == "sub is missing"
    surrogates = b"\xff".decode("utf-8", "surrogateescape")
    assert "no value" in refused({}, ("X-User", surrogates), wanted=wanted)


def test_places() -> None:
    """A pointer or a field; there is no guessing and no cookie."""
    assert parse_claim_place("/a/b") == parse_claim_place("a.b") == JsonPointer("/a/b")
    assert parse_claim_place("header:X-User") == Header("X-User")
    for text in ("", "auto", "cookie:x", "header:", "user id"):
        with pytest.raises(BadTokenPlace):
            parse_claim_place(text)
