"""What a route may say of the requests that it is for."""

from pathlib import Path

import pytest

from gateway.config.load import load_with_warnings
from gateway.config.problems import ConfigError

HEAD = "version: 1\nupstreams: {shop: 'http://127.0.0.1:9000'}\nroutes:\n"


def found(folder: Path, *routes: str) -> list[str]:
    """The problems of these routes, or else the warnings about routes."""
    file = folder / "config.yaml"
    file.write_text(HEAD + "".join(f"- {{upstream: shop, {route}}}\n" for route in routes))
    try:
        _, warnings = load_with_warnings(file, {})
    except ConfigError as error:
        return [str(problem).partition("config.yaml:")[2] for problem in error.problems]
    return [
        str(warning).partition("config.yaml:")[2]
        for warning in warnings
        if "routes[" in str(warning)
    ]


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("path: /x, host: 'a.test:80'", "is a host without a port"),
        ("path: /x, host: 'a..test'", "is not a host"),
        ("path: /x, host: '*.127.0.0.1'", "is an address, with no names below it"),
        ("path: /x, host: 'a.*.test'", "is not a host"),
        ("path: '/x/{id'", "has braces that name no segment"),
        ("path: '/x/{id}/{id}'", "names two segments alike"),
        ("path: '/x*.css'", "a star ends it"),
        ("path: /메뉴/*", "is not ASCII: write letters beyond it in a path_regex"),
        ("path: /x, headers: {Host: a}", "is a field that the gateway itself reads or removes"),
        ("path: /x, headers: {X_User_Id: a}", "is a field that the gateway itself reads"),
        ("path: /x, headers: {X-Forwarded-For: a}", "is a field that the gateway itself reads"),
        ("path: /x, headers: {X-Forwarded-New: a}", "is a field that the gateway itself reads"),
        ("path: /x, query: {'': a}", "must not be empty"),
        ("path: /x, headers: {X-A: '1', x-a: '2'}", "headers name a field twice"),
        ("path: /x, headers: {X-A: true, X_A: false}", "headers name a field twice"),
        ('path: /x, headers: {X-A: "1\\n"}', "is no field's value"),
        ("path: /x, headers: {X-A: ' 1'}", "is no field's value"),
        ("path: /x, host: []", "must not be empty"),
        ("path_regex: /caf%c3%A9", "has %c3, which no path has: write %C3"),
        ("path_regex: '/%7e.*'", "has %7e, which no path has: write ~"),
        ("path_regex: '/x.*', strip_prefix: /x", "strip_prefix goes with path"),
    ],
)
def test_bad_matches(tmp_path: Path, route: str, message: str) -> None:
    """Each is an error at its line."""
    (problem,) = found(tmp_path, route)
    assert problem.startswith("4:")
    assert message in problem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("path: '/x/{a}'", "path: '/x/{b}'"),
        ("path: /x, host: A.test", "path: /x, host: [b.test, a.test.]"),
        ("path: /x, headers: {X-A: true}", "path: /x, query: {b: true}"),
        ("path: /x, headers: {X-A: '1'}", "path: /x, headers: {x-a: 1}"),
        ("path: '/*.css', methods: [GET, PUT]", "path: '/*.css', methods: [PUT]"),
        ("path: /x, headers: {A: '1'}, methods: GET", "path: /x, query: {b: '1'}"),
        (
            "path: /x, headers: {A: true}, methods: GET",
            "path: /x, headers: {B: true}, methods: HEAD",
        ),
    ],
)
def test_routes_that_clash(tmp_path: Path, one: str, other: str) -> None:
    """None of the two is more specific: an error that names both lines."""
    (problem,) = found(tmp_path, one, other)
    assert problem.startswith("5:")
    assert "the same requests as routes[0] in line 4" in problem


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("path: '/x/{a}'", "path: '/{b}/x'"),
        ("path: /x, host: a.test", "path: /x, host: '*.test'"),
        ("path: /x, headers: {X-A: '1'}", "path: /x, headers: {X-A: '2'}"),
        ("path: /x, headers: {X-A: true}", "path: /x, headers: {X-A: false}"),
        ("path: /x, headers: {X-A: true}", "path: /x, headers: {X-A: '1'}"),
        ("path: /x, methods: GET", "path: /x, methods: POST"),
        ("path: /x, methods: GET", "path: /x, methods: HEAD"),
        ("path: /x, headers: {A: '1'}, methods: GET", "path: /x, query: {b: '1'}, methods: PUT"),
    ],
)
def test_routes_that_do_not_clash(tmp_path: Path, one: str, other: str) -> None:
    """One of them is more specific, or no request is for both."""
    assert found(tmp_path, one, other) == []


def test_a_condition_that_opens_is_a_warning(tmp_path: Path) -> None:
    """Clients write fields and queries themselves."""
    (warning,) = found(tmp_path, "path: '/*'", "path: /x, auth: public, headers: {X-In: true}")
    assert "asks for less than routes[0], and clients choose between the two" in warning


@pytest.mark.parametrize("path", ["/x", "/x/", "/{id}", "/x/*.css"])
def test_a_path_that_is_never_bare(tmp_path: Path, path: str) -> None:
    """Only a prefix `/x/*` is its own path; elsewhere the setting is a warning."""
    (warning,) = found(tmp_path, f"path: '{path}', bare: false")
    assert "routes[0].bare: changes nothing" in warning
    assert found(tmp_path, "path: '/x/*', bare: false") == []


@pytest.mark.parametrize(
    ("other", "warned"),
    [
        ("path: '/*', auth: public", True),
        ("path: '/v1/*', auth: public", True),
        ("path: '/v1/{id}', auth: optional", True),
        ("path: /v1/admin, auth: public", True),
        ("path: '/*'", False),
        ("path: '/w/*', auth: public", False),
        ("path: '/*', auth: public, host: a.test", False),
    ],
)
def test_an_expression_behind_a_path_that_asks_for_less(
    tmp_path: Path, other: str, *, warned: bool
) -> None:
    """It comes last, so the path opens what the expression was to protect."""
    warnings = found(tmp_path, "path_regex: '/v[0-9]+/adm.*'", other)
    assert any("asks for more than routes[1]" in warning for warning in warnings) is warned


HIDDEN = [
    ["path: '/*'", "path_regex: '/v[0-9]+/.*'"],
    ["path: '/v/*'", "path_regex: '/v(/[a-z]*)?'"],
    ["path_regex: '/a.*'", "path_regex: '/a[bc]+'"],
    ["path: '/a/{id}'", "path: '/a/{id}/*', bare: false", "path_regex: '/a/[^/]+(/.*)?'"],
    ["path: '/a/*.css'", "path: '/a/*.js'", "path_regex: '/a/.*[.](css|js)'"],
    ["path: '/a/*', host: [a.test, b.test]", "path_regex: '/a/.', host: [b.test, a.test]"],
    ["path: '/a/*', query: {q: true}", "path_regex: '/a/.', query: {q: x}"],
    ["path: /x, query: {q: true}", "path: /x, query: {q: false}", "path: /x"],
    ["path: /x, headers: {A: true}", "path: /x, headers: {a: false}", "path: /x, methods: PUT"],
    ["path: '/a'", "path: '/a/'", "path: '/a/{x}/*'", "path: '/a/*'"],
    ["path: '/{x}/*'", "path: '/'", "path: '/*'"],
]


@pytest.mark.parametrize("routes", HIDDEN)
def test_a_route_that_no_request_reaches(tmp_path: Path, routes: list[str]) -> None:
    """Others take all that it is for, whatever they do with it: a warning that names their lines."""
    (warning,) = found(tmp_path, *routes)
    last = len(routes) - 1
    assert warning.startswith(f"{4 + last}:")
    assert f"routes[{last}]: is never reached: " in warning
    for at in range(last):
        assert f"routes[{at}] in line {4 + at}" in warning


REACHED = [
    ["path: '/v1/*'", "path_regex: '/v[0-9]+/.*'"],
    ["path: '/v/*', bare: false", "path_regex: '/v(/[a-z]*)?'"],
    ["path_regex: '/a[bc]+'", "path_regex: '/a.*'"],
    ["path: '/a/*', host: a.test", "path_regex: '/a/.', host: [b.test, a.test]"],
    ["path: '/a/*', host: '*.test'", "path_regex: '/a/.', host: a.test"],
    ["path: '/a/*', query: {q: x}", "path_regex: '/a/.', query: {q: true}"],
    ["path: '/a/*', methods: GET, query: {q: x}", "path_regex: '/a/.', methods: GET"],
    ["path: /x, query: {q: x}", "path: /x, query: {q: false}", "path: /x"],
    ["path: /x, query: {q: true}, methods: GET", "path: /x, query: {q: false}", "path: /x"],
    ["path: '/a'", "path: '/a/{x}/*'", "path: '/a/*'"],
    ["path: '/a/'", "path: '/a/{x}/*'", "path: '/a/*'"],
    ["path: '/{x}'", "path: '/'", "path: '/*'"],
    ["path: '/~/*'", "path: '/~~/*'", "path: '/*'"],
    ["path_regex: '/a.*'", "path_regex: '/a.*', query: {q: true}"],
    ["path_regex: '/ab?', query: {q: true}", "path_regex: '/a.*'", "path_regex: '/ab?'"],
    ["path: '/*.css'", "path: '/*.x.css'", "path: '/a/*.css'"],
]


@pytest.mark.parametrize("routes", REACHED)
def test_a_route_that_some_request_reaches(tmp_path: Path, routes: list[str]) -> None:
    """No warning where others leave something."""
    assert not any("is never reached" in warning for warning in found(tmp_path, *routes))


@pytest.mark.parametrize("methods", ["[]", "''"])
def test_a_route_has_a_method(tmp_path: Path, methods: str) -> None:
    (problem,) = found(tmp_path, f"path: /x, methods: {methods}")
    assert problem.startswith("4:")
    assert "routes[0].methods" in problem


PUBLIC = "auth: public"


@pytest.mark.parametrize(
    ("opening", "protected", "reached"),
    [
        ("path: '/pub/*', strip_prefix: /pub", "path: '/api/*'", "/api/*"),
        ("path: '/*'", "path: '/api/*', strip_prefix: /api", "/*"),
        ("path: '/x/*', strip_prefix: /x, add_prefix: /api", "path: '/api/{id}'", "/api/{}"),
        ("path: '/v1/*', add_prefix: /api", "path: '/api/v1/u/*', methods: GET", "/api/v1/u/*"),
        ("path: '/go/*', rewrite: '/${path.*}'", "path: /api/me", "/api/me"),
        ("path: '/i/{id}', rewrite: '/items/${path.id}'", "path: /items/x", "/items/x"),
        ("path: '/i/{id}', rewrite: '/${path.id}/${path.id}.js'", "path: /a/b.js", "/a/b.js"),
        ("path: '/o/*', rewrite: {match: '/o/(.*)', to: '/x-$1/y'}", "path: /x-1/y", "/x-1/y"),
        ("path: '/o/*', rewrite: {match: '/o/(.*)', to: '/n/$1'}", "path: '/n/*.pdf'", "/n/*.pdf"),
        ("path: '/b/*', strip_prefix: /b, upstream: based", "path: /base/x", "/base/x"),
    ],
)
def test_another_way_to_what_a_route_protects(
    tmp_path: Path, opening: str, protected: str, reached: str
) -> None:
    """A path that is another one upstream: a warning that names both lines."""
    opens = opening if "upstream:" in opening else f"upstream: shop, {opening}"
    head = HEAD.replace("}", ", based: 'http://127.0.0.1:9000/base'}")
    text = f"{head}- {{{opens}, {PUBLIC}}}\n- {{upstream: shop, {protected}}}\n"
    file = tmp_path / "config.yaml"
    file.write_text(text)
    known = load_with_warnings(file, {})[1]
    [warning] = [warning for warning in known if "clients choose the way" in warning.message]
    assert warning.line == 4
    assert f"routes[1] in line 5, and both reach paths as {reached} of" in warning.message
    file.write_text(text.replace(PUBLIC, "methods: GET"))
    assert not any("the way" in warning.message for warning in load_with_warnings(file, {})[1])


@pytest.mark.parametrize(
    ("opening", "protected"),
    [
        ("path: '/pub/*', strip_prefix: /pub, add_prefix: /public", "path: '/*'"),
        ("path: /status, rewrite: /health", "path: '/*'"),
        ("path: '/pub/*', strip_prefix: /pub, methods: GET", "path: '/api/*', methods: POST"),
        ("path: '/pub/*', strip_prefix: /pub, add_prefix: /v1", "path: '/v2/*'"),
        ("path: '/a/b/*', strip_prefix: /a", "path: '/a/c/*', strip_prefix: /a"),
        ("path: '/*'", "path: '/api/*'"),
    ],
)
def test_a_way_that_opens_nothing_else(tmp_path: Path, opening: str, protected: str) -> None:
    """It names its paths upstream more exactly than the other route, or other ones."""
    warnings = found(tmp_path, f"{opening}, {PUBLIC}", protected)
    assert not any("clients choose the way" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("require", "is_told"),
    [("", True), ("{scopes: read}", True), ("{max_age: 1h}", True), ("{max_age: 5m}", False)],
)
def test_another_way_that_asks_for_no_recent_login(
    tmp_path: Path, require: str, *, is_told: bool
) -> None:
    """Both routes need a session; the way without the step-up is told of."""
    opening = "path: '/pub/*', strip_prefix: /pub" + (require and f", require: {require}")
    warnings = found(tmp_path, opening, "path: '/api/*', require: {max_age: 10m}")
    assert any("clients choose the way" in warning for warning in warnings) is is_told


def test_a_route_at_the_path_of_a_backends_login(tmp_path: Path) -> None:
    """No route leads there, so it is told; one that captures tokens does."""
    login = "login: {kind: backend, path: /in, upstream: shop, backend_path: /auth/in}\n"
    for more, is_told in (("auth: public", True), ("captures: /token", False)):
        file = tmp_path / "config.yaml"
        file.write_text(f"{login}{HEAD}- {{upstream: shop, path: /auth/in, {more}}}\n")
        warnings = [str(warning) for warning in load_with_warnings(file, {})[1]]
        assert any("is never reached: a login asks" in warning for warning in warnings) is is_told
