"""How many passwords a request holds, whatever it is written in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.logins.password_fields import MAX_PASSWORDS, count

ALIASED = "mutation {{ {} }}".format(
    " ".join(f'a{n}: login(email: "alice", password: "{n}") {{ token }}' for n in range(7))
)


@pytest.mark.parametrize(
    "text",
    [
        '{"username": "alice", "password": "x"}',
        '{"username": "alice", "user_password": "x", "otp": "123456"}',
        '{"id": "alice", "pw" : "x"}',
        "{'login': 'alice', 'passwd': 'x'}",
        "{login: alice, pwd: x}",
        "username=alice&password=x",
        "user[email]=alice&user[password]=x",
        "password = x",
        "<login><password>x</password></login>",
        '<login password="x"/>',
        '--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nx\r\n--x--',
        "--x\nContent-Disposition: form-data; name=password; x=y\n\nx\n--x--",
        'mutation { login(email: "alice", password: "x") { token } }',
        'mutation { login(email: "alice", password # comment\n , : "x") { token } }',
        'mutation ($password: String!) { login(password: $password) }\n{"password": "x"}',
        '{"old_password": "x", "new_password": "y", "PASSWORD": "z"}',
        '{"mfa_code": "123456", "recovery-code": "x"}',
        '{"pin": 1234}',
        '{"passcode": "x", "passphrase": "y"}',
    ],
)
def test_one_password(text: str) -> None:
    """Under any name that ends like one, in any format; fields of other names are others."""
    assert count([text]) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ('{"email": "alice", "note": "no password here"}', 0),
        ("mutation ($password: String!) { me { name } }", 0),
        ("</password>", 0),
        ('{"spinning": 1, "passenger": 2, "options": 3}', 0),
        (ALIASED, 7),
        (json.dumps([{"username": "alice", "password": str(n)} for n in range(7)]), 7),
        ("&".join(f"password={n}" for n in range(7)), 7),
        ("<password>x</password>" * 7, 7),
        ('"password":' * 5000, MAX_PASSWORDS),
    ],
)
def test_so_many_passwords(text: str, number: int) -> None:
    """By the field that is there most often."""
    assert count([text]) == number


def test_the_reading_with_the_most_counts() -> None:
    """A backend may read a request in any of these ways."""
    assert count(["", "password=x", ALIASED]) == 7
    assert count([]) == 0


@given(st.text())
def test_whatever_comes_is_read(text: str) -> None:
    assert 0 <= count([text, text + "password:"]) <= MAX_PASSWORDS
