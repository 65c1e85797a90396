"""Renewal: once, over all gateways; never past a revocation; and honest when it fails."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.sessions.conftest import call, calls, log_in, log_out, sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG, eventually
from tests.support.raw import Client, Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import SECRET, Renewing
from tests.wire.test_step_up import HOUR, aged

Pair = tuple[Gateway, Gateway]

# Of tokens, in seconds: a fifth of it lies between the time when one is due and its expiry.
LONG_LIFE = 6.0


def until(moment: float) -> None:
    """Waits until just after a moment, in UNIX seconds."""
    time.sleep(max(0.0, moment + 0.05 - time.time()))


def test_fifty_requests_at_the_moment_of_expiry(pair: Pair, backend: Renewing) -> None:
    """One refresh over both gateways; a backend that refuses a reused one is content."""
    key = log_in(pair[0].port)
    until(backend.expiry)
    answers = calls(list(pair), key, 50)
    assert {(code, body["sub"]) for code, body, _ in answers} == {(200, "alice")}
    assert len(backend.refreshes) == 1
    assert not backend.stolen
    assert set(backend.seen) == {backend.tokens[-1]}


def test_a_token_is_renewed_before_its_expiry_beside_the_requests(
    pair: Pair, backend: Renewing
) -> None:
    """A request that comes then is not kept waiting by a slow refresh."""
    backend.delay, backend.life = 4.0, LONG_LIFE
    key = log_in(pair[0].port)
    until(backend.due)
    began = time.monotonic()
    assert call(pair[0], key)[0] == 200
    assert time.monotonic() - began < backend.delay
    assert backend.seen == backend.tokens[:1]
    eventually(lambda: len(backend.tokens) == 2)
    eventually(lambda: call(pair[0], key)[0] == 200 and backend.seen[-1] == backend.tokens[1])
    assert len(backend.refreshes) == 1


def test_a_body_that_is_read_first_goes_with_the_token_of_its_end(
    pair: Pair, backend: Renewing
) -> None:
    """`buffer_request`: the token of its beginning has expired meanwhile."""
    key = log_in(pair[0].port)
    with Client(pair[0].port) as client:
        client.send(
            f"POST /api/whole HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
            "Content-Length: 2\r\n\r\nh".encode()
        )
        until(backend.expiry)
        client.send(b"i")
        assert client.answer()[0] == 200
    assert backend.seen == backend.tokens[1:]
    assert len(backend.refreshes) == 1


def test_rotated_refresh_tokens_are_kept(pair: Pair, backend: Renewing) -> None:
    """Several times over, on one gateway and on the other by turns."""
    backend.life = 1.0
    key = log_in(pair[0].port)
    for at in range(4):
        until(backend.expiry)
        assert call(pair[at % 2], key)[:2] == (200, {"sub": "alice", "size": 0})
    assert len(backend.refreshes) == 4
    assert not backend.stolen


def test_a_session_revoked_meanwhile_is_not_resurrected(pair: Pair, backend: Renewing) -> None:
    """The logout comes while the backend is asked; what it answers is thrown away."""
    backend.delay = 1.5
    key = log_in(pair[0].port)
    until(backend.expiry)
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(call(pair[0], key)[0]))
    waiting.start()
    eventually(lambda: backend.refreshes)
    assert log_out(pair[1], key) == 204
    waiting.join()
    assert answers == [401]
    assert len(backend.tokens) == 2
    assert [call(running, key)[0] for running in pair] == [401, 401]


def test_a_refresh_that_takes_longer_than_a_lease(pair: Pair, backend: Renewing) -> None:
    """The lease is extended while the call runs, so the other gateway waits and shares."""
    backend.delay = 4.5
    key = log_in(pair[0].port)
    until(backend.expiry)
    backend.life = 60
    answers = calls(list(pair), key, 4)
    assert [code for code, _, _ in answers] == [200] * 4
    assert len(backend.refreshes) == 1


def test_a_failed_renewal_keeps_the_token_until_it_expires(pair: Pair, backend: Renewing) -> None:
    """Then it is 503: no user is logged out by a backend that is down; and it recovers."""
    backend.status, backend.life = 500, LONG_LIFE
    key = log_in(pair[0].port)
    until(backend.due)
    assert call(pair[0], key)[0] == 200
    eventually(lambda: backend.refreshes)
    until(backend.expiry)
    code, problem, fields = call(pair[0], key)
    assert (code, problem["reason"]) == (503, "renewal_failed")
    assert int(fields["Retry-After"]) > 0
    backend.status = 0
    eventually(lambda: call(pair[0], key)[0] == 200)
    assert not backend.stolen


def test_a_renewed_token_is_verified_like_the_first(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """One that another issuer has signed is no token, and no upstream ever sees it."""
    changed = sections(backend)
    changed["login"]["verify"] = {"secret": SECRET}
    with gateway(tmp_path, redis.url, **changed) as only:
        key = log_in(only.port)
        backend.signs_with = SECRET[::-1]
        until(backend.expiry)
        code, problem, _ = call(only, key)
        assert (code, problem["reason"]) == (503, "renewal_failed")
        assert len(backend.tokens) == 2
        assert backend.seen == []


def test_a_proxy_that_asks_is_told_the_renewed_token(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """It waits for it as a request does that passes through; one that cannot be had is 503."""
    with gateway(tmp_path, redis.url, **sections(backend), verify={}) as only:
        key = log_in(only.port)
        question = (
            b"GET /.well-known/latchkey/verify HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /api/x\r\n"
            b"Authorization: Bearer %b\r\n\r\n" % key.encode()
        )
        until(backend.expiry)
        answer = ask(only.port, question)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert f"\r\nAuthorization: Bearer {backend.tokens[1]}\r\n".encode() in answer
        backend.status = 500
        until(backend.expiry)
        answer = ask(only.port, question)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
        assert b"eyJ" not in answer


def test_a_refused_renewal_ends_the_session_with_its_token(pair: Pair, backend: Renewing) -> None:
    """Until then the token is good, and used."""
    backend.status, backend.life = 401, LONG_LIFE
    key = log_in(pair[0].port)
    until(backend.due)
    assert call(pair[0], key)[0] == 200
    until(backend.expiry)
    code, problem, _ = call(pair[0], key)
    assert (code, problem["reason"]) == (401, "invalid_key")
    backend.status = 0
    assert call(pair[1], key)[0] == 401, "it has ended for good"


def test_a_gateway_killed_while_it_renews(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """Its lease runs out, and the next one goes on."""
    backend.delay, backend.life = 60.0, LONG_LIFE
    with gateway(tmp_path / "one", redis.url, **sections(backend)) as one:
        key = log_in(one.port)
        until(backend.due)
        assert call(one, key)[0] == 200
        eventually(lambda: backend.refreshes)
        for pid in (one.pid, *one.workers()):
            os.kill(pid, signal.SIGKILL)
    backend.delay = 0.0
    until(backend.expiry)
    with gateway(tmp_path / "two", redis.url, **sections(backend)) as two:
        assert call(two, key)[0] == 200
    assert len(backend.refreshes) == 2


@pytest.mark.parametrize("by", ["cookie", "form"])
def test_refresh_tokens_in_other_places(
    tmp_path: Path, redis: RedisServer, backend: Renewing, by: str
) -> None:
    """A cookie goes back as a cookie; OAuth's form is said in config.yaml. No client sees one."""
    backend.by = by
    renew = {"form": {"send": "form:refresh_token", "body": {"grant_type": "refresh_token"}}}
    with gateway(tmp_path, redis.url, **sections(backend, renew.get(by))) as only:
        answer = ask(
            only.port,
            b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b'Content-Length: 17\r\nConnection: close\r\n\r\n{"username":"al"}',
        )
        [refresh] = backend.families
        assert refresh.encode() not in answer
        key = answer.partition(b'"token": "')[2].partition(b'"')[0].decode()
        until(backend.expiry)
        assert call(only, key)[:2] == (200, {"sub": "al", "size": 0})
        until(backend.expiry)
        assert call(only, key)[0] == 200
    assert len(backend.refreshes) == 2


def test_an_upstream_that_refuses_the_token(pair: Pair, backend: Renewing) -> None:
    """If config.yaml says so: one renewal and one more try, for all that wait; a request with a
    body is not repeated.
    """
    backend.life = 60
    key = log_in(pair[0].port)
    assert call(pair[0], key)[0] == 200
    backend.revoked.update(backend.tokens)
    assert call(pair[0], key, body=b"12345")[0] == 401
    assert backend.refreshes == []
    answers = calls(list(pair), key, 20)
    assert [code for code, _, _ in answers] == [200] * 20
    assert len(backend.refreshes) == 1
    assert call(pair[0], key, body=b"12345")[:2] == (200, {"sub": "alice", "size": 5})


def test_an_upstream_that_refuses_every_token(pair: Pair, backend: Renewing) -> None:
    """One more try, then its 401 passes as it is, and the session goes on."""
    backend.life = 60
    key = log_in(pair[0].port)
    assert call(pair[0], key)[0] == 200
    backend.status = 500
    backend.revoked.update(backend.tokens)
    code, body, _ = call(pair[0], key)
    assert (code, body) == (401, {"detail": "revoked token"})
    backend.revoked.clear()
    assert call(pair[0], key)[0] == 200


def test_a_new_token_that_lacks_what_the_route_requires(pair: Pair, backend: Renewing) -> None:
    """It does not go upstream in place of the refused one. The next request is 403."""
    backend.life, backend.claims = 60, {"role": "staff"}
    key = log_in(pair[0].port)
    assert call(pair[0], key, path="/api/staff")[0] == 200
    backend.claims = {}
    backend.revoked.update(backend.tokens)
    seen = len(backend.seen)
    assert call(pair[0], key, path="/api/staff")[0] == 401
    assert (len(backend.refreshes), backend.seen[seen:]) == (1, backend.tokens[:1])
    assert call(pair[0], key, path="/api/staff")[0] == 403
    assert call(pair[0], key)[0] == 200


def test_a_renewal_is_no_login(pair: Pair, backend: Renewing, redis: RedisServer) -> None:
    """A route that requires a recent login asks when the password was checked."""
    backend.life = 60
    key = log_in(pair[0].port)
    assert call(pair[0], key, path="/api/pay")[0] == 200
    aged(pair[0], redis, key, HOUR)
    eventually(lambda: call(pair[0], key, path="/api/pay")[0] == 401)
    backend.revoked.update(backend.tokens)
    assert call(pair[0], key)[0] == 200
    assert len(backend.refreshes) == 1
    for gate in pair:
        assert call(gate, key, path="/api/pay")[0] == 401


_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_broken_answer_that_was_held_back(
    tmp_path: Path, redis: RedisServer, backend: Renewing, shop: Upstream
) -> None:
    """A 401 waits for another token; there is none, and a chunk of it is broken. What came with its
    head makes it 502, for nothing has been sent; what comes later cuts it.
    """
    backend.status = 500
    changed = sections(backend, renew_on_upstream_401=True)
    changed["upstreams"]["shop"] = shop.url
    changed["routes"] = [{"path": "/*", "upstream": "shop"}]

    came = threading.Event()

    def refuses(visit: Visit) -> None:
        if visit.head().startswith(b"GET /now "):
            visit.send(_REFUSED + b"zz\r\nno\r\n")
        else:
            visit.send(_REFUSED + b"2\r\nno\r\n")
            came.wait(HANG)
            visit.send(b"zz\r\n")

    shop.clear(refuses)
    with gateway(tmp_path, redis.url, **changed) as only:
        key = log_in(only.port)
        request = f"HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {key}\r\n"
        whole = ask(only.port, f"GET /now {request}Connection: close\r\n\r\n".encode())
        assert whole.startswith(b"HTTP/1.1 502 ")
        assert b"upstream_invalid" in whole
        with Client(only.port) as client:
            client.send(f"GET /later {request}\r\n".encode())
            assert status(client.head()) == 401
            came.set()
            assert client.rest() == b"2\r\nno\r\n"
        for path in ("/now", "/later"):
            assert only.records(path=path, reason="upstream_invalid")
    assert backend.refreshes


def test_ending_a_session_that_an_upstream_refuses(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """If config.yaml says so: its 401 passes, and the key is good for nothing any more."""
    backend.life = 60
    backend.status = 401
    with gateway(tmp_path, redis.url, **sections(backend, end_on_upstream_401=True)) as only:
        key = log_in(only.port)
        assert call(only, key)[0] == 200
        backend.revoked.update(backend.tokens)
        assert call(only, key)[1] == {"detail": "revoked token"}
        backend.revoked.clear()
        eventually(lambda: call(only, key)[0] == 401)


def test_a_token_that_a_backend_has_revoked(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """It has logged its user out: no new token undoes that, unless config.yaml says so."""
    backend.life = 60
    with gateway(tmp_path, redis.url, **sections(backend)) as only:
        key = log_in(only.port)
        assert call(only, key)[0] == 200
        backend.revoked.update(backend.tokens)
        for _ in range(2):
            assert call(only, key)[:2] == (401, {"detail": "revoked token"})
        assert call(only, key, body=b"12345")[0] == 401
        assert backend.refreshes == []
        # Nor is the session ended: that is said by `end_on_upstream_401`.
        backend.revoked.clear()
        assert call(only, key)[0] == 200


def test_a_token_that_is_about_to_expire(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """A backend whose clock is ahead refuses it before its time: one renewal, and one more try."""
    backend.delay, backend.life = 0.5, LONG_LIFE
    with gateway(tmp_path, redis.url, **sections(backend)) as only:
        key = log_in(only.port)
        until(backend.due)
        backend.revoked.update(backend.tokens)
        assert call(only, key)[0] == 200
        assert backend.seen == backend.tokens
        assert len(backend.refreshes) == 1
