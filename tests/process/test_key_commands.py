"""`gateway keys issue|list|revoke`: named keys for scripts, on a real Redis and on the embedded
store.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from gateway.core.sessions import keys
from tests.conftest import accounts, log_in, token_of
from tests.process.conftest import sections
from tests.process.test_session_commands import API, emptied, session_id, sessions
from tests.support.command_line import Done, run
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.raw import Upstream, ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.support.signing_keys import signing


@pytest.fixture(scope="module", params=["redis", "embedded"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, backend: Upstream
) -> Iterator[Gateway]:
    """A gateway on a store of its own, whose sessions are soon idle."""
    folder = tmp_path_factory.mktemp("keys")
    session: dict[str, Any] = {"idle_timeout": "1s", "max_age": "1h"}
    if request.param == "redis":
        session["secrets"] = ["a secret of the tests, long enough"]
        with (
            redis_server(folder) as server,
            gateway(folder / "g", server.url, **sections(backend), session=session) as started,
        ):
            yield started
        return
    store: Any = {"url": "embedded", "data_dir": str(folder / "data")}
    with gateway(folder / "g", store, **sections(backend), session=session) as started:
        yield started


@pytest.fixture
def relay(running: Gateway) -> Gateway:
    """The gateway without keys."""
    return emptied(running)


def config_of(relay: Gateway) -> str:
    return str(relay.log.with_name("config.yaml"))


def issue(
    relay: Gateway, token: str, *more: str, subject: str = "robot", name: str = "nightly"
) -> str:
    """A named key, and it alone is on stdout."""
    done = issuing(config_of(relay), token, "--subject", subject, "--name", name, *more)
    assert done.returncode == 0, done.stderr
    key, nothing = done.stdout.split("\n")
    assert keys.parse_key(key.encode()) is not None
    assert nothing == ""
    assert session_id(key) in done.stderr
    assert key not in done.stderr
    assert not token or token not in done.stderr
    return key


def issuing(config: str, token: str, *arguments: str) -> Done:
    """The command, with a token on its stdin."""
    command = ("keys", "issue", "--token-file", "-", "-c", config)
    return run(*command, *arguments, stdin=token.encode())


def listed(relay: Gateway, *arguments: str) -> list[dict[str, str]]:
    done = run("keys", "list", "--json", *arguments, "-c", config_of(relay))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["keys"]
    return found


def revoked(relay: Gateway, *arguments: str) -> int:
    done = run("keys", "revoke", "--json", *arguments, "-c", config_of(relay))
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["revoked"])


def call(relay: Gateway, key: str) -> int:
    return status(ask(relay.port, API % key.encode()))


def test_a_key_for_a_script(relay: Gateway, backend: Upstream) -> None:
    """It carries the token that it stands for, it is never idle, and it ends when it is revoked: on
    a gateway that remembers it, too.
    """
    token = token_of("robot", role="bot", exp=int(time.time()) + 86_400 * 400)
    key = issue(relay, token, "--expires", "90d")
    backend.clear(accounts)
    assert call(relay, key) == 200
    assert f"Authorization: Bearer {token}\r\n".encode() in backend.got
    assert b"X-User-Id: robot\r\n" in backend.got
    [shown] = listed(relay)
    assert shown["handle"] == session_id(key)
    assert (shown["subject"], shown["name"]) == ("robot", "nightly")
    ends = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * 86_400))
    assert shown["ends"].startswith(ends)
    usual = log_in(relay.port, "alice")
    time.sleep(1.5)
    assert call(relay, usual) == 401
    assert call(relay, key) == 200
    assert listed(relay)[0]["last_seen"] > shown["created"]
    assert revoked(relay, f"--id={session_id(key)}") == 1
    assert call(relay, key) == 401
    assert listed(relay) == []
    issued, ended = relay.events(event="login", subject="robot")[0], relay.events(event="revoke")[0]
    for event in (issued, ended):
        assert event["session"] == session_id(key)[:12]
        assert event["device"] == "nightly"
        assert event["by"] == "command line"


def test_keys_are_sessions(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """They are listed with the others, and ended with them; but logins push none of them out."""
    session = {"secrets": ["a secret of the tests, long enough"], "max_per_subject": 2}
    store: Any = {"url": redis.url, "prefix": f"{tmp_path.name}:"}
    with gateway(tmp_path, store, **sections(backend), session=session) as relay:
        for name in ("one", "two", "three"):
            issue(relay, token_of("alice"), subject="alice", name=name)
        issue(relay, token_of("bob"), subject="bob", name="one")
        held = [log_in(relay.port, "alice") for _ in range(4)]
        assert [call(relay, key) for key in held] == [401, 401, 200, 200]
        named = {listed_key["name"] for listed_key in listed(relay, "--subject", "alice")}
        assert named == {"one", "two", "three"}
        assert len(listed(relay)) == 4
        shown = sessions(relay, "list", "--subject", "alice")["sessions"]
        assert {device["device"] for device in shown} == {*named, "Unknown device"}
        assert len(shown) == 5
        assert revoked(relay, "--subject", "alice", "--name", "two") == 1
        assert revoked(relay, "--subject", "alice", "--name", "two") == 0
        assert revoked(relay, "--subject", "alice") == 2
        assert call(relay, held[-1]) == 200
        assert sessions(relay, "revoke", "--subject", "bob") == {"revoked": 1}
        assert listed(relay) == []


def test_a_key_ends_with_its_token(relay: Gateway) -> None:
    """Whatever was asked for; and one whose token lasts for ever ends when it was asked to."""
    exp = int(time.time()) + 3600
    issue(relay, token_of("robot", exp=exp), "--expires", "90d")
    [shown] = listed(relay)
    hour = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(exp + 5))  # session.clock_skew later
    assert shown["ends"].startswith(hour)
    key = issue(relay, token_of("robot", exp=exp), "--expires", "2s", name="short")
    assert call(relay, key) == 200
    time.sleep(2.5)
    assert call(relay, key) == 401


def minting(file: str, claims: str | None) -> Done:
    said = () if claims is None else ("--claims", claims)
    return run("keys", "issue", "--subject", "robot", *said, "--expires", "90d", "-c", file)


def test_a_key_for_which_tokens_are_minted(
    tmp_path: Path, redis: RedisServer, backend: Upstream
) -> None:
    """They say what the operator has said, one after the other, as long as the key lasts."""
    more: dict[str, Any] = {**sections(backend), "signing": signing(lifetime=2)}
    more["routes"][1]["claims"] = {"role": "bot"}
    more["session"] = {"secrets": [SECRET], "clock_skew": 0.2, "idle_timeout": "1s"}
    store: Any = {"url": redis.url, "prefix": f"{tmp_path.name}:"}
    with gateway(tmp_path, store, **more) as relay:
        key = minting(config_of(relay), '{"role": "bot", "level": [1]}').stdout.strip()
        other = minting(config_of(relay), None).stdout.strip()
        assert call(relay, other) == 403
        backend.clear(accounts)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert call(relay, key) == 200
            time.sleep(0.3)
        time.sleep(2.5)
        assert call(relay, key) == 200
        sent = set(re.findall(rb"Authorization: Bearer (\S+)\r\n", backend.got))
        read = [jwt.decode(token, options={"verify_signature": False}) for token in sent]
        assert len(read) >= 3
        assert {(claims["sub"], claims["role"], claims["level"][0]) for claims in read} == {
            ("robot", "bot", 1)
        }
        ends = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 90 * 86_400))
        assert all(listed_key["ends"].startswith(ends) for listed_key in listed(relay))
        assert {listed_key["name"] for listed_key in listed(relay)} == {"robot"}
        assert revoked(relay, "--subject", "robot") == 2
        assert call(relay, key) == 401


def test_what_is_not_minted(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """Without a section for it; and claims that are none, or the gateway's own to say."""
    file = tmp_path / "config.yaml"
    data = {
        "version": 1,
        "store": {"url": redis.url, "prefix": "unminted:"},
        "session": {"secrets": [SECRET]},
        **sections(backend),
    }
    for changed, claims, words in (
        ({}, None, "no section `signing`"),
        ({"signing": signing()}, "[1]", "not a JSON object"),
        ({"signing": signing()}, "", "not JSON"),
        ({"signing": signing()}, "role=bot", "not JSON"),
        ({"signing": signing()}, '{"sub": "root", "aud": "x"}', "sets aud, sub itself"),
        ({"signing": signing()}, json.dumps({"x": "y" * 5000}), "too large"),
    ):
        file.write_text(yaml.safe_dump({**data, **changed}))
        done = minting(str(file), claims)
        assert (done.returncode, done.stdout) == (1, ""), claims
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    names = ("--subject", "robot", "--name", "n")
    done = issuing(str(file), token_of("robot"), *names, "--claims", "{}")
    assert (done.returncode, "already has claims" in done.stderr) == (1, True)
    with redis.client() as client:
        assert list(client.scan_iter("unminted:*")) == []


def test_for_people(relay: Gateway) -> None:
    """A table with titles, and plain sentences."""
    none = run("keys", "list", "-c", config_of(relay))
    assert (none.returncode, none.stdout) == (0, "no keys\n")
    key = issue(relay, token_of("robot"))
    titles, row = run("keys", "list", "-c", config_of(relay)).stdout.splitlines()
    assert titles.split() == ["ID", "SUBJECT", "NAME", "CREATED", "LAST", "SEEN", "ENDS"]
    assert row.startswith(f"{session_id(key)}  robot    nightly  20")
    ended = run("keys", "revoke", "--subject", "robot", "-c", config_of(relay))
    assert ended.stdout == "1 key ended\n"


def test_what_is_refused(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """Exit code 1 or 2, nothing on stdout, nothing in the store, and the token is not said."""
    file = tmp_path / "config.yaml"
    data = {
        "version": 1,
        "store": {"url": redis.url, "prefix": "refused:"},
        "session": {"secrets": ["a secret of the tests, long enough"]},
        **sections(backend),
    }
    file.write_text(yaml.safe_dump(data))
    good = token_of("robot")
    mine = ("--subject", "robot", "--name", "n")
    for token, arguments, code, words in (
        (good, ("--subject", "alice", "--name", "n"), 1, "names another subject"),
        ("not.a.jwt", mine, 1, "not_a_jwt"),
        ("", mine, 1, "not_a_jwt"),
        (f"{good} {good}", mine, 1, "not_a_jwt"),
        (token_of("robot", exp=1), mine, 1, "expired"),
        (token_of("robot", exp="soon"), mine, 1, "exp_is_no_number"),
        (good, ("--subject", "robot", "--name", "a\nb"), 1, "printable"),
        (good, ("--subject", "robot", "--name", "n" * 65), 1, "1 to 64"),
        (good, ("--subject", "robot", "--name", ""), 1, "1 to 64"),
        (good, ("--subject", "", "--name", "n"), 1, "names another subject"),
        (good, (*mine, "--expires", "soon"), 2, "is not a duration"),
        (good, (*mine, "--expires", "0s"), 2, "longer than 0 seconds"),
        (good, (*mine, "--expires", "36500d"), 2, "50 years"),
        (good, (*mine, "--token-file", str(tmp_path / "none")), 1, "cannot be read"),
    ):
        done = issuing(str(file), token, *arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done)
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not token or token[:20] not in done.stderr
    with redis.client() as client:
        assert list(client.scan_iter("refused:*")) == []
    alone = run("keys", "revoke", "--id=x", "--name", "n", "-c", str(file))
    assert (alone.returncode, "--name goes with --subject" in alone.stderr) == (1, True)


def test_a_token_from_a_file(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """White space around it is nothing of it."""
    store: Any = {"url": redis.url, "prefix": f"{tmp_path.name}:"}
    with gateway(tmp_path, store, **sections(backend)) as relay:
        (tmp_path / "token").write_text(f"\n {token_of('robot')}\n")
        file = str(tmp_path / "token")
        key = issue(relay, "", "--token-file", file)
        assert call(relay, key) == 200


def test_without_the_embedded_stores_gateway(tmp_path: Path, backend: Upstream) -> None:
    """It says what to do, and makes no secret of its own."""
    store: Any = {"url": "embedded", "data_dir": str(tmp_path / "data")}
    data = {"version": 1, "store": store, **sections(backend)}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data))
    arguments = ("--subject", "robot", "--name", "n")
    done = issuing(str(tmp_path / "config.yaml"), token_of("robot"), *arguments)
    assert (done.returncode, "`gateway run`" in done.stderr) == (1, True)
    assert not (tmp_path / "data").exists()
