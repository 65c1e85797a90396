"""wire-rules.md#D9: the logs say which server failed, and how."""

from collections.abc import Iterator

import pytest

from gateway.relay.http1.broken_rules import UNKNOWN
from tests.support.gateway import Gateway, gateway
from tests.support.processes import free_port
from tests.support.raw import Answer, Upstream, Visit, always, ask, status
from tests.support.redis_server import RedisServer
from tests.wire.broken_answers import BAD_ANSWERS

SECRET = b"a-token-of-the-upstream"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer
) -> Iterator[tuple[Gateway, Upstream]]:
    """A gateway whose upstreams are one server, spoken to in several ways, and one that is gone."""
    server = Upstream()
    upstreams = {
        "shop": server.url,
        "asked": server.url,  # the log has at most 20 lines a minute of one upstream
        "tls": server.url.replace("http", "https"),
        "gone": f"http://127.0.0.1:{free_port()}",
        "unnamed": "http://nowhere.invalid:1",
        "file": "unix:/nonexistent/socket",
    }
    routes = [
        {"path": f"/{name}/*", "upstream": name, "auth": "public", "response_timeout": 0.6}
        for name in upstreams
    ]
    login = [
        {"kind": "backend", "path": "/login", "upstream": "gone"},
        {"kind": "backend", "path": "/asked-login", "upstream": "asked", "subject_prefix": "a:"},
    ]
    with gateway(
        tmp_path_factory.mktemp("causes"),
        redis.url,
        upstreams=upstreams,
        routes=routes,
        login=login,
        timeouts={"body_idle": 0.6, "connect": 0.3},
    ) as running:
        yield running, server
    server.stop()


def ask_for(running: Gateway, path: str) -> int:
    request = f"GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    return status(ask(running.port, request.encode()))


def _closes(before: bytes = b"") -> Answer:
    def answer(visit: Visit) -> None:
        visit.head()
        visit.send(before)
        visit.close()

    return answer


def _resets(visit: Visit) -> None:
    visit.head()
    visit.reset()


def _waits(before: bytes = b"") -> Answer:
    def answer(visit: Visit) -> None:
        visit.head()
        visit.send(before)
        while visit.read():
            pass

    return answer


_PART = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"

FAILURES: dict[str, tuple[Answer, int, str]] = {
    "closes": (_closes(), 502, "closed, without a byte of an answer"),
    "closes in the head": (_closes(_PART), 502, "closed, in the answer's head"),
    "closes in the body": (_closes(_PART + b"\r\nabc"), 200, "closed, in the answer's body"),
    "resets": (_resets, 502, "Connection reset by peer, without a byte of an answer"),
    "says nothing": (_waits(), 504, "timed out, without a byte of an answer"),
    "stops in the head": (_waits(_PART), 504, "timed out, in the answer's head"),
    "stops in the body": (_waits(_PART + b"\r\nabc"), 200, "timed out, in the answer's body"),
}


def test_the_record_says_how_a_server_failed(site: tuple[Gateway, Upstream]) -> None:
    """wire-rules.md#D9: the record names the server and says how it failed."""
    running, server = site
    for what, (answer, expected, _) in FAILURES.items():
        server.clear(answer)
        assert ask_for(running, "/shop/" + what.replace(" ", "-")) == expected
    for what, (_, _, cause) in FAILURES.items():
        (record,) = running.records(path="/shop/" + what.replace(" ", "-"))
        assert (record["upstream"], record["cause"]) == (server.url, cause)


UNREACHED = {
    "gone": "Connection refused",
    "tls": "TLS: ",
    "unnamed": "its name cannot be resolved: ",
    "file": "No such file or directory",
}


def test_the_record_says_why_no_server_could_be_reached(site: tuple[Gateway, Upstream]) -> None:
    """wire-rules.md#D9: the server that could not be reached is named, too; the log tells operators
    the same.
    """
    running, server = site
    server.clear(lambda visit: visit.send(b"HTTP/1.1 400 This is no TLS\r\n\r\n"))
    for name in UNREACHED:
        assert ask_for(running, f"/{name}/x") == 502
    for name, cause in UNREACHED.items():
        (record,) = running.records(path=f"/{name}/x")
        assert record["cause"].startswith(cause)
        assert record["upstream"] == running.config["upstreams"][name]
        line = f"upstream {name}: {record['upstream']}: {record['cause']}"
        assert line in running.log.read_text()


RULES = {
    "LF alone": "a line ends in LF without CR (RFC 9112 §2.2)",
    "a bare LF": "a line ends in LF without CR (RFC 9112 §2.2)",
    "a bare CR": "a CR stands without LF (RFC 9112 §2.2)",
    "a space before the colon": "white space stands before a colon (RFC 9112 §5.1)",
    "a folded line": "a field line is folded (RFC 9112 §5.2)",
    "no colon": "a field line has no colon (RFC 9112 §5)",
    "a NUL": "a field's value holds a control byte (RFC 9110 §5.5)",
    "no name": "a field's name holds a byte that no name has (RFC 9110 §5.1)",
    "two lengths": "Content-Length came twice (RFC 9112 §6.3)",
    "a negative length": "a length is no number (RFC 9110 §8.6)",
    "length and coding": "Content-Length and Transfer-Encoding came together (RFC 9112 §6.1)",
    "another coding": "Transfer-Encoding is not chunked alone (RFC 9112 §6.1)",
    "HTTP/1.0 and chunked": "chunks came in HTTP/1.0 (RFC 9112 §6.1)",
    "status 99": "the status is not within 100 and 999 (RFC 9110 §15)",
    "HTTP/2.0": "the status line is of another HTTP version (RFC 9110 §2.5)",
    "no HTTP": "the first line is no status line (RFC 9112 §4)",
    "a line without end": "its head is over limits.response_head_size",
    "a 101 unasked": "it switches protocols unasked (RFC 9110 §15.2.2)",
}


def test_the_record_says_which_rule_an_answer_breaks(site: tuple[Gateway, Upstream]) -> None:
    """wire-rules.md#D9: whatever an answer breaks has a name."""
    running, server = site
    paths = {what: f"/shop/broken/{number}" for number, what in enumerate(BAD_ANSWERS)}
    for what, path in paths.items():
        server.clear(always(BAD_ANSWERS[what]))
        assert ask_for(running, path) == 502
    for what, path in paths.items():
        (record,) = running.records(path=path)
        assert (record["reason"], record["upstream"]) == ("upstream_invalid", server.url)
        assert record["cause"] != UNKNOWN
        assert record["cause"] == RULES.get(what, record["cause"]), what


def test_no_log_repeats_a_malformed_answer(site: tuple[Gateway, Upstream]) -> None:
    """wire-rules.md#E6: what an answer holds is in no log, however malformed it is."""
    running, server = site
    for broken in (SECRET + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + SECRET + b"\x00: x\r\n\r\n"):
        server.clear(always(broken))
        assert ask_for(running, "/shop/secret") == 502
    assert running.records(path="/shop/secret")
    assert SECRET not in running.access_log.read_bytes() + running.log.read_bytes()


def test_the_record_of_a_login_says_how_its_backend_failed(site: tuple[Gateway, Upstream]) -> None:
    """wire-rules.md#D9: the same is said where the gateway itself asks a backend."""
    running, _ = site
    line = f"upstream gone: {running.config['upstreams']['gone']}: Connection refused"
    before = running.log.read_text().count(line)
    assert _log_in(running, b"/login") == 502
    assert running.log.read_text().count(line) == before + 1


_LOGGED_IN = b"Content-Type: application/json\r\nX-Token: %b\r\n" % SECRET
_BROKEN_LOGINS = {
    "chunk size": _LOGGED_IN + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
    "Content-Length": _LOGGED_IN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "header token": b"X-Bad-" + SECRET + b" : a\r\n\r\n",
}


@pytest.mark.parametrize("rule", _BROKEN_LOGINS)
def test_the_rule_that_a_login_s_reply_breaks(site: tuple[Gateway, Upstream], rule: str) -> None:
    """wire-rules.md#D9, #E6: it is named, and nothing of the reply is repeated."""
    running, server = site
    server.clear(always(b"HTTP/1.1 200 OK\r\n" + _BROKEN_LOGINS[rule]))
    assert _log_in(running, b"/asked-login") == 502
    said = running.log.read_text().splitlines()[-1]
    assert f"upstream asked: {server.url}: its reply is broken: " in said
    assert rule in said
    assert SECRET.decode() not in said


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "it switches protocols"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "limits.response_head_size"),
        (b"", "Connection reset by peer, without a whole answer"),
    ],
    ids=["101", "a long head", "a reset"],
)
def test_what_else_breaks_a_login(site: tuple[Gateway, Upstream], data: bytes, cause: str) -> None:
    """wire-rules.md#D9: the server is named, and not the gateway; and what it did."""
    running, server = site
    server.clear(always(data) if data else _resets)
    assert _log_in(running, b"/asked-login") == 502
    said = running.log.read_text().splitlines()[-1]
    assert f"upstream asked: {server.url}: " in said
    assert cause in said


def _log_in(running: Gateway, path: bytes) -> int:
    body = b'{"username": "a", "password": "b"}'
    head = b"POST %b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n" % path
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return status(ask(running.port, head + body))
