"""wire-rules.md#E7: cookies with several keys in one request: no visitor is kept out, nor taken for
another.
"""

import json
import re

import pytest

from gateway.core.sessions import keys
from tests.conftest import LOGIN, Start, accounts, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, request, set_cookies, status
from tests.wire.vectors import cases

DEAD = keys.new_key(bytes(range(1, 33))).reveal()

HTTPS = "X-Forwarded-Proto: https"
OWN = "Sec-Fetch-Site: same-origin"
NAVIGATES = "Sec-Fetch-Mode: navigate"


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway that takes keys in its own cookie, and in a backend's."""
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=[
            {**LOGIN, "token": "/token"},
            {**LOGIN, "path": "/cookie-login", "token": "cookie:sid"},
        ],
        login_page="/public/login",
        trusted_proxies="127.0.0.1",
        verify={},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    )


@pytest.fixture
def people(site: Gateway) -> dict[str, str]:
    """Fresh keys: two of alice's, one of mallory's, and one that opens nothing."""
    names = {"ALICE": "alice", "AGAIN": "alice", "MALLORY": "mallory"}
    return {place: log_in(site.port, name) for place, name in names.items()} | {"DEAD": DEAD}


def send(relay: Gateway, line: str, *fields: str, body: str = "") -> bytes:
    return ask(relay.port, request(line, *fields, host="shop.example", body=body))


def cookies(people: dict[str, str], text: str) -> str:
    """A Cookie line, with keys in the places of names."""
    for name, key in people.items():
        text = text.replace(name, key)
    return f"Cookie: {text}"


def set_by(answer: bytes) -> list[str]:
    """What the answer sets, without the attributes but of its path and domain."""
    drop = r"; (Max-Age=0|HttpOnly|Secure|SameSite=\w+)"
    return [re.sub(drop, "", value) for value in set_cookies(answer)]


def user(shop: Upstream) -> str:
    """Who the upstream was told that it is; nothing, if no one."""
    found = re.search(rb"\r\nX-User-Id: (\w+)\r\n", shop.got)
    return found[1].decode() if found else ""


COUNTS = {
    "one key twice": ((), "sid=ALICE; sid=ALICE"),
    "one key in two cookies": ((), "sid=ALICE; latchkey=ALICE"),
    "one key where it counts and where not": ((), "other=ALICE; sid=ALICE"),
    "one person twice": ((), "sid=ALICE; sid=AGAIN"),
    "one person in two cookies": ((), "latchkey=ALICE; sid=AGAIN"),
    "one that is dead": ((), "sid=DEAD; sid=ALICE"),
    "one that is dead, last": ((), "sid=ALICE; sid=DEAD"),
    "one in a cookie of no one": ((), "theirs=MALLORY; sid=ALICE"),
    "from before HTTPS": ((HTTPS,), "latchkey=MALLORY; __Host-latchkey=ALICE"),
    "a neighbour's": ((HTTPS,), "sid=MALLORY; __Host-latchkey=ALICE"),
    "a neighbour's many": (
        (HTTPS,),
        "sid=MALLORY; sid=AGAIN; latchkey=MALLORY; __Host-latchkey=ALICE",
    ),
    "one that cannot be planted, dead": ((HTTPS,), "__Host-latchkey=DEAD; sid=ALICE"),
}


@cases("case", COUNTS)
def test_which_of_several_cookies_counts(
    site: Gateway, shop: Upstream, people: dict[str, str], case: tuple[tuple[str, ...], str]
) -> None:
    """wire-rules.md#E7: what no neighbour can set, then what lives; no key goes on."""
    fields, text = case
    for path in ("/api/x", "/maybe/x"):
        shop.clear()
        answer = send(site, f"GET {path}", *fields, cookies(people, f"a=b; {text}; c=d"))
        assert (status(answer), user(shop)) == (200, "alice")
        assert b"\r\nCookie: a=b; c=d\r\n" in shop.got
        assert b"lk_" not in shop.got
    described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/x", *fields)
    question = "GET /.well-known/latchkey/verify"
    answer = send(site, question, *described, cookies(people, text))
    assert b"\r\nX-User-Id: alice\r\n" in answer


SEVERAL = {
    "of one name": ((), "sid=ALICE; sid=MALLORY", {"sid"}),
    "of two names": ((), "sid=MALLORY; latchkey=ALICE", {"sid", "latchkey"}),
    "of one that cannot be planted": (
        (HTTPS,),
        "__Host-latchkey=ALICE; __Host-latchkey=MALLORY",
        {"__Host-latchkey"},
    ),
    "and a dead one": ((), "sid=DEAD; sid=ALICE; sid=MALLORY", {"sid"}),
}


@cases("case", SEVERAL)
def test_cookies_of_several_people_open_no_session(
    site: Gateway,
    shop: Upstream,
    people: dict[str, str],
    case: tuple[tuple[str, ...], str, set[str]],
) -> None:
    """wire-rules.md#E7: it cannot be told who of them the visitor is, so he is no one, and logs in
    again: all the cookies are forgotten, wherever they are from.
    """
    fields, text, names = case
    line = cookies(people, text)
    for path, more, code in (
        ("/api/x", (), 401),
        ("/api/x", (NAVIGATES,), 303),
        ("/maybe/x", (), 200),
    ):
        shop.clear()
        answer = send(site, f"GET {path}", line, *fields, *more)
        assert (status(answer), user(shop)) == (code, "")
        assert {value.partition("=")[0] for value in set_by(answer)} == names
        folder = path.rpartition("/")[0]
        for name in names - {"__Host-latchkey"}:
            for place in ("Path=/", f"Path={folder}", f"Path={folder}; Domain=shop.example"):
                assert f"{name}=; {place}" in set_by(answer)
    assert status(send(site, "GET /public/x", line, *fields)) == 200
    assert status(send(site, "GET /api/x", f"Cookie: sid={people['ALICE']}")) == 200


def test_more_keys_than_any_browser_has_are_not_looked_up(site: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E7: they are not looked up one by one, nor does the answer grow with them."""
    many = "; ".join(f"sid={keys.new_key(bytes([n]) * 32).reveal()}" for n in range(180))
    answer = send(site, "GET /api/x", f"Cookie: {many}")
    assert status(answer) == 401
    assert b"several_keys" in answer
    assert len(set_by(answer)) <= 32
    answer = send(site, "POST /logout", f"Cookie: {many}", OWN)
    assert (status(answer), len(set_by(answer))) == (204, 4)


def test_a_field_and_another_key_in_a_cookie_are_refused(
    site: Gateway, shop: Upstream, people: dict[str, str]
) -> None:
    """wire-rules.md#C2: 400, and none is picked by chance; but the cookie goes, so the next request
    is heard.
    """
    bearer = f"Authorization: Bearer {people['ALICE']}"
    for line in (cookies(people, "sid=MALLORY"), cookies(people, "sid=ALICE; sid=DEAD")):
        for fields in ((bearer, line), (line, bearer)):
            answer = send(site, "GET /api/x", *fields)
            assert (status(answer), b"ambiguous_key" in answer) == (400, True)
            assert "sid=; Path=/" in set_by(answer)
    assert shop.got == b""
    twice = (cookies(people, "sid=ALICE; latchkey=ALICE"), bearer)
    for fields in (twice, twice[::-1]):
        assert status(send(site, "GET /api/x", *fields)) == 200


# Logging out and in.


@cases(
    "text",
    {
        "of several people": "sid=ALICE; sid=MALLORY",
        "of one": "sid=ALICE; latchkey=AGAIN",
        "dead and living": "sid=DEAD; latchkey=ALICE",
        "of no one": "theirs=MALLORY; sid=ALICE",
        "only of no one": "theirs=ALICE",
    },
)
def test_a_logout_ends_every_session_whose_key_came(
    site: Gateway, shop: Upstream, people: dict[str, str], text: str
) -> None:
    """wire-rules.md#E4: every session whose key came, and every cookie; it is never refused for
    their number.
    """
    line = cookies(people, text)
    assert status(send(site, "POST /logout", line)) == 403
    answer = send(site, "POST /logout", line, OWN)
    assert status(answer) == 204
    for name in ("ALICE", "AGAIN", "MALLORY"):
        ended = name in text
        code = 401 if ended else 200
        assert status(send(site, "GET /api/x", f"Cookie: sid={people[name]}")) == code
    names = dict.fromkeys(re.findall(r"(\w+)=", text))
    assert all(f"{name}=; Path=/" in set_by(answer) for name in names)
    if len(names) > 1 or text.count("sid") > 1:
        assert all(f"{name}=; Path=/; Domain=shop.example" in set_by(answer) for name in names)


def test_a_logout_after_a_move_to_https(
    site: Gateway, shop: Upstream, people: dict[str, str]
) -> None:
    """wire-rules.md#E4: over HTTPS the old cookie opens nothing, and still its session ends with
    the other.
    """
    line = cookies(people, "latchkey=AGAIN; __Host-latchkey=ALICE")
    assert status(send(site, "POST /logout", line, HTTPS, "Origin: https://shop.example")) == 204
    for name in ("ALICE", "AGAIN"):
        assert status(send(site, "GET /api/x", f"Cookie: latchkey={people[name]}")) == 401


@cases("text", {"of several people": "sid=ALICE; sid=MALLORY", "dead": "sid=DEAD; latchkey=DEAD"})
@pytest.mark.parametrize("path", ["/login", "/cookie-login"])
def test_a_login_ends_every_session_whose_key_came(
    site: Gateway,
    shop: Upstream,
    login_upstream: Upstream,
    people: dict[str, str],
    text: str,
    path: str,
) -> None:
    """wire-rules.md#E5: a new key, and none of the old ones beside it, wherever their cookies are
    from.
    """
    token = token_of("carol")
    if path == "/cookie-login":
        set_cookie = f"Set-Cookie: sid={token}; Path=/; Domain=shop.example".encode()
        login_upstream.clear(
            always(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 0\r\n\r\n" % set_cookie)
        )
    try:
        body = json.dumps({"username": "carol"})
        kind = "Content-Type: application/json"
        answer = send(site, f"POST {path}", cookies(people, text), OWN, kind, body=body)
    finally:
        login_upstream.clear(accounts)
    assert status(answer) == 200
    new = re.search(rb"lk_[\w-]{49}", answer)
    assert new is not None
    for name in ("ALICE", "MALLORY"):
        code = 401 if name in text else 200
        assert status(send(site, "GET /api/x", f"Cookie: sid={people[name]}")) == code
    deleted = [value for value in set_by(answer) if "=;" in value]
    assert f"sid=; Path={path}" in deleted
    kept = "sid=; Path=/; Domain=shop.example"
    assert (kept in deleted) is (path == "/login")
    shop.clear()
    assert status(send(site, "GET /api/x", f"Cookie: sid={new[0].decode()}")) == 200
    assert user(shop) == "carol"
