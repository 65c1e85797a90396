"""`gateway try login`: asks the real backend, keeps nothing, and shows no secret."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import json_answer, token_of
from tests.support.command_line import Done, run
from tests.support.raw import Upstream, Visit

PASSWORD = "a-pass-phrase"


@pytest.fixture(scope="module")
def running() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def backend(running: Upstream) -> Upstream:
    """A backend without an answer yet."""
    running.clear()
    return running


def answers(backend: Upstream, data: object, *lines: str, status: str = "200 OK") -> None:
    """The backend answers each login so."""

    def answer(visit: Visit) -> None:
        for _request in visit.requests():
            visit.send(json_answer(status, data, *lines))

    backend.clear(answer)


def attempt(folder: Path, backend: Upstream, *arguments: str, **changes: Any) -> Done:
    """One `gateway try login`. `changes` replace sections of the configuration."""
    config = {
        "version": 1,
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api", "backend_path": "/in"},
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/admin/*", "upstream": "api", "claims": {"role": ["admin"]}},
            {"path": "/public/*", "upstream": "api", "auth": "public"},
        ],
        **changes,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    given = arguments or ("--json", json.dumps({"username": "alice", "password": PASSWORD}))
    return run("try", "login", "-c", str(file), *given)


def rows(done: Done) -> dict[str, str]:
    """The report's rows by their labels; of several, the last."""
    report = done.stdout.partition("\n\n")[0]
    return {line[:9].strip(): line[9:] for line in report.splitlines()}


def test_a_session(tmp_path: Path, backend: Upstream) -> None:
    """The report says what was found where, and what goes upstream."""
    token = token_of("alice", role="user")
    answers(backend, {"data": {"access_token": token}, "user": {"name": "Alice"}})
    done = attempt(tmp_path, backend)
    assert done.returncode == 0, done.stderr
    found = rows(done)
    assert found["backend"] == "POST api /in -> 200"
    assert (
        found["token"]
        == f"found at /data/access_token, {len(token)} bytes, not verified by the gateway"
    )
    assert found["subject"] == "alice"
    assert "role" in found["claims"]
    assert "/api/* -> api: Authorization: Bearer <the token>; X-User-Id: alice" in done.stdout
    assert found["route"] == "/admin/* -> 403: its claims are not met (role)"
    assert "/public/*" not in done.stdout
    assert '"user": {"name": "Alice"}' in done.stdout
    assert '"access_token": "lk_..."' in done.stdout


def test_where_upstreams_get_the_token(tmp_path: Path, backend: Upstream) -> None:
    """A route's setting counts, then its upstream's, then the place in which the token came."""
    answers(backend, {"user": "alice"}, f"Set-Cookie: access={token_of('alice')}; Path=/")
    done = attempt(
        tmp_path,
        backend,
        routes=[
            {"path": "/api/*", "upstream": "api"},
            {"path": "/field/*", "upstream": "api", "send_token": "header:X-Access-Token"},
            {"path": "/query/*", "upstream": "api", "send_token": "query:jwt"},
        ],
    )
    assert "/api/* -> api: Cookie: access=<the token>; " in done.stdout
    assert "/field/* -> api: X-Access-Token: <the token>; " in done.stdout
    assert "/query/* -> api: ?jwt=<the token>; " in done.stdout


def test_no_secret_is_shown(tmp_path: Path, backend: Upstream) -> None:
    """Reports are pasted into issues."""
    token, refresh = token_of("alice"), "opaque-refresh-token-1"
    answers(
        backend,
        {"token": token, "refresh_token": refresh, "csrf_token": "double-submit", "api_key": "k-1"},
        "Set-Cookie: sid=opaque-session; Path=/; HttpOnly",
    )
    renew = {"renew": {"upstream": "api", "backend_path": "/refresh"}}
    done = attempt(tmp_path, backend, session=renew)
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    for secret in (
        *(token, "eyJ", refresh, "lk_refresh_"),
        *("double-submit", "k-1", "opaque-session", PASSWORD),
    ):
        assert secret not in shown
    assert "Set-Cookie: sid=...; Path=/; HttpOnly" in shown


def test_a_form_that_wants_a_cookie(tmp_path: Path, backend: Upstream) -> None:
    """The reply is the one that a page of the site would get."""
    answers(backend, {"token": token_of("alice")})
    form = ("--form", f"username=alice&password={PASSWORD}")
    done = attempt(tmp_path, backend, *form, "--header", "X-Requested-With: cookie")
    assert done.returncode == 0, done.stderr
    assert "Set-Cookie: latchkey=lk_...; " in done.stdout
    assert b"Content-Type: application/x-www-form-urlencoded" in backend.got
    assert f"username=alice&password={PASSWORD}".encode() in backend.got
    https = ("--origin", "https://shop.example", "--header", "X-Requested-With: cookie")
    done = attempt(tmp_path, backend, *form, *https)
    assert "Set-Cookie: __Host-latchkey=lk_...; " in done.stdout
    assert b"Origin: https://shop.example" in backend.got


def test_a_misplaced_token(tmp_path: Path, backend: Upstream) -> None:
    """The report names the places that may be meant."""
    token = token_of("alice")
    answers(backend, {"data": {"jwt": token}}, f"Set-Cookie: access={token}", f"X-Jwt: {token}")
    login = {"kind": "backend", "path": "/login", "upstream": "api", "token": "/token"}
    done = attempt(tmp_path, backend, login=login)
    assert done.returncode == 1
    assert rows(done)["JWTs"] == "/data/jwt, cookie:access, header:x-jwt"
    assert "eyJ" not in done.stdout + done.stderr
    assert '"reason": "no_token"' in done.stdout


def test_a_refused_login(tmp_path: Path, backend: Upstream) -> None:
    """The backend's own refusal is shown, and nothing is guessed about it."""
    answers(backend, {"detail": "wrong password"}, status="401 Unauthorized")
    done = attempt(tmp_path, backend)
    assert done.returncode == 1
    assert "401 Unauthorized" in done.stdout
    assert "wrong password" in done.stdout
    assert "JWTs" not in rows(done)
    assert done.stderr == "gateway: the login gives no session\n"


def test_a_backend_that_is_away(tmp_path: Path, backend: Upstream) -> None:
    """The cause is the one that the log names."""
    done = attempt(
        tmp_path, backend, upstreams={"api": "http://127.0.0.1:9"}, timeouts={"connect": 0.1}
    )
    assert done.returncode == 1
    assert "Connection refused" in rows(done)["log"]


def test_a_subject_that_is_unknown(tmp_path: Path, backend: Upstream) -> None:
    """Such users could not list their devices, so the report says it."""
    answers(backend, {"token": token_of("alice")})
    login = {"kind": "backend", "path": "/login", "upstream": "api", "subject": "employee"}
    done = attempt(tmp_path, backend, login=login)
    assert rows(done)["subject"] == "unknown: the token has none of employee"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--path", "/nowhere"), "no login answers at /nowhere: the logins are /login"),
        (("--json", "{}", "--form", "a=1"), "not allowed with argument --json"),
        (("--header", "nonsense"), "write it as 'Name: value'"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, backend: Upstream, arguments: tuple[str, ...], message: str
) -> None:
    """The message says what would be right; the backend is not asked."""
    done = attempt(tmp_path, backend, *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert backend.got == b""


def test_a_provider_is_tried_in_a_browser(tmp_path: Path, backend: Upstream) -> None:
    """People log in there, and no command can."""
    login = {
        "kind": "oidc",
        "path": "/login",
        "issuer": "https://id.example",
        "client_id": "web",
    }
    done = attempt(tmp_path, backend, login=login)
    assert (done.returncode, done.stdout) == (1, "")
    assert "try it in a browser" in done.stderr


def test_nothing_is_kept(tmp_path: Path, backend: Upstream) -> None:
    """The trial's store ends with the command, and its folder goes."""
    answers(backend, {"token": token_of("alice")})
    before = set(Path(tempfile.gettempdir()).glob("latchkey-*"))
    assert attempt(tmp_path, backend).returncode == 0
    kept = set(Path(tempfile.gettempdir()).glob("latchkey-*")) - before
    assert [folder for folder in kept if (folder / "store.sock").exists()] == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
