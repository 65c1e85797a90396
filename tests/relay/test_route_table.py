"""Which route decides over a path that can be read in several ways."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.http import paths
from gateway.core.http.cors import Policy
from gateway.core.http.forwarding import Trusted
from gateway.core.http.path_patterns import PathPattern, parse
from gateway.core.http.paths import BackendPaths
from gateway.core.http.refusals import Refusal
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Methods, Table
from gateway.core.http.routing import Rule as TableRule
from gateway.core.sessions import conditions
from gateway.relay.access.peer import Peer
from gateway.relay.access.requirements import Requirements
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.access.route_table import RouteTable
from gateway.relay.access.upstream_paths import UpstreamPaths
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

ANY_SITE = Policy(frozenset({"*"}), (), (), (), credentials=False, max_age=0)


@dataclass(frozen=True)
class Rule:
    """A route of config.yaml, as far as these tests care."""

    path: str
    auth: str = "required"
    methods: tuple[str, ...] | None = None
    more: tuple[tuple[str, Any], ...] = ()

    def route(self, guarded: BackendPaths) -> Route:
        access, action, upstream_paths = (
            {name: value for name, value in self.more if name in {f.name for f in fields(group)}}
            for group in (Access, Action, UpstreamPaths)
        )
        return Route(
            self.path,
            Access(Auth(self.auth), **access),
            Action(**action),
            upstream_paths=UpstreamPaths(guarded=guarded, **upstream_paths),
        )


def rule(path: str, auth: str = "required", *methods: str, **more: Any) -> Rule:
    """A rule with these options. `claims` are those that it requires."""
    if (claims := more.pop("claims", None)) is not None:
        parts = [conditions.holds((name,), clauses) for name, clauses in claims.items()]
        more["requires"] = Requirements(conditions.all_of(parts))
    return Rule(path, auth, methods or None, tuple(more.items()))


def table(*rules: Rule, guarded: tuple[bytes, ...] = ()) -> RouteTable:
    login = BackendPaths(guarded)
    return RouteTable(
        [], [TableRule(parse(rule.path), rule.methods, rule.route(login)) for rule in rules], login
    )


def decided(routes: RouteTable, path: bytes, method: bytes = b"GET") -> str:
    """The pattern of the route that decides, or why none does."""
    found = routes.match(head_of(path))
    if isinstance(found, Refusal):
        return found.reason
    route = found.pick(method)
    return "method_not_allowed" if route is None else route.name


SHOP = table(
    rule("/*", "public"),
    rule("/api/*"),
    rule("/api/report", claims={"role": (("admin",),)}),
    rule("/api/status", "public"),
    rule("/maybe/*", "optional"),
    rule("/public/*", "public"),
    rule("/public/notes.txt"),
    rule("/v1.0/*"),
    guarded=(b"/api/login",),
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/*"),
        ("/index.html", "/*"),
        ("/api/me", "/api/*"),
        ("/API/me", "/api/*"),
        ("/Api/Me/", "/api/*"),
        ("/api", "/api/*"),
        ("/api.json", "/api/*"),
        ("/api./me", "/api/*"),
        ("/ap%C4%B1/me", "/api/*"),
        ("/api%E2%81%84me", "/api/*"),
        ("/index.php/api/me", "/api/*"),
        ("/api%3fx", "/api/*"),
        ("/apix", "/*"),
        ("/x/api/me", "/*"),
        ("/api/report", "/api/report"),
        ("/api/report/", "/api/report"),
        ("/API/REPORT", "/api/report"),
        ("/api/report.csv", "/api/report"),
        ("/api/Report.v1.csv", "/api/report"),
        ("/api/report.csv/", "/api/report"),
        ("/api/report.", "/api/report"),
        ("/api/report%20", "/api/report"),
        ("/api/report::$DATA", "/api/report"),
        ("/api/report;a=b.c", "ambiguous_path"),
        ("/api/report/x", "/api/*"),
        ("/api/reports", "/api/*"),
        ("/api/status", "/api/status"),
        ("/api/status/", "/api/*"),
        ("/api/Status", "/api/*"),
        ("/API/status", "/api/*"),
        ("/MAYBE/x", "/maybe/*"),
        ("/Public/x", "/*"),
        ("/public/Login.PNG", "/public/*"),
        ("/public/app.JS", "/public/*"),
        ("/public", "/public/*"),
        ("/public/notes.txt", "/public/notes.txt"),
        ("/public/Notes.TXT", "/public/notes.txt"),
        ("/public/notes", "/public/*"),
        ("/public/notes.md", "/public/*"),
        ("/v1.0/x", "/v1.0/*"),
        ("/v1.0/", "/v1.0/*"),
        ("/v1.0", "/v1.0/*"),
        ("/v1", "/*"),
        ("/public/..%20/api/me", "ambiguous_path"),
        ("/public/x/../y", "/public/*"),
        ("/public/%2e%2e/api/me", "ambiguous_path"),
        ("//api/me", "ambiguous_path"),
        ("/api%c0%afme", "ambiguous_path"),
        ("/x/../api/me/%2e%2e%5c..%2fy", "ambiguous_path"),
        ("/api/login", "no_route"),
        ("/API/login.json", "no_route"),
        ("/api/login.html/", "no_route"),
        ("/api/login/forgotten", "/api/*"),
    ],
)
def test_the_stricter_route_decides(path: str, expected: str) -> None:
    """Of all routes that a backend may take the path for; a route of the very path has its way."""
    assert decided(SHOP, path.encode()) == expected


@pytest.mark.parametrize("path", ["/app.js", "/favicon.ico", "/health"])
def test_a_route_that_names_the_path_has_its_way(path: str) -> None:
    """What is listed as public is public, whatever backends take its suffix for."""
    routes = table(rule("/*"), rule(path, "public"), rule("/app/*", claims={"a": ((1,),)}))
    assert decided(routes, path.encode()) == path
    assert decided(routes, path.upper().encode()) != path
    assert decided(routes, b"/app.css") == "/app/*"


def test_a_page_beside_the_login_has_a_route_of_its_own() -> None:
    """`/login.html` is another format of a guarded `/login`, unless a route names it."""
    routes = table(rule("/*", "public"), rule("/login.html", "public"), guarded=(b"/login",))
    assert decided(routes, b"/login.html") == "/login.html"
    assert decided(routes, b"/login.css") == "no_route"
    slashed = table(rule("/*", "public"), rule("/login/", "public"), guarded=(b"/login",))
    assert decided(slashed, b"/login/") == "no_route"


def test_strict_upstreams_tell_spellings_apart() -> None:
    """`paths: strict`: case, a slash at the end and a suffix make another path; the login of a
    backend is guarded in each, and escapes still lead nowhere else.
    """
    strict = table(
        rule("/*", "public", read_loosely=False),
        rule("/api/*", read_loosely=False),
        rule("/api/report", claims={"role": (("admin",),)}, read_loosely=False),
        guarded=(b"/api/login",),
    )
    assert decided(strict, b"/API/me") == "/*"
    assert decided(strict, b"/api") == "/api/*"  # a prefix is its own path, too
    assert decided(strict, b"/api/report.csv") == "/api/*"
    assert decided(strict, b"/api/login.css") == "/api/*"
    for path in (b"/api/login", b"/API/login", b"/api/login/"):
        assert decided(strict, path) == "no_route"
    for path in (b"//api/me", b"/x/..%2fapi/me", b"/api%2freport"):
        assert decided(strict, path) == "ambiguous_path"


def test_methods() -> None:
    """A method that one of the routes does not have is not served; others go by the stricter."""
    routes = table(
        rule("/*", "public"),
        rule("/api/items", "public", "GET"),
        rule("/api/items", "required", "POST"),
        rule("/api/*", "required", "GET", "POST", "DELETE"),
    )
    assert decided(routes, b"/api/Items") == "/api/*"
    assert decided(routes, b"/api/Items", b"POST") == "/api/*"
    assert decided(routes, b"/api/Items", b"DELETE") == "method_not_allowed"
    assert decided(routes, b"/API/x", b"PUT") == "method_not_allowed"
    found = routes.match(head_of(b"/API/x"))
    assert isinstance(found, Methods)
    assert found.allowed == ["DELETE", "GET", "HEAD", "POST"]


@pytest.mark.parametrize(
    ("one", "other", "stricter"),
    [
        ({"auth": "public"}, {"auth": "optional"}, 1),
        ({"auth": "optional"}, {"auth": "required"}, 1),
        ({"auth": "optional", "bad_key_is_anonymous": True}, {"auth": "optional"}, 1),
        ({"auth": "public"}, {"auth": "optional", "bad_key_is_anonymous": True}, 1),
        ({"accepts_jwt": True}, {}, 1),
        ({}, {"claims": {"role": (("admin",),)}}, 1),
        ({"claims": {"role": (("admin", "owner"),)}}, {"claims": {"role": (("admin",),)}}, 1),
        ({"claims": {"a": ((1,),)}}, {"claims": {"a": ((1,),), "b": ((2,),)}}, 1),
        ({"claims": {"a": ((1, 2),)}}, {"claims": {"a": ((1,), (2,))}}, 1),
        ({"claims": {"a": ((1,),)}}, {"claims": {"a": ((1,), (2,))}}, 1),
        ({"claims": {"a": ((1,), (2,))}}, {"claims": {"a": ((1,), (3,))}}, None),
        ({}, {"captures": True}, 1),
        ({}, {"ends": "others"}, 1),
        ({"ends": "others"}, {"ends": "all"}, 1),
        ({}, {}, 0),
        ({"claims": {"a": ((1,),)}}, {"claims": {"b": ((1,),)}}, None),
        ({"claims": {"a": (((True,),),)}}, {"claims": {"a": ((1,),)}}, None),
        ({"accepts_jwt": True, "claims": {"a": ((1,),)}}, {}, None),
        ({"captures": True, "auth": "required"}, {"claims": {"a": ((1,),)}}, None),
        ({"cors": ANY_SITE}, {}, None),
    ],
)
def test_which_of_two_is_stricter(
    one: dict[str, Any], other: dict[str, Any], stricter: int | None
) -> None:
    """It refuses whatever the other refuses. If neither does, no route may decide: 400."""
    for pair in ((one, other), (other, one)):
        first, second = (
            rule(path, **more) for path, more in zip(("/*", "/a/*"), pair, strict=True)
        )
        expected = "ambiguous_path"
        if stricter is not None:
            wanted = (one, other)[stricter]
            expected = "/*" if wanted == pair[0] else "/a/*"
        assert decided(table(first, second), b"/A/x") == expected


def test_limits_are_those_of_all() -> None:
    """What the stricter one allows and another does not is not allowed."""
    routes = table(
        rule("/*", "public", body_limit=10, close_on_logout=False, extends_session=False),
        rule("/chat/*", upgrades=frozenset({b"websocket"}), body_limit=20),
    )
    found = routes.match(head_of(b"/Chat/x"))
    assert isinstance(found, Methods)
    route = found.pick(b"GET")
    assert route is not None
    assert (route.name, route.action.upgrades, route.action.body_limit) == (
        "/chat/*",
        frozenset(),
        10,
    )
    assert route.action.close_on_logout
    assert not route.action.extends_session


def test_a_prefix_that_is_spelled_otherwise_is_not_cut_off() -> None:
    """Nothing but the prefix itself is cut: else the backend would get another path."""
    routes = table(rule("/*", "public"), rule("/shop/*", strip_prefix=b"/shop"))
    for path in (b"/SHOP/x", b"/shop.json", b"/index.php/shop/x"):
        assert decided(routes, path) == "ambiguous_path"
    for path in (b"/shop", b"/shop/x", b"/%73hop/x"):
        assert decided(routes, path) == "/shop/*"


def test_a_guarded_path_behind_a_prefix() -> None:
    """wire-rules.md#E1: through strip_prefix too, in every spelling."""
    routes = table(
        rule("/*", "public"),
        rule("/shop/*", "public", strip_prefix=b"/shop"),
        guarded=(b"/api/login",),
    )
    for path in (b"/shop/api/login", b"/shop/API/login.json", b"/shop/index.php/api/login/"):
        assert decided(routes, path) == "no_route"


# Backends: each takes a path as some of these do, one after the other.


def _without_dots(path: str) -> str:
    kept: list[str] = []
    *above, last = path.split("/")[1:]
    for segment in above:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, "" if last in (".", "..") else last])


FOLDINGS: dict[str, Callable[[str], str]] = {
    "decode": lambda path: re.sub("%([0-9A-Fa-f]{2})", lambda it: chr(int(it[1], 16)), path),
    "decode again": lambda path: re.sub("%([0-9A-Fa-f]{2})", lambda it: chr(int(it[1], 16)), path),
    "drop controls": lambda path: re.sub("[\x00-\x1f\x7f]", "", path),
    "first line": lambda path: path.split("\n")[0] or path,
    "last line": lambda path: max(path, path.split("\n")[-1], key=lambda it: it.startswith("/")),
    "backslash": lambda path: path.replace("\\", "/"),
    "merge slashes": lambda path: re.sub("//+", "/", path),
    "cut parameters": lambda path: re.sub(";[^/]*", "", path),
    "dots": _without_dots,
    "case": lambda path: path.lower(),
    "front controller": lambda path: path.replace("/index.php", "", 1) or "/",
    "windows": lambda path: re.sub("[. ]+(?=/|$)", "", path),
    "format": lambda path: re.sub(r"\.[a-z]+(/?)$", r"\1", path),
    "slash gone": lambda path: path.rstrip("/") or "/",
    "slash added": lambda path: path.rstrip("/") + "/",
}

WORDS = st.sampled_from(["api", "me", "x"])
PATTERNS = st.lists(WORDS, max_size=3).flatmap(
    lambda words: st.sampled_from(["/" + "/".join(words), "/".join(["", *words, "*"])])
)
RULES = st.lists(
    st.builds(rule, PATTERNS, st.sampled_from(["public", "optional", "required"])),
    min_size=1,
    max_size=6,
    unique_by=lambda rule: rule.path,
)
PLAIN = ["api", "me", "x", "API", "Me", "m%65"]
ODD = ["..", ".", "%2e%2e", ".%2E", "index.php", "me.json", "api.", "api%20", "me;a", "..;a", "x."]
ODD += ["me%0A", "%0Aapi", "m%0De", "%0a", ".%0A.", "x%00", "%2525256De", "%250Ame"]
SEGMENTS = st.sampled_from(PLAIN + ODD)
SEPARATORS = st.sampled_from(["/", "/", "/", "//", "%2f", "%5c", "%252f", "\\"])
SPELLED = st.lists(st.tuples(SEPARATORS, SEGMENTS), min_size=1, max_size=6).flatmap(
    lambda pairs: st.sampled_from(["", "/", "%2F", ";a"]).map(
        lambda end: "/" + "".join(a + b for a, b in pairs).lstrip("/") + end
    )
)


@settings(max_examples=500)
@given(RULES, SPELLED, st.sets(st.sampled_from(sorted(FOLDINGS))))
def test_no_spelling_leads_around_a_rule(rules: list[Rule], path: str, backend: set[str]) -> None:
    """Whatever of these a backend does, what it takes the path for is under no stricter rule than
    the one that has decided. (A route that names the path, or the folder, is the operator's word.)
    """
    found = table(*rules).match(head_of(path.encode()))
    strict = paths.strict(path.encode())  # RFC 3986 §6.2.2.2: so far all of them go
    taken = strict.decode()
    for name, fold in FOLDINGS.items():
        if name in backend:
            taken = fold(taken)
    by_spelling = Table(TableRule(parse(rule.path), None, rule) for rule in rules)
    meant = next(iter(by_spelling.any_host.chain(taken.encode())), None)
    if isinstance(found, Refusal) or meant is None:
        return
    named = next(iter(by_spelling.any_host.chain(strict)), None)
    if named is not None and named.pattern.is_name:
        return
    route = found.pick(b"GET")
    assert route is not None
    if route.name != taken.rstrip("/") + "/*":
        ranks = ["public", "optional", "required"]
        needed = ranks.index(meant.under(Conditions()).other[0].auth)
        assert ranks.index(route.access.auth.value) >= needed, taken


def head_of(path: bytes, host: bytes | None = None, *lines: bytes) -> RequestHead:
    head = RequestHead(b"GET", path, b"1")
    head.path, mark, query = path.partition(b"?")
    head.query, head.host, head.passed = mark + query, host, [line + b"\r\n" for line in lines]
    return head


def placed(*rules: tuple[str, str, str, Conditions]) -> RouteTable:
    """A table of rules: host, path, auth, conditions."""
    made = [
        TableRule(
            parse(path),
            None,
            Route(host + path + repr(conditions) * bool(conditions), Access(Auth(auth))),
            (host,) if host else (),
            conditions,
        )
        for host, path, auth, conditions in rules
    ]
    return RouteTable([], made, BackendPaths(()))


NO = Conditions()


def chosen(routes: RouteTable, head: RequestHead, peer: Any = None) -> tuple[str, str]:
    """The name of the route that decides and its auth, or why none does."""
    found = routes.match(head, peer)
    if isinstance(found, Refusal):
        return "", found.reason
    route = found.pick(b"GET")
    assert route is not None
    return route.name, route.access.auth.value


HOSTS = placed(
    ("", "/*", "public", NO),
    ("shop.example", "/api/*", "required", NO),
    ("*.example", "/*", "optional", NO),
    ("*.shop.example", "/*", "required", NO),
    ("[::1]", "/*", "required", NO),
)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (b"shop.example", b"/api/x", "required"),
        (b"SHOP.Example.:8443", b"/api/x", "required"),
        (b"shop.example:80", b"/API/x", "required"),
        (b"shop.example", b"/x", "optional"),
        (b"other.example", b"/x", "optional"),
        (b"a.b.shop.example", b"/x", "required"),
        (b"example", b"/x", "public"),
        (b"[0:0:0:0:0:0:0:1]:81", b"/x", "required"),
        (None, b"/api/x", "public"),
        (b"sh%6fp.example", b"/api/x", "ambiguous_host"),
        (b"shop.example..", b"/api/x", "ambiguous_host"),
        (b"a,shop.example", b"/api/x", "ambiguous_host"),
    ],
)
def test_a_route_with_a_host_comes_first(host: bytes, path: bytes, expected: str) -> None:
    """An exact host, then the longest pattern, then none; however the host is spelled."""
    assert chosen(HOSTS, head_of(path, host))[1] == expected


def test_hosts_of_clients_fill_no_memory() -> None:
    """Unknown hosts share the memory of rules for all hosts, and paths have one limit in all."""
    for number in range(10_000):
        path = b"/%d" % number
        for host in (b"shop.example", b"h%d.test" % number):
            HOSTS.match(head_of(path, host))
    assert sum(len(place.memo) for place in HOSTS._places.values()) <= 4096
    assert len(HOSTS._hosts) <= 4096


BETA = Conditions(headers=((b"x-beta", b"1"),))
ADMIN = Conditions(query=((b"admin", True),))
SAFE = Conditions(query=((b"edit", False),))
CONDITIONS = placed(
    ("", "/*", "public", NO),
    ("", "/api/*", "required", BETA),
    ("", "/page", "public", NO),
    ("", "/page", "required", ADMIN),
    ("", "/doc", "required", NO),
    ("", "/doc", "public", SAFE),
)


@pytest.mark.parametrize(
    ("path", "lines", "expected"),
    [
        (b"/api/x", (b"X-Beta: 1",), "required"),
        (b"/api/x", (b"x-BETA:1",), "required"),
        (b"/api/x", (b"X-Beta: 2",), "public"),
        (b"/api/x", (), "public"),
        (b"/api/x", (b"X-Beta: 2", b"X-Beta: 1"), "required"),
        (b"/api/x", (b"X-Beta: 2, 1",), "required"),
        (b"/api/x", (b"X_Beta: 1",), "required"),
        (b"/API/x", (b"X-Beta: 1",), "required"),
        (b"/page?a=1", (), "public"),
        (b"/page?admin", (), "required"),
        (b"/page?x&%61dmin=2", (), "required"),
        (b"/page?x;admin=2", (), "required"),
        (b"/page?ADMIN=2", (), "required"),
        (b"/page?admin[]=2", (), "required"),
        (b"/PAGE?admin=2", (), "required"),
        (b"/doc", (), "public"),
        (b"/doc?edit=1", (), "required"),
        (b"/doc?x;edit=1", (), "required"),
        (b"/doc?Edit", (), "required"),
    ],
)
def test_no_spelling_of_a_condition_opens(
    path: bytes, lines: tuple[bytes, ...], expected: str
) -> None:
    """What a backend may read as the stricter route's request, that route decides."""
    assert chosen(CONDITIONS, head_of(path, None, *lines))[1] == expected


def test_a_trusted_proxy_that_names_another_host() -> None:
    """The stricter of the two hosts' routes decides."""
    peer = Peer(("10.0.0.1", 1), instance="i", proxies=ALL, describing=Trusted(()))
    for told, expected in ((b"shop.example", "required"), (b"x.test", "optional")):
        head = head_of(b"/api/x", b"y.example")
        head.forwarding = ((b"x-forwarded-host", told),)
        assert chosen(HOSTS, head, peer)[1] == expected


ALL = Trusted([ipaddress.ip_network("0.0.0.0/0")])


def test_the_values_of_a_path() -> None:
    """They are decoded; a path whose backends could read others has none: 400."""
    route = Route("/t/{id}/*", Access(Auth.REQUIRED), pattern=parse("/t/{id}/*"))
    for path, value in ((b"/t/7/x", "7"), (b"/t/%ED%95%9C/x", "한"), (b"/%74/a%20b", "a b")):
        assert route.path_values(head_of(path)) == {"id": value}
    for path in (b"/t/7;x/y", b"/t/a%2fb/c", b"/T/7/x", b"/t/%0a7/x", b"/t/%ff/x", b"/t/%2537/x"):
        with pytest.raises(Refused):
            route.path_values(head_of(path))
    assert Route("/t/*", Access(Auth.PUBLIC)).path_values(head_of(b"/t/7/x")) == {}


def test_suffixes_and_names_hide_no_stricter_route() -> None:
    """A public `/*.css` serves no page that a backend finds without the suffix."""
    routes = table(
        rule("/*", "public"),
        rule("/*.css", "public"),
        rule("/api/*"),
        rule("/profile"),
        rule("/users/{id}/*", "public"),
        rule("/users/{id}/mail"),
    )
    for path, expected in (
        (b"/a.css", "/*.css"),
        (b"/a.CSS", "/*"),
        (b"/api/a.css", "/api/*"),
        (b"/API/a.css", "/api/*"),
        (b"/api", "/api/*"),
        (b"/profile.css", "/profile"),
        (b"/Profile.css", "/profile"),
        (b"/users/7/x", "/users/{id}/*"),
        (b"/users/7/Mail", "/users/{id}/mail"),
        (b"/USERS/7/mail.css", "/users/{id}/mail"),
        (b"/users/7%2fmail", "ambiguous_path"),
    ):
        assert decided(routes, path) == expected, path


def test_an_expression_is_the_last_resort() -> None:
    """Other paths come first; a loose reading of a stricter expression needs a key."""
    found = placed(("", "/a/*", "public", NO), ("", "/*", "public", NO)).match(head_of(b"/v1/x"))
    assert isinstance(found, Methods)
    rules = [
        TableRule(parse("/a/*"), None, Route("/a/*", Access(Auth.PUBLIC))),
        TableRule(PathPattern((), regex="/v[0-9]+/.*"), None, Route("~v", Access(Auth.REQUIRED))),
        TableRule(PathPattern((), regex="/.*"), None, Route("~all", Access(Auth.PUBLIC))),
    ]
    routes = RouteTable([], rules, BackendPaths(()))
    for path, expected in (
        (b"/a/v1/x", "/a/*"),
        (b"/v1/x", "~v"),
        (b"/V1/x", "~v"),
        (b"/v1", "~v"),
        (b"/w", "~all"),
        (b"/%76%31/x", "~v"),
        (b"/x%2f..%2fv1/x", "ambiguous_path"),
    ):
        assert decided(routes, path) == expected, path
