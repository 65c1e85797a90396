"""Refresh calls: frontends refresh as if there were no gateway, and hold nothing but keys."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.sessions.conftest import call, log_out, sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing

Pair = tuple[Gateway, Gateway]

# How long tokens live here (seconds): no renewal of the gateway's own comes between.
LIFE = 600.0


@pytest.fixture(autouse=True)
def _long_lives(backend: Renewing) -> None:
    backend.life = LIFE


def asked(
    gateways: list[Gateway], path: str, bodies: list[Any], **fields: str
) -> list[tuple[int, Any]]:
    """POST these bodies at the same time, spread over the gateways."""

    async def one(client: aiohttp.ClientSession, at: int) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{gateways[at % len(gateways)].port}{path}"
        async with client.post(url, json=bodies[at], headers=fields) as answer:
            return answer.status, json.loads(await answer.read())

    async def every() -> list[tuple[int, Any]]:
        timeout = aiohttp.ClientTimeout(total=HANG)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            return await asyncio.gather(*(one(client, at) for at in range(len(bodies))))

    return asyncio.run(every())


def log_in(gateway: Gateway, subject: str = "alice") -> tuple[str, str]:
    """The key and the refresh key."""
    [(status, reply)] = asked([gateway], "/login", [{"username": subject}])
    assert status == 200
    return reply["token"], reply["refresh"]


def refresh(gateway: Gateway, refresh_key: str, **fields: str) -> tuple[int, Any]:
    [answer] = asked([gateway], "/refresh", [{"refresh": refresh_key}], **fields)
    return answer


def test_a_refresh_call_is_answered_in_the_backends_shape(pair: Pair, backend: Renewing) -> None:
    """It gives the same key, whose session has the backend's new token, and a new refresh key."""
    key, first = log_in(pair[0])
    assert first not in backend.families
    status, reply = refresh(pair[1], first)
    assert (status, set(reply)) == (200, {"token", "refresh"})
    assert reply["token"] == key
    assert reply["refresh"].startswith("lk_refresh_")
    assert reply["refresh"] != first
    assert first.encode() not in "".join(backend.refreshes).encode()
    assert call(pair[0], key)[0] == 200
    assert backend.seen == [backend.tokens[1]]


def test_parallel_tabs_share_one_refresh(pair: Pair, backend: Renewing) -> None:
    """Twenty calls over two gateways ask the backend once, and all get what goes on working."""
    backend.delay = 0.5
    key, first = log_in(pair[0])
    answers = asked(list(pair), "/refresh", [{"refresh": first}] * 20)
    assert {status for status, _ in answers} == {200}
    assert len(backend.refreshes) == 1
    assert not backend.stolen
    assert {reply["token"] for _, reply in answers} == {key}
    later = asked(list(pair), "/refresh", [{"refresh": reply["refresh"]} for _, reply in answers])
    assert {status for status, _ in later} == {200}
    assert len(backend.refreshes) == 1


def test_a_refresh_key_ends_with_its_session(pair: Pair, backend: Renewing) -> None:
    """At once and on each gateway; the refusal is the backend's own."""
    key, first = log_in(pair[0])
    _, other = log_in(pair[0])
    assert log_out(pair[0], key) == 204
    assert refresh(pair[1], first) == (401, {"detail": "reused"})
    assert refresh(pair[1], other)[0] == 200
    assert first not in "".join(backend.refreshes)


def test_an_old_refresh_key_is_refused_after_the_grace_period(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """Until then a tab that holds it gets a good answer; it ends no session either."""
    changed = sections(backend)
    changed["login"]["refresh"] = {"grace": "1s"}
    with gateway(tmp_path, redis.url, **changed) as only:
        key, first = log_in(only)
        _, reply = refresh(only, first)
        assert refresh(only, first)[0] == 200
        time.sleep(1.1)
        assert refresh(only, first) == (401, {"detail": "reused"})
        assert refresh(only, reply["refresh"])[0] == 200
        assert call(only, key)[0] == 200
    assert len(backend.refreshes) == 3  # the second one is that of the refusal


@pytest.mark.parametrize("text", ["", "made up", "lk_refresh_" + "A" * 129])
def test_what_is_no_refresh_key_opens_nothing(pair: Pair, backend: Renewing, text: str) -> None:
    """Nor does the backend see it."""
    assert refresh(pair[0], text) == (401, {"detail": "reused"})
    assert not text or text not in "".join(backend.refreshes)


def test_a_backends_own_refresh_token_opens_nothing(pair: Pair, backend: Renewing) -> None:
    """A stolen one is worth nothing at the gateway, and is not used up."""
    log_in(pair[0])
    [stolen] = backend.families
    assert refresh(pair[0], stolen) == (401, {"detail": "reused"})
    assert stolen not in backend.used


def test_keys_and_refresh_keys_do_not_stand_for_each_other(pair: Pair, backend: Renewing) -> None:
    """A refresh key is no key, and a key does not refresh."""
    key, first = log_in(pair[0])
    status, problem, _ = call(pair[0], first)
    assert (status, problem["reason"]) == (401, "not_a_key")
    assert refresh(pair[0], key) == (401, {"detail": "reused"})
    assert refresh(pair[0], "", Authorization=f"Bearer {key}") == (401, {"detail": "reused"})
    assert key not in "".join(backend.refreshes)


def test_a_backend_that_is_down_logs_out_no_frontend(pair: Pair, backend: Renewing) -> None:
    """It is 503, and the refresh key is good later on."""
    key, first = log_in(pair[0])
    backend.status = 500
    status, problem = refresh(pair[0], first)
    assert (status, problem["reason"]) == (503, "renewal_failed")
    backend.status = 0
    assert call(pair[0], key)[0] == 200
    assert refresh(pair[1], first)[0] == 200


def test_lifetimes_are_the_sessions(pair: Pair, backend: Renewing) -> None:
    """A frontend's timer runs for as long as its key is good: 12 hours by default."""
    backend.more = {"expires_in": int(LIFE), "user": {"expires_in": 1}}
    [(_, reply)] = asked([pair[0]], "/login", [{"username": "alice"}])
    _, again = refresh(pair[0], reply["refresh"])
    for told in (reply, again):
        assert 43190 < told["expires_in"] <= 43200
        assert told["user"] == {"expires_in": 1}


def test_a_body_holds_no_refresh_key_if_it_holds_no_key(pair: Pair, backend: Renewing) -> None:
    """With the key in the gateway's cookie, no script gets anything to refresh with."""
    wish = {"X-Requested-With": "cookie", "Sec-Fetch-Site": "same-origin"}
    [(_, reply)] = asked([pair[0]], "/login", [{"username": "alice"}], **wish)
    assert reply == {"token": "", "refresh": ""}


def test_no_other_site_sets_the_gateways_cookie(pair: Pair, backend: Renewing) -> None:
    """It could bring a refresh key of its own, and make a visitor another user."""
    _, first = log_in(pair[0])
    wish = {"X-Requested-With": "cookie", "Origin": "https://evil.example"}
    status, problem = refresh(pair[0], first, **wish)
    assert (status, problem["reason"]) == (403, "cross_site")
    assert not backend.refreshes


def test_a_captured_reply_holds_a_refresh_key(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """It goes on with the refresh token that came along, and tells the session's life."""
    backend.more = {"expires_in": int(LIFE)}
    changed = sections(backend)
    changed["routes"].append({"path": "/api/switch", "upstream": "api", "captures": "/token"})
    with gateway(tmp_path, redis.url, **changed) as only:
        key, _ = log_in(only)
        fields = {"Authorization": f"Bearer {key}"}
        [(status, reply)] = asked([only], "/api/switch", [{}], **fields)
        assert (status, reply["token"]) == (200, key)
        assert 43190 < reply["expires_in"] <= 43200
        assert refresh(only, reply["refresh"])[0] == 200
        assert call(only, key)[0] == 200
    assert not backend.stolen


def test_a_reply_without_a_refresh_token_is_told_of_once(
    tmp_path: Path, redis: RedisServer, backend: Renewing
) -> None:
    """In the log, since only then it is known; its sessions end with their tokens."""
    changed = sections(backend, {"refresh_token": "/nowhere"})
    with gateway(tmp_path, redis.url, **changed) as only:
        for _ in range(2):
            [(status, reply)] = asked([only], "/login", [{"username": "alice"}])
            assert (status, reply["refresh"]) == (200, "")
        log = only.log.read_text()
    assert log.count("a reply to the login /login holds no refresh token") == 1
