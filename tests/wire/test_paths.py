"""wire-rules.md#C8: what a path means: no spelling that a backend takes for a route's path leads
around its rule.
"""

import json
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest

from tests.conftest import Start, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, ask, request, status

SECRET = b"for the few"

# One server, written in several ways; each is an upstream of its own.
ALIASES = ["localhost", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]"]


def careless(visit: Visit) -> None:
    """A backend that finds a path behind every spelling, and then shows what it holds."""
    for got in visit.requests():
        path = unquote(unquote(got.split(b" ")[1].decode())).lower()
        if any(word in path for word in ("login", "refresh", "switch")):
            visit.send(json_answer("200 OK", {"token": token_of("alice")}))
        else:
            visit.send(json_answer("200 OK", {"text": SECRET.decode()}))


@pytest.fixture(scope="module")
def app() -> Iterator[Upstream]:
    with Upstream(careless) as server:
        yield server


@pytest.fixture(scope="module")
def front(start: Start, app: Upstream) -> Gateway:
    renew = {"upstream": "app", "backend_path": "/api/refresh"}
    return start(
        upstreams={
            "app": app.url,
            "unix-like": {"servers": app.url, "paths": "strict"},
            **{f"alias{at}": f"http://{host}:{app.port}" for at, host in enumerate(ALIASES)},
        },
        login={
            "kind": "backend",
            "path": "/login",
            "upstream": "app",
            "backend_path": "/api/login",
            "renew": renew,
        },
        guessing="off",
        routes=[
            {"path": "/*", "upstream": "app", "auth": "public"},
            {"path": "/api/*", "upstream": "app"},
            {"path": "/api/report", "upstream": "app", "claims": {"role": "admin"}},
            {"path": "/api/items", "upstream": "app", "methods": ["GET"]},
            {"path": "/api/switch", "upstream": "app", "captures": "/token"},
            {"path": "/maybe/*", "upstream": "app", "auth": "optional"},
            {"path": "/shop/*", "upstream": "app", "auth": "public", "strip_prefix": "/shop"},
            {"path": "/public/*", "upstream": "app", "auth": "public"},
            {"path": "/app.js", "upstream": "app", "auth": "public"},
            {"path": "/exact/*", "upstream": "unix-like", "auth": "public"},
            {"path": "/exact/mine", "upstream": "unix-like"},
            *(
                {
                    "path": f"/{name}/*",
                    "upstream": name,
                    "auth": "public",
                    "strip_prefix": f"/{name}",
                }
                for name in (f"alias{at}" for at in range(len(ALIASES)))
            ),
        ],
    )


@pytest.fixture(scope="module")
def key(front: Gateway) -> str:
    with Client(front.port) as client:
        client.send(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        return str(json.loads(client.answer()[2])["token"])


def get(front: Gateway, target: str, key: str = "", method: str = "GET") -> bytes:
    credential = (f"Authorization: Bearer {key}",) if key else ()
    return ask(front.port, request(f"{method} {target}", *credential))


# How a path is written so that some backend takes it for the same: Express, ASP.NET, Rails, Spring,
# Tomcat, Django, PHP, nginx, IIS.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "one capital": lambda path: path[:1] + path[1:].capitalize(),
    "a slash": lambda path: path + "/",
    "two slashes": lambda path: path + "//",
    "a format": lambda path: path + ".json",
    "a long format": lambda path: path + ".tar.gz",
    "a format and a slash": lambda path: path + ".JSON/",
    "an encoded format": lambda path: path + "%2Exml",
    "a picture": lambda path: path + ".png",
    "a full stop": lambda path: path + ".",
    "a space": lambda path: path + "%20",
    "a stream": lambda path: path + "::$DATA",
    "a session id": lambda path: path + ";jsessionid=1",
    "an encoded parameter": lambda path: path + "%3Bx.css",
    "a query that is encoded": lambda path: path + "%3Fx=.css",
    "a fragment that is encoded": lambda path: path + "%23.css",
    "a front controller": lambda path: "/index.php" + path,
    "an index": lambda path: path + "/index.php",
    "a hidden format": lambda path: path + "/.json",
    "slashes before": lambda path: "/" + path,
    "an encoded slash": lambda path: path[0] + path[1:].replace("/", "%2f"),
    "twice encoded": lambda path: path[0] + path[1:].replace("/", "%252f"),
    "overlong": lambda path: path[0] + path[1:].replace("/", "%c0%af"),
    "full width": lambda path: path[0] + path[1:].replace("/", "%EF%BC%8F"),
    "backslashes": lambda path: path[0] + path[1:].replace("/", "\\"),
    "a letter encoded": lambda path: path.replace("i", "%69"),
    "no dot on the i": lambda path: path.replace("i", "%C4%B1"),
    "dots": lambda path: "/public/.." + path,
    "encoded dots": lambda path: "/public/%2e%2e" + path,
    "dots and a parameter": lambda path: "/public/..;" + path,
    "dots and a space": lambda path: "/public/..%20" + path,
    "capitals and dots": lambda path: "/PUBLIC/../" + path.upper(),
    "all at once": lambda path: "/index.php" + path.upper() + ".JSON/",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["/api/me", "/api/admin/x/y", "/api/report", "/api/items"])
def test_no_spelling_opens_a_required_route(
    front: Gateway, app: Upstream, path: str, spelling: str
) -> None:
    """Without a key: 401, or 400 where the path leads elsewhere; the backend hears of neither."""
    app.clear(careless)
    target = SPELLINGS[spelling](path)
    for method, spelled in (("GET", target), ("POST", target), ("GET", f"http://a.test{target}")):
        answer = get(front, spelled, method=method)
        assert status(answer) in (400, 401, 405), answer
    assert app.got == b""


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_does_without_claims(front: Gateway, key: str, spelling: str) -> None:
    """The claims of an exact route are asked of whatever a backend takes for its path."""
    assert status(get(front, "/api/report", key)) == 403
    answer = get(front, SPELLINGS[spelling]("/api/report"), key)
    assert status(answer) in (400, 403), answer
    assert SECRET not in answer


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("prefix", "path"), [("", "/api/login"), ("", "/api/refresh"), ("/shop", "/api/login")]
)
def test_no_spelling_reaches_what_gives_tokens(
    front: Gateway, app: Upstream, key: str, prefix: str, path: str, spelling: str
) -> None:
    """wire-rules.md#E1: neither the backend's login nor its refresh, by any route, with and without
    a key.
    """
    target = prefix + SPELLINGS[spelling](path)
    app.clear(careless)
    for credential in ("", key):
        for method in ("POST", "GET"):
            answer = get(front, target, credential, method)
            assert status(answer) in (400, 404), answer
    assert app.got == b""


@pytest.mark.parametrize("number", range(len(ALIASES)))
@pytest.mark.parametrize("path", ["/api/login", "/API/login.json", "/api/refresh"])
def test_no_address_of_the_server_reaches_what_gives_tokens(
    front: Gateway, app: Upstream, path: str, number: int
) -> None:
    """wire-rules.md#E1: an upstream that is the login's server by another address is that server."""
    assert status(get(front, f"/alias{number}/hello")) == 200
    app.clear(careless)
    assert status(get(front, f"/alias{number}{path}", method="POST")) == 404
    assert app.got == b""


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_leads_around_a_capture(front: Gateway, key: str, spelling: str) -> None:
    """A token in the reply of a route that captures reaches no client, however the path is spelled."""
    answer = get(front, SPELLINGS[spelling]("/api/switch"), key)
    assert b"eyJ" not in answer
    assert status(answer) in (200, 400)


@pytest.mark.parametrize("spelling", ["capitals", "a slash", "a format", "a space", "an index"])
def test_who_may_pass_passes(front: Gateway, app: Upstream, key: str, spelling: str) -> None:
    """The path goes upstream as it came, by the stricter route and with the token."""
    target = SPELLINGS[spelling]("/api/me")
    app.clear(careless)
    answer = get(front, target, key)
    assert (status(answer), SECRET in answer) == (200, True)
    assert app.got.startswith(f"GET {target} HTTP/1.1\r\n".encode())
    assert b"\r\nAuthorization: Bearer eyJ" in app.got
    assert front.records(path=target, route="/api/*")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", 200),
        ("/Index.HTML", 200),
        ("/static/app.JS", 200),
        ("/public/Login.png", 200),
        ("/Public/x", 200),
        ("/app.js", 200),
        ("/APP.js", 200),
        ("/apiary", 200),
        ("/caf%C3%A9/%EC%82%AC%EB%9E%8C.HTML", 200),
        ("/wiki/C%23", 200),
        ("/public/index.php/x", 200),
        ("/api", 401),
        ("/api.json", 401),
        ("/maybe/X.json", 200),
        ("/exact/MINE", 200),
        ("/exact/mine.json", 200),
        ("/exact/mine/", 200),
        ("/exact/mine", 401),
        ("/exact//mine", 400),
        ("/exact/m%2569ne", 400),
    ],
)
def test_what_stays_public(front: Gateway, target: str, expected: int) -> None:
    """Where no reading is under a stricter rule, spelling does not matter; an upstream with `paths:
    strict` tells case, a slash at the end and suffixes apart, and nothing else.
    """
    assert status(get(front, target)) == expected
