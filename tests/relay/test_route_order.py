"""The order of routes, with all that a route may ask for: a table finds what a linear scan finds.

The scan shares no code with the table: its patterns are expressions of `re`, its conditions plain
comparisons.
"""

import re
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.http.path_patterns import PathPattern, parse
from gateway.core.http.paths import BackendPaths
from gateway.core.http.refusals import Refusal
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Rule as TableRule
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_table import RouteTable
from gateway.relay.access.upstream_paths import UpstreamPaths
from gateway.relay.http1.request_head import RequestHead

HOSTS = ["", "a.test", "b.a.test", "*.test", "*.a.test"]
PATHS = ["/", "/*", "/x", "/x/", "/x/*", "/{n}", "/{n}/*", "/x/{n}", "/*.c", "/x/*.c", "/{n}/y"]
PATHS += ["~/.*", "~/x/[a-y]+", "~/[xy](/.*)?"]
CONDITIONS: list[dict[str, str | bool]] = [
    {},
    {"a": "1"},
    {"a": True},
    {"a": False},
    {"?q": "1"},
    {"?q": False},
    {"a": "1", "?q": True},
    {"a": True, "?q": "2"},
]
METHODS = [None, ("GET",), ("HEAD",), ("GET", "PUT"), ("POST",)]


@dataclass(frozen=True)
class Asked:
    """A request in plain spelling."""

    method: str
    host: str | None
    path: str
    field: str | None
    query: str | None


@dataclass(frozen=True)
class Ruled:
    """A rule, as the scan understands it."""

    host: str
    path: str
    conditions: tuple[tuple[str, str | bool], ...]
    methods: tuple[str, ...] | None

    @property
    def place(self) -> tuple[str, str]:
        return self.host, self.path

    def fits(self, asked: Asked) -> bool:
        host = (asked.host or "").partition(":")[0].lower().removesuffix(".")
        is_host = self.host in ("", host) or (
            self.host[:2] == "*." and host.endswith(self.host[1:])
        )
        return is_host and re.fullmatch(self.shape, asked.path) is not None and self.is_met(asked)

    @property
    def shape(self) -> str:
        if self.path[0] == "~":
            return self.path[1:]
        before, star, suffix = self.path.partition("/*")
        text = re.escape(before).replace(r"\{n\}", "[^/]+")
        if not star:
            return text
        return text + "/.*" + re.escape(suffix) if suffix or not before else text + "(/.*)?"

    def is_met(self, asked: Asked) -> bool:
        given_ = {"a": asked.field, "?q": asked.query}
        return all(
            (given_[name] is not None) is wanted
            if isinstance(wanted, bool)
            else given_[name] == wanted
            for name, wanted in self.conditions
        )

    def serves(self, method: str, beside: list["Ruled"]) -> bool:
        """By name; HEAD by GET; or as the one for all others, of those with the same conditions."""
        named = [rule for rule in beside if rule.methods and method in rule.methods]
        if not named and method == "HEAD":
            named = [rule for rule in beside if rule.methods and "GET" in rule.methods]
        return self in named if named else self.methods is None

    def order(self, file: list["Ruled"]) -> tuple[object, ...]:
        """By host, path and conditions; of expressions, the first of the file."""
        host = (self.host == "", self.host[:1] == "*", -self.host.count("."))
        segments = self.path.partition("*")[0].strip("/").split("/")
        filled = tuple(segment[:1] == "{" for segment in segments)
        if self.path[0] == "~":
            first = next(at for at, rule in enumerate(file) if rule.place == self.place)
            kind: tuple[object, ...] = (3, first)
        elif "*" in self.path:
            suffix = self.path.partition("*")[2]
            size = 0 if self.path.startswith("/*") else len(segments)
            kind = (2, -size, filled, -len(suffix))
        else:
            kind = (int("{" in self.path), filled)
        exact = sum(not isinstance(wanted, bool) for _, wanted in self.conditions)
        return host, kind, (-len(self.conditions), -exact)


def served(file: list[Ruled], asked: Asked) -> Ruled | str:
    """The rule that serves a request, or the status of its refusal: a scan in the stated order."""
    fitting = sorted((rule for rule in file if rule.fits(asked)), key=lambda rule: rule.order(file))
    if not fitting:
        return "404"
    deciding = [rule for rule in fitting if rule.place == fitting[0].place]
    for rule in deciding:
        beside = [other for other in deciding if other.conditions == rule.conditions]
        for candidate in beside:
            if candidate.serves(asked.method, beside):
                return candidate
    return "405"


def clash(one: Ruled, other: Ruled) -> bool:
    """Whether `gateway check` would refuse the two."""
    if one.place != other.place:
        return False
    mine, theirs = (set(rule.methods or METHODS_OF_ALL) for rule in (one, other))
    if one.conditions == other.conditions:
        return (one.methods is None) is (other.methods is None) and not mine.isdisjoint(theirs)
    mine |= {"HEAD"} if "GET" in mine else set()
    theirs |= {"HEAD"} if "GET" in theirs else set()
    same_rank = one.order([one])[2] == other.order([other])[2]
    return same_rank and not mine.isdisjoint(theirs)


METHODS_OF_ALL = ("GET", "HEAD", "PUT", "POST", "FOO")


@st.composite
def files(draw: st.DrawFn) -> list[Ruled]:
    """Rules for a few hosts and paths, so that several fit a request; none of them clash."""
    built = st.builds(
        Ruled,
        st.sampled_from(draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3))),
        st.sampled_from(draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3))),
        st.sampled_from([(*conditions.items(),) for conditions in CONDITIONS]),
        st.sampled_from(METHODS),
    )
    file: list[Ruled] = []
    for rule in draw(st.lists(built, min_size=1, max_size=12)):
        if not any(clash(rule, other) for other in file):
            file.append(rule)
    return file


ASKED = st.builds(
    Asked,
    st.sampled_from(METHODS_OF_ALL),
    st.sampled_from(["a.test", "A.Test:80", "b.a.test.", "c.b.a.test", "x.test", "d", None]),
    st.lists(st.sampled_from(["x", "y", "y.c", "z"]), max_size=3)
    .flatmap(lambda names: st.sampled_from(["/" + "/".join(names), "/" + "/".join([*names, ""])]))
    .filter(lambda path: "//" not in path),
    st.sampled_from([None, "1", "2"]),
    st.sampled_from([None, "1", "2"]),
)


def table_of(file: list[Ruled]) -> RouteTable:
    rules = []
    for number, rule in enumerate(file):
        pattern = parse(rule.path) if rule.path[0] == "/" else PathPattern((), regex=rule.path[1:])
        kinds: dict[bool, list[tuple[bytes, bytes | bool]]] = {True: [], False: []}
        for name, wanted in rule.conditions:
            value = wanted if isinstance(wanted, bool) else wanted.encode()
            kinds[name[0] == "?"].append((name.strip("?").encode(), value))
        conditions = Conditions(tuple(kinds[False]), tuple(kinds[True]))
        route = Route(
            str(number),
            Access(Auth.PUBLIC),
            pattern=pattern,
            number=number,
            upstream_paths=UpstreamPaths(read_loosely=False),
        )
        hosts = [rule.host] if rule.host else []
        rules.append(TableRule(pattern, rule.methods, route, hosts, conditions))
    return RouteTable([], rules, BackendPaths(()))


def found(table: RouteTable, asked: Asked) -> int | str:
    host = None if asked.host is None else asked.host.encode()
    head = RequestHead(asked.method.encode(), asked.path.encode(), b"1")
    head.host = host
    head.path = asked.path.encode()
    head.query = b"" if asked.query is None else b"?q=" + asked.query.encode()
    head.passed = [] if asked.field is None else [b"A: " + asked.field.encode() + b"\r\n"]
    methods = table.match(head)
    if isinstance(methods, Refusal):
        return str(methods.status)
    route = methods.pick(head.method)
    return "405" if route is None or route.number is None else route.number


@settings(max_examples=300)
@given(files(), st.lists(ASKED, min_size=1, max_size=12))
def test_a_table_finds_what_a_scan_finds(file: list[Ruled], requests: list[Asked]) -> None:
    """For host, path, expression, method, fields and query at once; remembered as at first."""
    table = table_of(file)
    for asked in [*requests, *requests]:
        expected = served(file, asked)
        number = expected if isinstance(expected, str) else file.index(expected)
        assert found(table, asked) == number
