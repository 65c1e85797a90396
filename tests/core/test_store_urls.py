"""Stores' URLs: every way in which people run Redis, and nothing of a password where it fails."""

import pickle

import pytest

from gateway.core.http.addresses import BadAddress
from gateway.core.secret import Secret
from gateway.core.store_urls import StorePlace, StoreUrl, parse_store_url

SECRET = Secret("p@ss:/?#%")
ESCAPED = "p%40ss%3A%2F%3F%23%25"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("redis://a.example", StorePlace("single", False, (("a.example", 6379),))),
        ("redis://a.example/", StorePlace("single", False, (("a.example", 6379),))),
        ("rediss://10.0.0.1:7000/3", StorePlace("single", True, (("10.0.0.1", 7000),), database=3)),
        ("redis://[::1]:7000?db=2", StorePlace("single", False, (("::1", 7000),), database=2)),
        (
            f"redis://us%2Fer:{ESCAPED}@[::1]",
            StorePlace("single", False, (("::1", 6379),), username="us/er", password=SECRET),
        ),
        (f"redis://:{ESCAPED}@a", StorePlace("single", False, (("a", 6379),), password=SECRET)),
        ("unix:///run/redis.sock", StorePlace("unix", False, path="/run/redis.sock")),
        (
            f"unix:///run/a%20b.sock?db=1&password={ESCAPED}",
            StorePlace("unix", False, path="/run/a b.sock", database=1, password=SECRET),
        ),
        (
            "unix://user:secret@/run/a.sock",
            StorePlace(
                "unix", False, path="/run/a.sock", username="user", password=Secret("secret")
            ),
        ),
        (
            f"redis+sentinel://user:{ESCAPED}@a:1,[::2]:3,c/main?db=4",
            StorePlace(
                "sentinel",
                False,
                (("a", 1), ("::2", 3), ("c", 26379)),
                service="main",
                database=4,
                username="user",
                password=SECRET,
            ),
        ),
        (
            "rediss+sentinel://a",
            StorePlace("sentinel", True, (("a", 26379),), service="mymaster"),
        ),
        (
            f"redis+cluster://:{ESCAPED}@a,[fe80::1]:7000,[::1]:7001",
            StorePlace(
                "cluster",
                False,
                (("a", 6379), ("fe80::1", 7000), ("::1", 7001)),
                password=SECRET,
            ),
        ),
        ("rediss+cluster://a:1/0", StorePlace("cluster", True, (("a", 1),))),
    ],
)
def test_every_way(text: str, place: StorePlace) -> None:
    """Hosts with their ports, IPv6 in brackets, users and passwords percent-decoded, databases."""
    assert parse_store_url(text) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a URL of a store"),
        ("localhost:6379", "is not a URL of a store"),
        ("redis://user:hun/ter2@a", "write @ as %40"),
        ("redis://user:hun@ter2@a", "write @ as %40"),
        ("redis://user:hunter2#@a", "write @ as %40"),
        ("memcached://a", "write embedded or one of redis://, rediss://"),
        ("redis-sentinel://a", "is not a URL of a store"),
        ("redis://hunter2@a", "names a user without a password"),
        ("redis://", "has no host"),
        ("redis:///0", "has no host"),
        ("redis://a:70000", "has no host, or a wrong one"),
        ("redis://a:b", "has no host, or a wrong one"),
        ("redis://::1", "[address]:port for IPv6"),
        ("redis+cluster://a:1,,b:2", "has no host"),
        ("redis://a,b", "write redis+sentinel:// or redis+cluster://"),
        ("redis://a/main", "has no number as its database"),
        ("redis://a?db=-1", "has no number as its database"),
        ("redis://a?ssl_cert_reqs=none", "only db may stand behind the ?"),
        ("redis+sentinel://a/main/0", "has a path of two parts"),
        ("redis+cluster://a/1", "has one database only"),
        ("redis+cluster://a?db=0", "nothing may stand behind the ?"),
        ("unix://run/redis.sock", "write unix:///absolute/path"),
        ("unix://", "write unix:///absolute/path"),
        ("unix:///" + "x" * 107, "is too long for a unix socket"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    """What is wrong and what would be right, without a word of the text: it may hold a password."""
    with pytest.raises(BadAddress) as caught:
        parse_store_url(text)
    assert message in str(caught.value)
    assert "hun" not in str(caught.value)


def test_no_repr_tells_a_password() -> None:
    """Neither the URL's nor that of what it says; in use it is still a text."""
    url = StoreUrl("redis://:hunter2@a")
    assert "hunter2" not in repr(url) + repr([url]) + repr(parse_store_url(url))
    again = pickle.loads(pickle.dumps(url))
    assert (again, repr(again)) == ("redis://:hunter2@a", "StoreUrl(…)")
