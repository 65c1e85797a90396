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


MANY = """
verify: /ask
login:
- {kind: backend, path: /in, upstream: shop, backend_path: /auth/in}
- {kind: backend, path: /page, upstream: shop, backend_path: /page, subject_prefix: "p:"}
routes:
- {path: "/*", upstream: shop, auth: public}
- {path: "/a/*", upstream: shop, headers: {X-B: "1", X-C: true}, query: {q: false}}
- {path: "/a/*", upstream: shop, methods: [GET, PUT]}
- {path: "/a/*", upstream: shop}
- {path: "/a/{id}", upstream: shop, headers: {X-Z: true}}
- {path: "/s/*.css", upstream: shop}
- {path: "/s/*.min.css", upstream: shop}
- {path: "/{x}/b/*", upstream: shop, methods: POST}
- {path: "/s/b/*", upstream: shop, methods: POST}
- {path_regex: "/s/.*", upstream: shop}
- {path: "/old", redirect: "/new${query}", auth: public, response_headers: {set: {X-A: "1"}}}
- {path: "/off", upstream: shop, auth: public, maintenance: true}
- {path: "/c", upstream: shop, captures: /token}
- {path: "/page", upstream: shop, methods: GET, auth: public}
- {path: "/*.x", upstream: shop}
- {path: "/own", upstream: shop, methods: POST}
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    config = tmp_path / "many.yaml"
    config.write_text(CONFIG.partition("routes:")[0] + MANY)
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


def test_explain_names_the_limits(tmp_path: Path) -> None:
    """Those of the route and of its upstream, as refusals name them."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "version: 1\nupstreams: {shop: {servers: 'http://127.0.0.1:9000', limits: 9/s}}\n"
        "rate_limits: {api: 100/m}\nroutes:\n- {path: /a, upstream: shop, limits: [api, 5/s], "
        "concurrency: {max: 3}, require: {roles: admin}}\n"
    )
    text = explain(file, "GET", "http://x/a").stdout
    assert 'require: {"roles": {"any": ["admin"]}}' in text
    expected = "rate_limits.api, routes[0].limits[1], upstreams.shop.limits[0]"
    assert f"  limits: {expected}, routes[0].concurrency[0]\n" in text


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


REASONS = [
    ("GET", "/a/7?q=1", {1: "does not meet: X-B=1, X-C present, ?q absent"}),
    ("GET", "/a/7?q=1", {3: "a rule that names the method wins (routes[2])"}),
    ("GET", "/a/7?q=1", {4: "does not meet: X-Z present"}),
    ("POST", "/a/7", {2: "does not serve POST"}),
    ("GET", "/A/7", {0: "routes[2], as a backend may read it, is stricter (auth)"}),
    ("GET", "/s/x.min.css", {5: "a longer suffix wins (routes[6])"}),
    ("GET", "/s/x.css", {0: "a longer prefix wins (routes[5])"}),
    ("GET", "/s/x", {9: "a pattern wins over an expression (routes[0])"}),
    ("GET", "/old", {0: "an exact path wins (routes[10])"}),
    ("POST", "/s/b/c", {7: "a segment that is written earlier wins (routes[8])"}),
    ("PUT", "/s/b/c", {8: "does not serve PUT", 7: "written earlier wins (routes[8])"}),
    ("POST", "/in", {0: "the gateway's own path wins"}),
    ("POST", "/auth/in", {0: "a login asks its backend there: no route leads there"}),
    ("GET", "/page", {13: "a login asks its backend there: no route leads there"}),
    ("TRACE", "/x", {0: "does not serve TRACE"}),
    ("GET", "/own.x", {14: "a route that may be meant as well does not serve the method"}),
    ("GET", "/b/..%2fa/7", {0: "no route is as strict as all that may be meant"}),
]


@pytest.mark.parametrize(("method", "url", "reasons"), REASONS)
def test_explain_gives_the_exact_reason(
    many: Path, method: str, url: str, reasons: dict[int, str]
) -> None:
    """The condition that fails, the rule of the order, or the setting that is looser."""
    lines = explain(many, method, f"http://x{url}").stdout.splitlines()
    for number, reason in reasons.items():
        [line] = [line for line in lines if line.startswith(f"not routes[{number}]")]
        assert line.endswith(reason)


@pytest.mark.parametrize(
    ("method", "url", "line"),
    [
        ("GET", "//a/7", "  a backend may read '/a/7', for routes[4]"),
        ("GET", "/old?a=b", "  Location: /new?a=b"),
        ("GET", "/old", "  X-A: 1"),
        ("GET", "/off", "  Retry-After: 300"),
        ("GET", "/c", "the gateway asks the upstream itself, and reads its reply as a whole"),
        ("PUT", "/in", "not the gateway itself at /in does not serve PUT"),
        ("GET", "/ask", "not the gateway itself at /ask/* fits, but an exact path wins"),
        ("GET", "/한글", "browsers and URLs write what is not ASCII as UTF-8 in escapes"),
    ],
)
def test_explain_says_what_happens(many: Path, method: str, url: str, line: str) -> None:
    """Other readings of a path, and what comes in place of an upstream's answer."""
    text = explain(many, method, f"http://x{url}").stdout
    assert f"\n{line}" in f"\n{text}"


def test_explain_answers_as_the_gateway_itself_does(tmp_path: Path) -> None:
    """Preflights, methods that are never served, another Host than the URL's."""
    file = tmp_path / "config.yaml"
    cors = "cors: {origins: 'https://a.test'}"
    file.write_text(CONFIG.replace("shop, auth: public", f"shop, {cors}"))
    asked = ("Origin: https://a.test", "Access-Control-Request-Method: PUT")
    done = explain(file, "OPTIONS", "http://x/y", *asked)
    assert (done.returncode, "answered by the gateway itself: 204" in done.stdout) == (0, True)
    assert "  Access-Control-Allow-Origin: https://a.test" in done.stdout
    done = explain(file, "TRACE", "http://x/y")
    assert (done.returncode, "refused: 405" in done.stdout) == (1, True)
    text = explain(file, "HEAD", "https://x/api/7", "Host: shop.example:8443").stdout
    assert "served by routes[1]" in text
    assert "  Host: shop.example:8443" in text
    assert "  X-Forwarded-Proto: https" in text
