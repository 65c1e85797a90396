"""Minted tokens: over real gateways, before a backend that verifies them by their key set."""

import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from tests.sessions.conftest import call, calls, log_in, log_out
from tests.support.gateway import SECRET, Gateway, gateway, reload, reloaded
from tests.support.processes import eventually
from tests.support.raw import ask, status
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import SECRET as HMAC_SECRET
from tests.support.signing_keys import pem, signing, signing_key
from tests.support.verifying import Verifying, verifying

LIFE = 4  # of a token, in seconds


@pytest.fixture(scope="module")
def running_backend() -> Iterator[Verifying]:
    with verifying() as backend:
        yield backend


@pytest.fixture
def backend(running_backend: Verifying) -> Verifying:
    """The backend, as if new."""
    url = running_backend.url
    running_backend.__init__(url=url)  # type: ignore[misc]
    return running_backend


def sections(backend: Verifying, *keys: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "session": {"secrets": [SECRET], "clock_skew": 0.2},
        "signing": signing(*keys, lifetime=LIFE),
        "upstreams": {"api": backend.url},
        "login": {
            "kind": "mint",
            "path": "/login",
            "upstream": "api",
            "claims": {"sub": "/user/id", "role": "/user/role"},
        },
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/admin/*", "upstream": "api", "claims": {"role": "admin"}},
        ],
        **more,
    }


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Verifying
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways with the same keys."""
    folder = tmp_path_factory.mktemp("pair")
    with (
        gateway(folder / "one", redis.url, **sections(running_backend)) as one,
        gateway(folder / "two", redis.url, **sections(running_backend)) as two,
    ):
        yield one, two


Pair = tuple[Gateway, Gateway]


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_a_backend_verifies_what_the_gateway_minted(
    tmp_path: Path, redis: RedisServer, backend: Verifying, algorithm: str
) -> None:
    """The whole job: yes from the backend, a key for the device, a good token upstream."""
    sign = signing(signing_key(algorithm), audience="api")
    with gateway(tmp_path, redis.url, **sections(backend, signing=sign)) as running:
        backend.audience = "api"
        backend.keys = HMAC_SECRET
        if algorithm != "HS256":
            backend.trust(running.port)
        backend.roles = {"alice": "admin"}
        key = log_in(running.port)
        code, said, _ = call(running, key)
        assert code == 200, said
        assert (said["sub"], said["role"], said["iss"]) == (
            "alice",
            "admin",
            "https://gateway.example",
        )
        assert call(running, key, path="/api/admin/x")[0] == 200
        assert call(running, log_in(running.port, "bob"), path="/api/admin/x")[0] == 403
        assert log_out(running, key) == 204
        assert call(running, key)[0] == 401
    written = running.log.read_text() + running.access_log.read_text()
    for secret in (key, backend.seen[0], HMAC_SECRET):
        assert secret not in written
    assert "PRIVATE" not in written


def test_a_wrong_password_is_the_backends_to_say(pair: Pair, backend: Verifying) -> None:
    """Its refusal comes as it is, and no session comes of it."""
    body = b'{"username": "alice", "password": "guess"}'
    answer = ask(
        pair[0].port,
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (len(body), body),
    )
    assert status(answer) == 401
    assert answer.endswith(b'{"detail": "wrong"}')


def test_tokens_are_minted_anew_on_every_gateway(pair: Pair, backend: Verifying) -> None:
    """A session outlives many tokens, and no request sees an expired one."""
    backend.trust(pair[0].port)
    key = log_in(pair[0].port)
    until = time.monotonic() + 2.5 * LIFE
    names = set()
    while time.monotonic() < until:
        for running in pair:
            code, said, _ = call(running, key)
            assert code == 200, said
            names.add(said["jti"])
        time.sleep(0.1)
    assert len(names) >= 3
    assert len(names) < 12, "each token is used for most of its life"


def test_fifty_requests_after_the_expiry(pair: Pair, backend: Verifying) -> None:
    """One new token serves them all, on both gateways."""
    backend.trust(pair[1].port)
    key = log_in(pair[0].port)
    time.sleep(LIFE + 1)
    answers = calls(list(pair), key, 50)
    assert {code for code, _, _ in answers} == {200}
    assert len({said["jti"] for _, said, _ in answers}) == 1


def test_keys_are_rotated_by_reloads_and_nobody_is_logged_out(
    tmp_path: Path, redis: RedisServer, backend: Verifying
) -> None:
    """Shown first, then signing, then the old one goes; a backend that keeps the set follows."""
    old, new = signing_key("RS256", kid="old"), signing_key("ES256", kid="new")
    with gateway(tmp_path, redis.url, **sections(backend, old)) as running:
        backend.trust(running.port)
        key = log_in(running.port)
        for keys, signs in (([old, new], "old"), ([new, old], "new"), ([new], "new")):
            take(running, tmp_path, sections(backend, *keys))
            assert shows(running, {key["kid"] for key in keys})
            eventually(partial(is_signed, running, key, backend, signs))
        assert call(running, key)[0] == 200
    assert backend.refused == []


def test_a_key_that_is_gone_at_once(tmp_path: Path, redis: RedisServer, backend: Verifying) -> None:
    """A token of a key that leaked is refused by the backend, and the session gets another one."""
    leaked, new = signing_key("ES256", kid="leaked"), signing_key("ES256", "new", kid="new")
    life = {"signing": signing(leaked, lifetime=300)}
    with gateway(tmp_path, redis.url, **sections(backend, **life)) as running:
        backend.trust(running.port)
        key = log_in(running.port)
        assert is_signed(running, key, backend, "leaked")
        take(running, tmp_path, sections(backend, signing=signing(new, lifetime=300)))
        assert shows(running, {"new"})
        backend.trust(running.port)
        code, said, _ = call(running, key)
        assert (code, kid(backend.seen[-2]), kid(backend.seen[-1])) == (200, "leaked", "new"), said


def test_a_reload_with_a_broken_key_changes_nothing(
    tmp_path: Path, redis: RedisServer, backend: Verifying
) -> None:
    """The old configuration stays, and the log says where the fault is, without the key."""
    with gateway(tmp_path, redis.url, **sections(backend)) as running:
        backend.trust(running.port)
        key = log_in(running.port)
        broken = signing_key("RS256")
        broken["private_key"] = pem("ES256")
        write(running, tmp_path, sections(backend, broken))
        reload(running)
        eventually(lambda: "the old configuration stays" in running.log.read_text())
        assert call(running, key)[0] == 200
    log = running.log.read_text()
    assert re.search(r"config.yaml:\d+:\d+: signing.keys\[0\].private_key: is of another kind", log)
    assert "PRIVATE" not in log


def test_the_key_set_needs_no_key(pair: Pair) -> None:
    """It is for upstreams, which have none; a key that is wrong does no harm."""
    for line in (b"", b"Authorization: Bearer lk_wrong\r\n"):
        answer = ask(
            pair[0].port,
            b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%b\r\n" % line,
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) == 200
        assert b"\r\nCache-Control: public, max-age=60\r\n" in head
        [key] = json.loads(body)["keys"]
        assert "d" not in key


def take(running: Gateway, folder: Path, changes: dict[str, Any]) -> None:
    """Has a gateway take another configuration."""
    write(running, folder, changes)
    reloaded(running)


def write(running: Gateway, folder: Path, changes: dict[str, Any]) -> None:
    file = folder / "config.yaml"
    fresh = folder / "config.new"
    fresh.write_text(yaml.safe_dump({**running.config, **changes}))
    os.replace(fresh, file)


def shows(running: Gateway, ids: set[str]) -> bool:
    """Whether the key set has keys of these ids, and no others."""
    url = f"http://127.0.0.1:{running.port}/.well-known/jwks.json"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return {key["kid"] for key in json.load(answer)["keys"]} == ids


def is_signed(running: Gateway, key: str, backend: Verifying, by: str) -> bool:
    """Whether the key of this id has signed what the backend gets now."""
    code, said, _ = call(running, key)
    assert code == 200, said
    return kid(backend.seen[-1]) == by


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])
