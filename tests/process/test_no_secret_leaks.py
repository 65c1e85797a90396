"""Every flow of a real gateway with secrets planted in it, and then a search for them: in its logs,
metrics, pages, answers and files, and in Redis.
"""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from gateway.core.sessions import keys
from tests.conftest import json_answer, token_of
from tests.process.test_metrics import folder_of
from tests.support.gateway import Gateway, environment, gateway, reload
from tests.support.leaks import Planted
from tests.support.processes import eventually
from tests.support.raw import Upstream, Visit, ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.support.renewing import Renewing, renewing

# What is secret from the beginning.
SEALING = ["sealing-secret-PLANTED-new-4Xw9", "sealing-secret-PLANTED-old-7Qz2"]
ADMIN = "admin-secret-PLANTED-8Kp3vR"
REDIS = "redis/password:PLANTED@5Lm1"
PASSWORD = 'pass"word PLANTED ünï&=6Tb8'
COOKIE = "another-cookie-PLANTED-2Hd7"
BASIC = base64.b64encode(b"alice:basic-password-PLANTED-9Fs4").decode()
QUERY = "secret-in-a-query-PLANTED-3Gj6"
MALFORMED = "secret-in-a-malformed-one-PLANTED-1Vn5"
JWT = token_of("mallory", role="JWT-from-outside-PLANTED")

CHROME = b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0\r\n"
BROWSER = b"Accept: text/html\r\nAccept-Language: ko\r\nSec-Fetch-Site: same-origin\r\n" + CHROME


@pytest.fixture
def backend() -> Iterator[Renewing]:
    with renewing() as server:
        yield server


@pytest.fixture
def raw() -> Iterator[Upstream]:
    """An upstream that does what the path says."""
    with Upstream(misbehave) as server:
        yield server


def misbehave(visit: Visit) -> None:
    request = visit.request()
    path = request.split(b" ", 2)[1].partition(b"?")[0]
    token = re.search(rb"Authorization: Bearer (\S+)", request)
    held = token[1] if token else b""
    if path == b"/refuse":
        visit.send(json_answer("401 Unauthorized", {"detail": "wrong password"}))
    elif path == b"/no-token":
        visit.send(json_answer("200 OK", {"welcome": "alice"}))
    elif path == b"/unreadable":
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: unheard-of\r\nContent-Length: 2\r\n\r\n{}"
        visit.send(head)
    elif path == b"/bad/echo":
        lines = b"X-Seen: %b\r\nSet-Cookie: t=%b\r\nContent-Length: 0\r\n\r\n" % (held, held)
        visit.send(b"HTTP/1.1 200 OK\r\n" + lines)
    elif path == b"/bad/head":
        visit.send(b"HTTP/1.1 200 OK\r\n%b : nonsense\r\n\r\n" % held)
    elif path == b"/bad/cut":
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    visit.close()


@pytest.fixture
def redis_with_password(tmp_path: Path) -> Iterator[RedisServer]:
    """Its dump is written plainly, so that it can be searched."""
    account = ["--user", "latchkey", "on", f">{REDIS}", "~*", "&*", "+@all"]
    with redis_server(tmp_path, *account, "--rdbcompression", "no") as server:
        yield server


def sections(backend: Renewing, raw: Upstream) -> dict[str, Any]:
    def login(path: str, upstream: str, backend_path: str) -> dict[str, str]:
        names = {"path": path, "upstream": upstream, "backend_path": backend_path}
        return {"kind": "backend", "subject_prefix": "", **names}

    renew = {"upstream": "api", "backend_path": "/refresh", "timeout": 2}
    return {
        "workers": 2,
        "session": {
            "secrets": SEALING,
            "renew": renew,
            "renew_on_upstream_401": True,
            "clock_skew": 0.2,
            "max_per_subject": 6,
        },
        "upstreams": {
            "api": backend.url,
            "raw": raw.url,
            "nowhere": "http://127.0.0.1:1",
        },
        "login": [
            login("/login", "api", "/login"),
            login("/login/refused", "raw", "/refuse"),
            login("/login/no-token", "raw", "/no-token"),
            login("/login/unreadable", "raw", "/unreadable"),
            login("/login/nowhere", "nowhere", "/login"),
        ],
        "logout": {"upstream": "raw", "backend_path": "/logout"},
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/admin/*", "upstream": "api", "claims": {"role": "admin"}},
            {"path": "/api/chat", "upstream": "api", "websocket": True},
            {"path": "/bad/*", "upstream": "raw"},
            {"path": "/nowhere/*", "upstream": "nowhere"},
            {"path": "/open/*", "upstream": "raw", "auth": "public"},
        ],
        "timeouts": {"head": 2, "response": 3, "connect": 2, "linger": 1},
    }


class Flows:
    """Does what clients and operators do, and keeps all that it is answered."""

    def __init__(self, relay: Gateway, planted: Planted) -> None:
        self.relay = relay
        self.planted = planted
        self.refresh_key = ""  # of the last login
        self.said = b""  # all answers, without the keys that they rightly gave

    def ask(self, target: str, lines: bytes = b"", method: str = "GET", body: bytes = b"") -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n".encode()
        if body:
            lines += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        return self.send(head + lines + b"\r\n" + body)

    def send(self, data: bytes) -> bytes:
        answer = ask(self.relay.port, data)
        self.said += answer
        return answer

    def log_in(self, name: str = "alice", lines: bytes = b"", path: str = "/login") -> str:
        """Logs in; returns the key, or nothing."""
        body = json.dumps({"username": name, "password": PASSWORD}, ensure_ascii=False).encode()
        before = self.said
        answer = self.ask(f"{path}?next={QUERY}", lines, "POST", body)
        found = re.search(rb'"token": ?"(lk_[^"]+)"', answer)
        if found is None:
            return ""
        key = found[1].decode()
        self.said = before + self._without_keys(answer)
        return key

    def refresh(self, lines: bytes = b"") -> int:
        """Refreshes with the refresh key of the last login, and uses it where it opens nothing."""
        body = json.dumps({"refresh": self.refresh_key}).encode()
        before = self.said
        answer = self.ask("/refresh", lines, "POST", body)
        self.said = before + self._without_keys(answer)
        self.call(self.refresh_key)
        self.ask("/open/x", f"X-Refresh-Token: {self.refresh_key}\r\n".encode())
        self.ask("/open/x", f"Cookie: rt={self.refresh_key}\r\n".encode())
        self.ask(f"/open/x?refresh_token={self.refresh_key}")
        return status(answer)

    def _without_keys(self, answer: bytes) -> bytes:
        """Plants the keys and refresh keys that an answer rightly gives, and removes them."""
        for found in re.findall(rb'"(lk_[^"]+)"', answer):
            self.planted.plant(found.decode())
            answer = answer.replace(found, b"")
            if found.startswith(b"lk_refresh_"):
                self.refresh_key = found.decode()
        return answer

    def call(
        self, key: str, target: str = "/api/x", method: str = "GET", lines: bytes = b""
    ) -> int:
        return status(self.ask(target, bearer(key) + lines, method))

    def admin(self, method: str, target: str, secret: str = ADMIN) -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        answer = ask(
            self.relay.admin_port, f"{head}Authorization: Bearer {secret}\r\n\r\n".encode()
        )
        self.said += answer
        return answer

    def command(self, *arguments: str) -> None:
        file = self.relay.log.with_name("config.yaml")
        command = [sys.executable, "-m", "gateway", *arguments, "-c", str(file)]
        done = subprocess.run(
            command, capture_output=True, timeout=60, env=environment(), check=False
        )
        self.said += done.stdout + done.stderr


def bearer(value: str) -> bytes:
    return f"Authorization: Bearer {value}\r\n".encode()


def cookie(key: str) -> bytes:
    return f"Cookie: theme={COOKIE}; session={key}\r\n".encode()


def test_no_secret_leaks(
    tmp_path: Path, redis_with_password: RedisServer, backend: Renewing, raw: Upstream
) -> None:
    """Passwords, keys, tokens, refresh tokens, cookies, and the secrets of config.yaml: none is
    where it does not belong, whether as it is, escaped, in hexadecimal or in base64.
    """
    planted = Planted()
    planted.plant(*SEALING, ADMIN, REDIS, PASSWORD, COOKIE, BASIC, QUERY, MALFORMED, JWT)
    store: Any = {"url": redis_with_password.url, "username": "latchkey", "password": REDIS}
    admin = {"secret": ADMIN}
    dumps = b""
    with gateway(tmp_path / "gateway", store, **sections(backend, raw)) as relay:
        with_admin(relay, admin)
        flows = Flows(relay, planted)
        live(flows, backend)
        dumps += dump(redis_with_password)
        present_what_is_no_key(flows, redis_with_password)
        send_malformed(flows)
        meet_faults(flows, backend)
        end_sessions(flows)
        dumps += dump(redis_with_password)
        lose_the_store(flows, redis_with_password)
        misconfigure(flows, admin)
        dumps += dump(redis_with_password)
        kinds = {event["event"] for event in relay.events()}
        folder = folder_of(relay)
        for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
            flows.admin("GET", path)
        numbers = b"".join(file.read_bytes() for file in folder.iterdir())
    planted.plant(*backend.tokens, *backend.families)
    assert kinds == {
        "login",
        "login_failed",
        "logout",
        "renew",
        "renew_failed",
        "revoke",
        "refused",
    }
    assert len(planted) > 60
    places = {
        "access log": relay.access_log.read_bytes(),
        "audit log": relay.audit_log.read_bytes(),
        "gateway's log": relay.log.read_bytes(),
        "answers": flows.said,
        "files of the metrics": numbers,
        "Redis": dumps,
        "Redis's log": redis_with_password.log.read_bytes(),
    }
    for name, text in places.items():
        assert len(text) > 1000, name
        assert planted.found(text) == [], name
    assert b"lk_" not in raw.got, "a key has gone upstream"
    assert set(backend.seen) <= set(backend.tokens)


def with_admin(relay: Gateway, admin: dict[str, str]) -> None:
    """Gives the gateway's admin listener a secret; its address is the test's own."""
    file = relay.log.with_name("config.yaml")
    data = yaml.safe_load(file.read_text())
    data["admin"] |= admin
    file.write_text(yaml.safe_dump(data))
    before = relay.workers()
    reload(relay)
    eventually(lambda: len(relay.workers()) == 2 and not set(before) & set(relay.workers()))


def live(flows: Flows, backend: Renewing) -> None:
    """Logins that fail and that do not, calls, and renewals of each outcome."""
    for path in ("refused", "no-token", "unreadable", "nowhere"):
        assert flows.log_in(path=f"/login/{path}", lines=CHROME) == ""
    flows.ask("/login", method="POST", body=f'{{"password": "{MALFORMED}'.encode())
    flows.ask("/login", f"Authorization: Basic {BASIC}\r\n".encode(), "POST", b"{}")
    flows.ask("/login", cookie("x"), "PUT", json.dumps({"password": PASSWORD}).encode())
    backend.life = 60
    key = flows.log_in(lines=CHROME)
    assert flows.call(key, f"/api/x?q={QUERY}") == 200
    assert flows.call(key, f"/api/x?q={QUERY}&key={key}") == 401
    assert flows.refresh() == 200
    assert status(flows.ask("/api/x", cookie(key))) == 200
    assert flows.call(key, "/api/admin/x") == 403
    assert flows.log_in(lines=cookie(key) + CHROME)  # wire-rules.md#E5: the former session ends
    assert flows.call(key) == 401
    for outcome in (0, 500, 401):
        backend.life, backend.status = 1.0, 0
        key = flows.log_in("renata")
        backend.life, backend.status = 60, outcome
        time.sleep(max(0.0, backend.expiry - time.time()) + 0.05)
        assert flows.call(key) == {0: 200, 500: 503, 401: 401}[outcome]
        assert flows.refresh() == {0: 200, 500: 503, 401: 401}[outcome]
    backend.status = 0
    for _ in range(8):  # more than a subject may have
        flows.log_in("max")


def present_what_is_no_key(flows: Flows, server: RedisServer) -> None:
    """Bad keys of each kind, and records that cannot be read."""
    key, other = flows.log_in(), flows.log_in()
    unknown = keys.new_key(bytes(range(32))).reveal()
    mistyped = key[:-1] + ("A" if key[-1] != "A" else "B")
    flows.planted.plant(unknown, mistyped)
    for value in (
        mistyped,
        key[:-1],
        key + "x",
        f" {key}",
        f"{key}, {other}",
        unknown,
        JWT,
        JWT[:-4],
    ):
        assert flows.call(value) in (400, 401)
        assert status(flows.ask("/api/x", f"Cookie: session={value}\r\n".encode())) in (200, 401)
        flows.call(value, "/logout", "POST")
        flows.call(value, "/sessions")
    assert flows.call(key, lines=cookie(other)) == 400
    assert flows.call(key, lines=bearer(other)) == 400
    assert status(flows.ask("/api/x", f"Cookie: a={key}; b={other}\r\n".encode())) == 200
    another = flows.log_in("bob")
    assert status(flows.ask("/api/x", f"Cookie: a={key}; b={another}\r\n".encode())) == 401
    assert status(flows.ask("/api/x", f"Authorization: Basic {BASIC}\r\n".encode())) == 401
    assert status(flows.ask("/api/x", f"X-Api-Key: {key}\r\n".encode())) == 401
    referer = f"Referer: https://a.example/{key}\r\n".encode()
    assert status(flows.ask(f"/open/{JWT}", referer)) == 502  # it says nothing
    assert status(flows.ask(f"/open/{key}/{JWT}", referer)) == 401
    with server.client() as client:
        name = f"latchkey:s:{{{keys.session_id(keys.Key(key.encode()))}}}"
        record = client.get(name)
        for damaged in (record[:-1] + b"\x00", record[:30], b"\x03" + record[1:]):
            client.set(name, damaged, keepttl=True)
            assert flows.call(key) in (401, 503)
        client.set(name, record, keepttl=True)
    assert flows.call(key) == 200


def send_malformed(flows: Flows) -> None:
    """Requests that cannot be read, with secrets wherever one may stand."""
    key = flows.log_in()
    good = b"Host: a.example\r\n" + bearer(key) + cookie(key)
    secret = MALFORMED.encode()
    for request in (
        b"GET /api/x HTTP/1.1\r\n" + good + b"Bad Name: " + secret + b"\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + secret + b"\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + b"X: " + secret + b"\x00\r\n\r\n",
        b"GET /" + secret + b" " + key.encode() + b" HTTP/1.1\r\n" + good + b"\r\n",
        b"GET /api/%zz" + secret + b" HTTP/1.1\r\n" + good + b"\r\n",
        secret + b" /api/x HTTP/1.1\n" + good + b"\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + b"Content-Length: " + secret + b"\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + b"Transfer-Encoding: " + secret + b"\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + b"Expect: " + secret + b"\r\n\r\n",
        b"GET /api/x HTTP/1.1\r\n" + good + b"X-Long: " + secret * 2000 + b"\r\n\r\n",
        b"GET /" + secret * 400 + b" HTTP/1.1\r\n" + good + b"\r\n",
        b"POST /api/x HTTP/1.1\r\n" + good + b"Transfer-Encoding: chunked\r\n\r\n" + secret,
        b"\x16\x03\x01" + secret,
        secret,
    ):
        answer = flows.send(request)
        assert not answer or 400 <= status(answer) < 600


def meet_faults(flows: Flows, backend: Renewing) -> None:
    """Upstreams that break, refuse the token, show it, or are not there; and a WebSocket."""
    key = flows.log_in()
    for path in ("/bad/echo", "/bad/head", "/bad/cut", "/bad/silence", "/nowhere/x"):
        flows.ask(f"{path}?q={QUERY}", bearer(key) + cookie(key))
    backend.revoked.update(backend.tokens)
    assert flows.call(key) == 200  # with another token
    backend.status = 500
    backend.revoked.update(backend.tokens)
    assert flows.call(key) == 401
    backend.status = 0
    backend.revoked.clear()
    flows.ask("/api/chat", bearer(key) + b"Upgrade: websocket\r\n")


def end_sessions(flows: Flows) -> None:
    """By the devices themselves, by operators, and by those who are none."""
    mine = [flows.log_in("sue", CHROME) for _ in range(5)]
    page = flows.ask("/sessions", cookie(mine[0]) + BROWSER)
    assert b"<html" in page
    listed = json.loads(flows.ask("/sessions", bearer(mine[0])).partition(b"\r\n\r\n")[2])
    other = next(session["handle"] for session in listed["sessions"] if not session["current"])
    assert flows.call(mine[0], f"/sessions/{other}", "DELETE") == 204
    assert flows.call(mine[0], f"/sessions/{mine[0]}", "DELETE") == 401
    flows.ask("/sessions", BROWSER)
    assert flows.call(mine[0], "/logout?scope=others", "POST") == 204
    assert flows.call(mine[0], "/logout?scope=all", "POST") == 204
    assert flows.call(mine[0], "/logout?scope=all", "POST") == 401
    for lines in (bearer(flows.log_in("sue")), cookie(flows.log_in("sue")) + BROWSER):
        assert status(flows.ask("/logout", lines, "POST")) in (200, 204, 303)
    key = flows.log_in("tom")
    handle = keys.session_id(keys.Key(key.encode()))
    assert status(flows.admin("GET", "/sessions?subject=tom", key)) == 401
    assert status(flows.admin("GET", "/sessions?subject=tom", JWT)) == 401
    assert status(flows.admin("GET", f"/sessions?subject={quote(key)}")) == 200
    assert status(flows.admin("GET", "/sessions?subject=tom")) == 200
    assert status(flows.admin("GET", "/sessions/count")) == 200
    assert status(flows.admin("DELETE", f"/sessions/{handle}")) == 200
    assert status(flows.admin("DELETE", f"/sessions?issued_before={MALFORMED}")) == 400
    flows.log_in("tom")
    flows.command("sessions", "list", "--subject", "tom")
    flows.command("sessions", "revoke", "--subject", "tom", "--json")
    flows.command("sessions", "count")


def lose_the_store(flows: Flows, server: RedisServer) -> None:
    """It is silent; then it takes the password no more; then all is well again."""
    key = flows.log_in()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        time.sleep(1.5)
        assert flows.call(key) == 503
        assert flows.call(key, "/logout", "POST") == 503
        assert flows.log_in() == ""
        flows.admin("GET", "/sessions?subject=alice")
        flows.command("sessions", "count")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    eventually(lambda: flows.call(key) == 200)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "latchkey", "resetpass", ">another one")
        client.execute_command("CLIENT", "KILL", "USER", "latchkey")
        eventually(lambda: flows.call(key) == 503)
        assert flows.log_in() == ""
        flows.command("sessions", "count")
        client.execute_command("ACL", "SETUSER", "latchkey", "resetpass", f">{REDIS}")
    eventually(lambda: flows.call(key) == 200)


def misconfigure(flows: Flows, admin: dict[str, str]) -> None:
    """A config.yaml that is wrong around its secrets, and a worker that is killed."""
    relay = flows.relay
    file = relay.log.with_name("config.yaml")
    good = file.read_text()
    data = yaml.safe_load(good)
    for section, name in (("admin", "secert"), ("store", "pasword"), ("session", "secret")):
        file.write_text(yaml.safe_dump({**data, section: {**data[section], name: MALFORMED}}))
        reload(relay)
        eventually(lambda wrong=f"{section}.{name}": wrong in relay.log.read_text())  # type: ignore[misc]
        flows.command("check")
        flows.command("sessions", "count")
    file.write_text(good)
    flows.command("check")
    flows.command("routes")
    os.kill(relay.workers()[0], signal.SIGKILL)
    eventually(lambda: len(relay.workers()) == 2)
    assert flows.log_in()


def dump(server: RedisServer) -> bytes:
    """All that Redis holds: its file, and each value as it is."""
    with server.client() as client:
        client.save()
        folder = Path(client.config_get("dir")["dir"])
        names = client.keys("*")
        values = b"".join(name + b"\n" + client.dump(name) for name in names)
    assert names
    return values + (folder / "dump.rdb").read_bytes()


@pytest.mark.parametrize("secret", [PASSWORD, JWT, keys.new_key(bytes(range(32))).reveal()])
def test_what_is_searched_for_would_be_found(secret: str) -> None:
    """As it is, in the middle of something, escaped, or encoded with whatever stands around it."""
    planted = Planted()
    planted.plant(secret, "something that is not there")
    raw = secret.encode()
    texts = [raw, json.dumps(secret).encode(), quote(secret).encode(), raw.hex().encode()]
    texts += [base64.b64encode(b"?" * before + raw + b"?" * 5) for before in range(6)]
    texts += [base64.urlsafe_b64encode(b"?" * before + raw) for before in range(6)]
    for text in texts:
        assert planted.found(b"{..." + text + b"...}") == [secret]
        assert planted.found(b"{..." + text + b"...}", but=[secret]) == []
    assert planted.found(b"something else") == planted.found(b"") == []


@pytest.mark.parametrize("part", ["payload", "signature", "random bytes of a key"])
def test_what_a_secret_decodes_to_would_be_found(part: str) -> None:
    """As a record would hold it that was not sealed."""
    planted = Planted()
    planted.plant(JWT, keys.new_key(bytes(range(32))).reveal())
    _, payload, signature = (base64.urlsafe_b64decode(part + "==") for part in JWT.split("."))
    held = {"payload": payload, "signature": signature, "random bytes of a key": bytes(range(32))}
    assert len(planted.found(b"\x01" + held[part] + b"\x02")) == 1
