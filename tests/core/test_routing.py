"""Which rule serves a path."""

from gateway.core.http.path_patterns import parse
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Entry, Rule, Table


def table(*rules: tuple[str, list[str] | None, str]) -> Table[str]:
    return Table(Rule(parse(path), methods, value) for path, methods, value in rules)


TABLE = table(
    *[
        ("/*", None, "all"),
        ("/api/*", ["GET", "POST"], "api"),
        ("/api/*", ["DELETE"], "api delete"),
        ("/api/admin/*", None, "admin"),
        ("/api/admin/health", ["GET"], "health"),
    ]
)


def first(rules: Table[str], path: bytes) -> Entry[str] | None:
    return next(iter(rules.any_host.chain(path)), None)


def pick(path: bytes, method: bytes = b"GET") -> str | None:
    found = first(TABLE, path)
    assert found is not None
    return found.under(Conditions()).pick(method)


def test_the_most_specific_pattern_wins() -> None:
    """Exact beats prefix; a longer prefix beats a shorter one."""
    assert pick(b"/") == "all"
    assert pick(b"/api") == "api"  # and `/api` itself
    assert pick(b"/api/") == "api"
    assert pick(b"/api/x/y") == "api"
    assert pick(b"/api/admin/x") == "admin"
    assert pick(b"/api/admin/health") == "health"
    assert pick(b"/api/admin/health/") == "admin"


def test_a_slash_at_the_end_belongs_to_a_path_of_its_own() -> None:
    """The root, too; before any prefix."""
    for path, prefix in ((b"/", "/*"), (b"/shop/", "/shop/*"), (b"/shop", "/*")):
        rules = table((path.decode(), None, "own"), (prefix, None, "below"))
        found = first(rules, path)
        assert found is not None
        assert found.under(Conditions()).pick(b"GET") == "own"


def test_rules_of_one_pattern_share_it_by_method() -> None:
    """A method that none of them names is not passed on to a less specific rule."""
    assert pick(b"/api/x", b"DELETE") == "api delete"
    assert pick(b"/api/x", b"PUT") is None
    found = first(TABLE, b"/api/x")
    assert found is not None
    assert found.under(Conditions()).allowed == [
        "DELETE",
        "GET",
        "HEAD",
        "POST",
    ]  # HEAD follows GET


def test_head_follows_get() -> None:
    """wire-rules.md#C7 [9110 §9.3.2]: backends answer HEAD as GET. So the rule for GET decides, and
    not the one for all other methods, which may ask for less; unless a rule names HEAD.
    """
    assert pick(b"/api/x", b"HEAD") == "api"
    assert pick(b"/api/admin/health", b"HEAD") == "health"
    rules = table(
        *[
            ("/a", None, "other"),
            ("/a", ["GET"], "get"),
            ("/b", ["HEAD"], "head"),
            ("/b", ["GET"], "get"),
            ("/c", ["POST"], "post"),
        ]
    )
    for path, rule in ((b"/a", "get"), (b"/b", "head"), (b"/c", None)):
        found = first(rules, path)
        assert found is not None
        assert found.under(Conditions()).pick(b"HEAD") == rule


def test_methods_are_compared_with_case() -> None:
    """RFC 9110 §9.1."""
    assert pick(b"/api/x", b"get") is None


def test_nothing_matches_without_a_rule() -> None:
    """A table without a rule for everything leaves paths unmatched."""
    assert first(table(("/a", None, "1")), b"/b") is None


def test_the_order_of_patterns() -> None:
    """A path, one to fill in, the prefix with more segments; written ones first, then suffixes."""
    rules = table(
        *[
            (path, None, path)
            for path in (
                "/*",
                "/*.css",
                "/*.min.css",
                "/users/*",
                "/users/{id}",
                "/users/me",
                "/users/{id}/*",
                "/users/me/*",
                "/users/{id}/*.css",
                "/{a}/{b}",
            )
        ]
    )
    for path, expected in (
        (b"/a.css", "/*.css"),
        (b"/a/b/c.min.css", "/*.min.css"),
        (b"/users", "/users/*"),
        (b"/users/", "/users/*"),
        (b"/users/me", "/users/me"),
        (b"/users/7", "/users/{id}"),
        (b"/users/7.css", "/users/{id}"),
        (b"/users/7/x", "/users/{id}/*"),
        (b"/users/7/x/y.css", "/users/{id}/*.css"),
        (b"/users/me/x.css", "/users/me/*"),
        (b"/users//x", "/users/*"),
        (b"/x/y", "/{a}/{b}"),
        (b"/x//", "/*"),
    ):
        found = first(rules, path)
        assert found is not None
        assert found.under(Conditions()).pick(b"GET") == expected, path
