"""Names and passwords in a login's body: read in one way, or not at all."""

import json

import pytest

from gateway.core.logins.login_form import BadLoginForm, read

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kind", "body", "name", "password"),
    [
        (JSON, b'{"username": "alice", "password": "wonder land"}', "alice", "wonder land"),
        (JSON + "; charset=utf-8", '{"username":"홍","password":"비밀"}'.encode(), "홍", "비밀"),
        ("Application/JSON", b'\xef\xbb\xbf{"username":"a","password":"","x":[1]}', "a", ""),
        (FORM, b"username=alice&password=wonder+land%21", "alice", "wonder land!"),
        (FORM, b"username=%ED%99%8D&password=&next=%2F", "홍", ""),
    ],
)
def test_credentials(kind: str, body: bytes, name: str, password: str) -> None:
    """JSON or a form, with whatever else a page sends along."""
    found = read(kind, body)
    assert (found.name, found.password) == (name, password)
    assert repr(found) == "LoginForm()"
    assert (found.others is None) is (not kind.startswith(FORM))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", b'{"username": "a", "password": "b"}'),
        ("text/plain", b'{"username": "a", "password": "b"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"null"),
        (JSON, b'["username", "password"]'),
        (JSON, b'"username password"'),
        (JSON, b"{}"),
        (JSON, b'{"username": "a"}'),
        (JSON, b'{"username": "a", "password": null}'),
        (JSON, b'{"username": 1, "password": "b"}'),
        (JSON, b'{"username": ["a"], "password": "b"}'),
        (JSON, b'{"username": "a", "password": {"b": 1}}'),
        (JSON, b'{"username": "a", "username": "root", "password": "b"}'),
        (JSON, b'{"username": "a", "password": "b", "password": "c"}'),
        (JSON, b'{"username": "a", "password": "\\ud800"}'),
        (JSON, b'{"username": "\xed\x99", "password": "b"}'),
        (JSON, '{"username": "한", "password": "b"}'.encode("euc-kr")),
        (JSON, json.dumps({"username": "a", "password": "b"}).encode("utf-16")),
        (JSON, b"[" * 10_000),
        (FORM, b""),
        (FORM, b"username"),
        (FORM, b"username=a"),
        (FORM, b"username=a&username=b&password=c"),
        (FORM, b"username=a&password=c&password=c"),
        (FORM, b"username=%ff&password=c"),
        (FORM, b"username=a&password=c&" + b"&".join(b"f%d=1" % at for at in range(200))),
        (FORM, b'{"username": "a", "password": "b"}'),
    ],
)
def test_what_is_no_login(kind: str, body: bytes) -> None:
    """Empty, malformed, of another type or charset, or twice the same field: it is refused."""
    with pytest.raises(BadLoginForm):
        read(kind, body)
