"""mfa/steps: which step a request is, and what continues a login, by texts alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.logins.denials import says_another_step
from gateway.core.logins.mfa.steps import handed_out, is_named_by_client, read
from gateway.core.logins.replies import Reply
from gateway.core.logins.token_places import JsonPointer

LONG = "3f2504e0-4f89-41d3"
PASSWORD = ("password", "secret horse")


def said(body: bytes, status: int = 200, *cookies: str) -> Reply:
    return Reply(status, tuple(("Set-Cookie", line) for line in cookies), body)


def nothing(_text: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("texts", "is_first"),
    [
        ([("username", "alice"), PASSWORD], True),
        ([("userpw", "x"), ("otp", "")], True),
        ([("username", "alice"), ("password", "12345678")], True),
        ([PASSWORD, ("csrftoken", LONG)], True),
        ([("username", "alice")], False),
        ([("password", "")], False),
        ([PASSWORD, ("otp", "123456")], False),
        ([PASSWORD, ("second", "123456")], False),
        ([PASSWORD, ("token", "a1b2c3")], False),
        ([], False),
    ],
)
def test_a_first_step_holds_a_password_and_no_code(
    texts: list[tuple[str, str]], is_first: bool
) -> None:
    assert read(texts, []).is_first is is_first


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (("mfatoken", "t-alice"), {"t-alice"}),
        (("challengeid", "abc"), {"abc"}),
        (("session", LONG), set()),
        (("otptoken", "123456"), set()),
        (("mfacode", "a1b2c3"), set()),
        (("otp", "a1b2c3"), set()),
        (("note", "a text of several words 1"), set()),
    ],
)
def test_temporary_tokens_have_their_names(text: tuple[str, str], tokens: set[str]) -> None:
    """A code is none; and beside a password there is none."""
    assert set(read([text], []).tokens) == tokens
    assert set(read([text, PASSWORD], []).tokens) == set()
    assert not read([text, *((f"temp{n}", f"x{n}") for n in range(9))], []).tokens


def test_what_may_continue_a_login() -> None:
    """Whatever looks random, and temporary tokens; in the body, in cookies and in other fields."""
    fields = [
        ("Cookie", f"a=b; sid={LONG}1"),
        ("Authorization", f"Bearer {LONG}2"),
        ("X-MFA-Token", "t-alice"),
        ("User-Agent", "Mozilla/5.0 (X11)"),
        ("X-Request-Id", f"{LONG}3"),
    ]
    found = read([("whatever", LONG), ("code", "123456")], fields)
    assert set(found.continues) == {LONG, f"{LONG}1", f"{LONG}2", "t-alice"}
    assert not read([PASSWORD, ("pw", LONG)], []).continues
    assert len(read([(f"x{n}", f"{LONG}{n}") for n in range(200)], []).continues) == 200


@pytest.mark.parametrize(
    ("body", "failed", "says"),
    [
        (b'{"mfa_required": true}', "/mfa_required", True),
        (b'{"data": {"login": {"otpRequired": "sms"}}}', "/data/login/otpRequired", True),
        (b'{"challenge": {"id": 7}}', "/challenge", True),
        (b'{"mfa_required": false}', "/mfa_required", False),
        (b'{"errors": ["mfa"]}', "/errors", False),
        (b'{"": true}', "", False),
        (b"no JSON", "/mfa_required", False),
    ],
)
def test_a_reply_says_that_another_step_follows(body: bytes, failed: str, says: bool) -> None:
    """By what stands at the place `failed`, if that is called so."""
    assert says_another_step(said(body), JsonPointer(failed)) is says


def test_a_client_may_have_chosen_the_name() -> None:
    """Where a name that the client has sent comes back, it may have been put there."""
    place = JsonPointer("/data/mfa_required")
    assert is_named_by_client(place, lambda text: text == "mfa_required")
    assert not is_named_by_client(place, nothing)


def test_what_a_reply_hands_out() -> None:
    """Temporary tokens and cookies, but nothing that the client has sent."""
    reply = said(
        b'{"mfa_token": "t-alice", "id": "%b", "detail": "a code 123456", "method": "sms"}'
        % LONG.encode(),
        200,
        f"sid={LONG}1; HttpOnly",
        "lang=en",
    )
    assert handed_out(reply, nothing) == ["t-alice", LONG, f"{LONG}1"]
    assert handed_out(reply, lambda text: text == LONG) == ["t-alice", f"{LONG}1"]
    assert handed_out(said(b"no JSON"), nothing) == []


@given(st.lists(st.tuples(st.text(), st.text())), st.binary())
def test_whatever_comes_is_read(texts: list[tuple[str, str]], body: bytes) -> None:
    read(texts, texts)
    handed_out(said(body, 200, *(value for _, value in texts)), nothing)
