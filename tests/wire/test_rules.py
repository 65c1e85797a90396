"""Routes that require rules in Python, on the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SIGNING_SECRET, Start, token_of
from tests.support.gateway import Gateway, reload
from tests.support.raw import Upstream, ask, status
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
"""


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    file = tmp_path_factory.mktemp("rules") / "rules.py"
    file.write_text(CODE)

    def rule(path: str, *names: str, **more: Any) -> dict[str, Any]:
        rules = [f"{file}:{name}" for name in names]
        return {"path": path, "upstream": "shop", "accept_jwt": "verify", **more} | {
            "require": {"rules": rules}
        }

    running = start(
        upstreams={"shop": upstream.url},
        jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
        verify={},
        routes=[
            rule("/items/{id}", "may_edit"),
            rule("/seen/{a}/*", "sees"),
            rule("/two/{id}", "may_edit", "raises"),
            rule("/raises", "raises"),
            rule("/returns", "returns"),
            rule("/locks", "locks"),
            {"path": "/*", "upstream": "shop", "auth": "public"},
        ],
    )
    running.config["rules"] = str(file)
    return running


def request(line: str, *, host: str = "a", **claims: Any) -> bytes:
    return (
        f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Authorization: Bearer {token_of('robot', **claims)}\r\n\r\n"
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


def test_what_a_rule_sees(gate: Gateway, shop: Upstream) -> None:
    """The path without its query, the host without its port, the subject with its realm."""
    seen = ["GET", "/seen/%C3%A9/x", "shop.example", {"a": "é"}, "services:robot"]
    asked = request("GET /seen/%C3%A9/%78?n=1", host="Shop.Example:8080", expected=seen)
    assert status(ask(gate.port, asked)) == 200


@pytest.mark.parametrize("path", ["/raises", "/returns", "/locks"])
def test_a_rule_that_fails_is_500(gate: Gateway, shop: Upstream, path: str) -> None:
    """Nothing goes upstream; other requests of the worker go on, and no claim is logged."""
    for ask_about in (request, question):
        answer = ask(gate.port, ask_about(f"GET {path}", token="do not log this"))
        assert status(answer) == 500
        assert b'"reason": "rule_failed"' in answer
    assert status(ask(gate.port, request("GET /public"))) == 200
    assert b"GET " + path.encode() not in shop.got
    log = gate.log.read_text()
    assert f"the rule rules.py:{path[1:]} r" in log
    assert "do not log this" not in log


def test_rules_are_asked_in_order(gate: Gateway, shop: Upstream) -> None:
    """The first no is the answer."""
    assert status(ask(gate.port, request("GET /two/8", items=["7"]))) == 403
    assert status(ask(gate.port, request("GET /two/7", items=["7"]))) == 500


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
    reload(gate)
    eventually(lambda: edits() == 200)
