"""`gateway routes` and `gateway routes explain`."""

from pathlib import Path

import pytest

from tests.support.command_line import Done, run

CONFIG = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
store: {url: embedded}
routes:
- {path: "/*", upstream: shop, auth: public}
- {path: "/api/*", host: shop.example, upstream: shop, claims: {role: admin}}
- {path: "/api/{id}/x", host: shop.example, methods: POST, upstream: shop}
- {path: "/api/*", host: shop.example, query: {beta: true}, upstream: shop, claims: {role: admin}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    return config


def explain(file: Path, method: str, url: str, *fields: str) -> Done:
    headers = [part for field in fields for part in ("-H", field)]
    return run("routes", "explain", "-c", str(file), method, url, *headers)


def test_routes_are_listed_in_the_order_of_matching(file: Path) -> None:
    """Hosts first, then paths, then conditions; with what each requires."""
    done = run("routes", "-c", str(file))
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert rows[-4:] == [
        "shop.example/api/{id}/x",
        "shop.example/api/* [?beta present]",
        "shop.example/api/*",
        "/*",
    ]
    assert "required+claims:role" in done.stdout


def test_explain_says_which_route_wins_and_why(file: Path) -> None:
    """The winner with its line, the others with reasons, and the head for the upstream."""
    done = explain(file, "GET", "https://SHOP.example/api/7/x?a=1", "Cookie: sid=s3cret", "X-A: 1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "405, this path is served for POST" in done.stdout
    done = explain(file, "GET", "https://SHOP.example/api/7?a=1", "Cookie: sid=s3cret", "X-A: 1")
    assert done.returncode == 0
    text = done.stdout
    assert f"served by routes[1] ({file}:7): shop.example/api/*" in text
    assert "requires: required+claims:role" in text
    assert f"not routes[3] ({file}:9)" in text
    assert "conditions that the request does not meet" in text
    assert f"not routes[0] ({file}:6): /* fits, but a rule for a more exact host wins" in text
    assert "  GET /api/7?a=1 HTTP/1.1" in text
    assert "  Authorization: Bearer <the session's token>" in text
    assert "  X-A: 1" in text
    assert "s3cret" not in text


def test_explain_fills_templates_and_gives_reasons(tmp_path: Path) -> None:
    """A claim is a placeholder, the path is the rewritten one; odd input is an answer, too."""
    file = tmp_path / "config.yaml"
    file.write_text(
        CONFIG.partition("routes:")[0]
        + 'routes:\n- {path: "/a/*", upstream: shop}\n- path: "/a/b/*"\n  upstream: shop\n'
        + '  request_headers: {set: {X-Mail: "${claims.email}"}}\n'
        + '  rewrite: {path: "/v2/${path.*}"}\n'
        + '- {path: "/a/*", headers: {X-B: c}, upstream: shop}\n'
    )
    text = explain(file, "GET", "http://[::1]:8080/a/b/c", "X-B: c").stdout
    assert "  GET /v2/c HTTP/1.1" in text
    assert "  X-Mail: <email of the session>" in text
    assert text.count("fits, but a longer prefix wins") == 2
    text = explain(file, "GET", "http://x/a/c", "X-B: c").stdout
    assert "fits, but a rule with more conditions wins" in text
    for method, url, field in (("G@T", "http://x/a", "A: b"), ("GET", "http://[zz]/a", "no colon")):
        done = explain(file, method, url, field)
        assert (done.returncode, done.stderr) == (1, "")
        assert "refused: 400 malformed_request" in done.stdout


def test_explain_decides_as_the_relay_does(file: Path) -> None:
    """A spelling of a stricter route's path, a refused host, and the gateway's own paths."""
    done = explain(file, "GET", "http://shop.example/API/7")
    assert "served by routes[1]" in done.stdout
    assert "the strictest of the routes" in done.stdout
    done = explain(file, "GET", "http://sh%6fp.example/x")
    assert (done.returncode, "refused: 400 ambiguous_host" in done.stdout) == (1, True)
    assert "by the gateway itself: /logout" in explain(file, "GET", "http://x/logout").stdout
    assert explain(file, "GET", "shop.example/x").returncode == 2
