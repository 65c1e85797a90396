"""Cookies are deleted wherever a browser may have them from."""

import pytest

from gateway.core.logins.cookie_deletions import deletion_from, deletions, kept_place

PLAIN = "sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"


def places(host: str, path: str) -> list[str]:
    """What the deletions say of path and domain."""
    middle = "sid=; Max-Age=0; ", "; HttpOnly; SameSite=Lax"
    lines = deletions("sid", host, path)
    assert lines[0] == PLAIN
    return [line.removeprefix(middle[0]).removesuffix(middle[1]) for line in lines]


def test_every_path_above() -> None:
    """A cookie of any folder above is sent along (RFC 6265 §5.1.4), with its slash or without."""
    assert places("", "/a/b/c") == [
        "Path=/",
        "Path=/a",
        "Path=/a/",
        "Path=/a/b",
        "Path=/a/b/",
        "Path=/a/b/c",
    ]
    assert places("", "/") == places("", "") == places("", "//x") == ["Path=/"]


def test_every_domain_above() -> None:
    """A cookie of any domain above is, and of the host itself that is not for it alone (§5.1.3)."""
    for host in ("www.shop.example", "WWW.Shop.Example:8443", "www.shop.example."):
        assert places(host, "/") == [
            "Path=/",
            "Path=/; Domain=www.shop.example",
            "Path=/; Domain=shop.example",
        ]


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "localhost:80", "127.0.0.1:80", "[::1]:80", "a;b.example", "a\r\nB: c.d"],
)
def test_hosts_without_a_domain_above(host: str) -> None:
    """Addresses have none, and what is no host name names nothing."""
    assert places(host, "/") == ["Path=/"]


@pytest.mark.parametrize("path", ["/a;Domain=evil.example", "/a b", "/a\r\nB: c", "/a\x7f", "/é"])
def test_paths_that_no_cookie_can_have(path: str) -> None:
    """They would end the attribute."""
    assert places("", path) in (["Path=/"], ["Path=/", "Path=/a"])


def test_a_bound() -> None:
    """A head must fit into what proxies take: nginx's buffer has 4 KiB on many machines."""
    lines = deletions("sid", ".".join(["abc"] * 30), "/abc" * 1000)
    assert len(lines) == 24
    assert sum(map(len, lines)) < 2500


def test_the_prefix_that_knows_one_place() -> None:
    """RFC 6265bis §4.1.3: such a cookie has no domain, and the path /."""
    [line] = deletions("__Host-sid", "www.shop.example", "/a/b")
    assert line == "__Host-sid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
    lines = deletions("__Secure-sid", "shop.example", "/")
    assert all(line.endswith("; Secure") for line in lines)


def test_what_a_session_keeps() -> None:
    """The place of a cookie, and what has its deletion heeded in a frame; nothing that is usual."""
    for value in ("sid=x; Path=/", "sid=x; path=/; HttpOnly; SameSite=Strict; Max-Age=5", "sid=x"):
        assert kept_place(value, "/login") == ""
    kept = kept_place(
        "sid=x; path=/a; domain=b.example; Secure; Max-Age=9; Priority=High", "/login"
    )
    assert kept == "sid; Path=/a; Domain=b.example; Secure"
    assert (
        kept_place("sid=x; Path=a; SameSite=None", "/a/b/login") == "sid; Path=/a/b; SameSite=None"
    )
    assert kept_place("sid=x; Path=/é; Domain=a b", "/login") == "sid; "


def test_a_deletion_from_where_it_is_kept() -> None:
    """Of another cookie, and of one of which nothing is kept, the usual place."""
    kept = "sid; Path=/a; Domain=b.example"
    assert deletion_from(kept, "sid") == "sid=; Max-Age=0; Path=/a; Domain=b.example"
    for other in ("", "sid", "sid; ", "side; Path=/a"):
        assert deletion_from(other, "sid") == PLAIN
