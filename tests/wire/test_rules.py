"""Routes that require rules in Python, on the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import (
    LOGIN,
    SIGNING_SECRET,
    Start,
    accounts,
    json_answer,
    log_in,
    token_of,
)
from tests.support.gateway import Gateway, reload, reloaded
from tests.support.raw import Upstream, always, ask, fields_by_name, status
from tests.support.redis_server import eventually

CODE = """
from gateway.rules import Request

SEEN = []

def may_edit(request: Request) -> bool:
    return request.has("items", request.params["id"]) and request.method == "GET"

def sees(request: Request) -> bool:
    found = [request.method, request.path, request.host, dict(request.params), request.subject]
    return found == list(request.claim("expected"))

def raises(request: Request) -> bool:
    return bool(request.claims["a secret"])

def returns(request: Request) -> bool:
    return 1

def locks(request: Request) -> bool:
    request.claims["sub"] = "root"
    return True

def never_ends(request: Request) -> bool:
    while True:
        pass

def promotes(request: Request) -> bool:
    request.claims["realm_access"]["roles"].append("admin")
    return True

def is_admin(request: Request) -> bool:
    return request.has("realm_access.roles", "admin")
"""


@pytest.fixture(scope="module")
def gate(
    start: Start,
    upstream: Upstream,
    login_upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Gateway:
    file = tmp_path_factory.mktemp("rules") / "rules.py"
    file.write_text(CODE)

    def rule(path: str, *names: str, **more: Any) -> dict[str, Any]:
        rules = [f"{file}:{name}" for name in names]
        return {"path": path, "upstream": "shop", "accept_jwt": "verify", **more} | {
            "require": {"rules": rules}
        }

    running = start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
        verify={},
        routes=[
            rule("/items/{id}", "may_edit"),
            rule("/seen/{a}/*", "sees"),
            rule("/two/{id}", "may_edit", "raises"),
            rule("/raises", "raises"),
            rule("/returns", "returns"),
            rule("/locks", "locks"),
            rule("/never/ends", "never_ends"),
            rule("/promotes", "promotes"),
            rule("/promoted", "promotes", "is_admin"),
            rule("/admin", "is_admin"),
            rule("/maybe", "is_admin", auth="optional"),
            {"path": "/*", "upstream": "shop", "auth": "public"},
        ],
    )
    running.config["rules"] = str(file)
    return running


def request(line: str, *, host: str = "a", **claims: Any) -> bytes:
    return with_key(line, token_of("robot", **claims), host=host)


def with_key(line: str, key: str, *, host: str = "a") -> bytes:
    return (
        f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\n\r\n"
    ).encode()


def question(line: str, **claims: Any) -> bytes:
    method, target = line.split(" ")
    described = f"X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {target}\r\n\r\n"
    asked = request("GET /.well-known/latchkey/verify", **claims)
    return asked.removesuffix(b"\r\n") + described.encode()


def test_a_rule_decides(gate: Gateway, shop: Upstream) -> None:
    """By the request and the claims; the verify endpoint says the same."""
    for ask_about in (request, question):
        assert status(ask(gate.port, ask_about("GET /items/7", items=["7"]))) == 200
        assert status(ask(gate.port, ask_about("GET /items/%37", items=["7"]))) == 200
        for line, items in (("GET /items/8", ["7"]), ("PUT /items/7", ["7"]), ("GET /items/7", [])):
            answer = ask(gate.port, ask_about(line, items=items))
            assert status(answer) == 403, line
            assert b'"reason": "forbidden"' in answer
    record = gate.records(path="/items/8", status=403)[0]
    assert (record["reason"], record["cause"]) == ("forbidden", "rules.py:may_edit")


def test_what_a_rule_sees(gate: Gateway, shop: Upstream) -> None:
    """The path without its query, the host in one spelling, the subject with its realm."""
    seen = ["GET", "/seen/%C3%A9/x", "shop.example", {"a": "é"}, "services:robot"]
    for host in ("Shop.Example:8080", "shop.example.", "shop.example.:80"):
        asked = request("GET /seen/%C3%A9/%78?n=1", host=host, expected=seen)
        assert status(ask(gate.port, asked)) == 200, host


@pytest.mark.parametrize("path", ["/raises", "/returns", "/locks", "/never/ends"])
def test_a_rule_that_fails_is_500(gate: Gateway, shop: Upstream, path: str) -> None:
    """Nothing goes upstream; other requests of the worker go on, and no claim is logged."""
    for ask_about in (request, question):
        answer = ask(gate.port, ask_about(f"GET {path}", token="do not log this"))
        assert status(answer) == 500
        assert b'"reason": "rule_failed"' in answer
    assert status(ask(gate.port, request("GET /public"))) == 200
    assert b"GET " + path.encode() not in shop.got
    log = gate.log.read_text()
    assert f"the rule rules.py:{path[1:].replace('/', '_')} r" in log
    assert "do not log this" not in log


def test_a_rule_changes_no_session(gate: Gateway, login_upstream: Upstream, shop: Upstream) -> None:
    """The claims that it sees are its own; the session has more requests, and a route more rules."""
    token = token_of("mallory", realm_access={"roles": ["user"]})
    login_upstream.clear(always(json_answer("200 OK", {"token": token})))
    key = log_in(gate.port)
    login_upstream.clear(accounts)
    assert status(ask(gate.port, with_key("GET /promotes", key))) == 200
    for path in ("/admin", "/promoted"):
        assert status(ask(gate.port, with_key(f"GET {path}", key))) == 403
    admin = request("GET /admin", realm_access={"roles": ["admin"]})
    assert status(ask(gate.port, admin)) == 200


def test_without_a_session_there_is_nothing_to_ask(gate: Gateway, shop: Upstream) -> None:
    """A route whose key is optional needs one where it requires something: a login helps."""
    answer = ask(gate.port, b"GET /maybe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert status(answer) == 401
    assert fields_by_name(answer)["WWW-Authenticate"] == 'Bearer realm="latchkey"'
    admin = {"roles": ["admin"]}
    assert status(ask(gate.port, request("GET /maybe", realm_access=admin))) == 200


def test_rules_are_asked_in_order(gate: Gateway, shop: Upstream) -> None:
    """The first no is the answer."""
    assert status(ask(gate.port, request("GET /two/8", items=["7"]))) == 403
    assert status(ask(gate.port, request("GET /two/7", items=["7"]))) == 500


def test_a_host_with_several_readings_is_refused(gate: Gateway, shop: Upstream) -> None:
    """As a path is. HTTP/1.0 needs no host."""
    for host in ("shop%2Eexample", "shop..example"):
        asked = request("GET /items/7", host=host, items=["7"])
        assert status(ask(gate.port, asked)) == 400, host
    asked = request("GET /items/7", items=["7"]).replace(b"HTTP/1.1\r\nHost: a", b"HTTP/1.0")
    assert status(ask(gate.port, asked)) == 200


def test_a_path_with_several_readings_is_refused(gate: Gateway, shop: Upstream) -> None:
    """Its segment may be another one to the backend, so a rule would decide about the wrong one."""
    for path in ("/Items/7", "/index.php/items/7", "/items/7%09", "/items/x%2F7"):
        asked = request(f"GET {path}", items=["7", "items", "x/7"])
        assert status(ask(gate.port, asked)) in (400, 403), path
    assert b"/index.php" not in shop.got


def test_a_reload_loads_the_rules_anew_or_changes_nothing(gate: Gateway, shop: Upstream) -> None:
    """A broken file keeps the old rules, in all workers."""
    file = Path(gate.config["rules"])

    def edits() -> int:
        return status(ask(gate.port, request("PUT /items/7", items=["7"])))

    file.write_text(CODE + "\nimport no_such_module\n")
    assert edits() == 403
    reload(gate)
    eventually(lambda: "No module named 'no_such_module'" in gate.log.read_text())
    assert edits() == 403
    file.write_text(CODE.replace('"GET"', '"PUT"'))
    assert edits() == 403
    reloaded(gate)
    assert edits() == 200
    file.write_text(CODE)
    reloaded(gate)
    assert edits() == 403
