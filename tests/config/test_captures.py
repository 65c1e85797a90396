"""What `captures` may say of a route."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.login_places import login_of_route
from gateway.core.logins.token_places import Auto, Cookie, JsonPointer
from tests.support.configs import problems, write

TEXT = """
version: 1
upstreams: {{shop: "http://127.0.0.1:9000"}}
jwt: {{secret: a secret of the tests that is long enough}}
routes: [{{path: /*, upstream: shop, {more}}}]
"""


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("true", Auto()),
        ("auto", Auto()),
        ("data.token", JsonPointer("/data/token")),
        ("cookie:jwt", Cookie("jwt")),
        ("false", None),
        ("null", None),
    ],
)
def test_where_the_token_is(tmp_path: Path, said: str, place: object) -> None:
    """Anywhere, or at a place as for a login."""
    [route] = load(write(tmp_path, TEXT.format(more=f"captures: {said}")), {}).routes
    assert route.captures == place


def test_tokens_that_are_swapped_are_captured(tmp_path: Path) -> None:
    """Another word for it; a place may stand beside it."""
    [route] = load(write(tmp_path, TEXT.format(more="tokens: swap")), {}).routes
    assert (route.captures, route.body_size) == (Auto(), 2**20)
    [route] = load(write(tmp_path, TEXT.format(more="tokens: swap, captures: /jwt")), {}).routes
    assert route.captures == JsonPointer("/jwt")


def test_an_impersonation_captures(tmp_path: Path) -> None:
    """Anywhere in the reply, unless a place is named."""
    text = TEXT.format(more="impersonates: {claims: {role: [admin, support]}}")
    [route] = load(write(tmp_path, text), {}).routes
    assert (route.captures, route.body_size) == (Auto(), 2**20)


def test_what_is_read_as_a_whole_is_bounded(tmp_path: Path) -> None:
    """A request is no larger than a login's, unless something else is said."""
    [route] = load(write(tmp_path, TEXT.format(more="captures: true")), {}).routes
    assert (route.body_size, route.max_reply) == (2**20, 2**20)
    more = "captures: true, body_size: 2MiB, max_reply: 5MiB"
    [route] = load(write(tmp_path, TEXT.format(more=more)), {}).routes
    assert (route.body_size, route.max_reply) == (2 * 2**20, 5 * 2**20)
    [route] = load(write(tmp_path, TEXT.format(more="ends: others")), {}).routes
    assert route.body_size == 2**20
    [route] = load(write(tmp_path, TEXT.format(more="methods: GET")), {}).routes
    assert route.body_size is None


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("captures: true, auth: public", "captures look at keys"),
        ("captures: true, accept_jwt: verify", "captures look at keys"),
        ("captures: true, auth: optional", "needs one login of kind backend at its upstream"),
        ("captures: true, login: /one", "login goes with captures and auth: optional"),
        ("auth: optional, login: /one", "login goes with captures and auth: optional"),
        ("ends: others, auth: optional", "ends needs a session"),
        ("ends: all, accept_jwt: verify", "ends needs a session"),
        ("ends: others, upgrade: tcp", "ends waits for an upstream's whole reply"),
        ("ends: all, captures: /token", "ends: all ends the session that captures"),
        ("ends: mine", "must be 'others' or 'all'"),
        ("captures: true, websocket: true", "captures read whole replies"),
        ("captures: true, tokens: refuse", "captures hide all tokens of a reply"),
        ("captures: false, tokens: swap", "tokens: swap captures them"),
        ("tokens: swap, auth: public", "captures look at keys"),
        ("impersonates: {claims: {}}", "impersonates.claims"),
        ("impersonates: {}", "impersonates"),
        ("impersonates: {claims: {role: admin}}, auth: optional", "goes with auth: required"),
        ("impersonates: {claims: {role: admin}}, captures: false", "impersonates captures"),
        ("captures: true, extends_session: false", "extends_session cannot be false"),
        ("captures: nowhere", "names no place"),
        ("captures: 5", "is not a place"),
        ("captures: [auto]", "is not a place"),
    ],
)
def test_what_it_does_not_go_with(tmp_path: Path, more: str, what: str) -> None:
    """A session must be there to be changed, and a whole reply to be read."""
    said = problems(tmp_path, TEXT.format(more=more))
    assert any(what in line for line in said), said


LOGIN = """
version: 1
upstreams: {{shop: "http://127.0.0.1:9000"}}
signing: {{issuer: g, keys: [{{algorithm: HS256, secret: a secret of the tests that is long enough}}]}}
login:
  - {{kind: backend, path: /one, upstream: shop, subject_prefix: '', {one}}}
  - {{kind: backend, path: /two, upstream: shop, subject_prefix: '', {two}}}
  - {{kind: mint, path: /three, upstream: shop, subject_prefix: '', claims: {{sub: /id}}}}
routes: [{{path: /*, upstream: shop, captures: {captures}}}]
"""
VERIFY = "verify: {secret: a secret of the tests that is long enough}"


@pytest.mark.parametrize("captures", ["true", "auto"])
def test_any_token_is_captured_only_where_it_is_verified(tmp_path: Path, captures: str) -> None:
    """By every login whose sessions may come there; the first one that does not is named."""
    for one, two, unverified in (
        (VERIFY, VERIFY, ""),
        ("token: /a", VERIFY, "/one"),
        (VERIFY, "token: /a", "/two"),
        ("token: /a", "token: /a", "/one"),
    ):
        text = LOGIN.format(one=one, two=two, captures=captures)
        if not unverified:
            load(write(tmp_path, text), {})
            continue
        [problem] = problems(tmp_path, text)
        assert (
            f"routes[0].captures: needs verify on the login at {unverified}, or a place" in problem
        )
        assert "write captures: /data/token" in problem


@pytest.mark.parametrize("captures", ["/data/token", "header:X-Token", "cookie:jwt"])
def test_a_place_that_is_named_needs_no_verify(tmp_path: Path, captures: str) -> None:
    """Who names it knows what stands there."""
    load(write(tmp_path, LOGIN.format(one="token: /a", two="token: /a", captures=captures)), {})


def test_of_minted_sessions_nothing_is_captured(tmp_path: Path) -> None:
    """Their tokens are the gateway's own, so no upstream has others."""
    lines = LOGIN.format(one="", two="", captures="/token").splitlines()
    text = "\n".join(line for line in lines if "kind: backend" not in line)
    [problem] = problems(tmp_path, text)
    assert "routes[0].captures: needs a login of kind backend" in problem


BEGINS = """
version: 1
upstreams: {{shop: "http://127.0.0.1:9000", other: "http://a:1"}}
login:
  - {{kind: backend, path: /one, upstream: shop, subject_prefix: '', {one}}}
  - {{kind: backend, path: /two, upstream: {two}, subject_prefix: ''}}
routes: [{{path: {path}, upstream: shop, auth: optional, captures: /token, {more}}}]
"""


@pytest.mark.parametrize(
    ("two", "more", "login"),
    [
        ("other", "", "/one"),
        ("shop", "login: /one", "/one"),
        ("shop", "login: /two", "/two"),
        ("other", "login: /two", "/two"),
    ],
)
def test_whose_rules_hold_where_sessions_begin(
    tmp_path: Path, two: str, more: str, login: str
) -> None:
    """Those of the login that the route names, or of the only one that asks its upstream."""
    text = BEGINS.format(one=VERIFY, two=two, path="/graphql", more=more)
    config = load(write(tmp_path, text), {})
    found = login_of_route(config, config.routes[0])
    assert found is not None
    assert found.path == login


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"two": "shop"}, "captures: needs one login of kind backend at its upstream"),
        ({"more": "login: /twoo"}, "login: names no login of kind backend"),
        ({"more": "login: /logout"}, "login: names no login of kind backend"),
        (
            {"path": "/auth/*", "one": "token: /token"},
            "captures: needs verify on the login at /one",
        ),
    ],
)
def test_where_no_session_may_begin(tmp_path: Path, changes: dict[str, str], what: str) -> None:
    """On all paths of a prefix, what users write may stand at the named place."""
    text = BEGINS.format(**{"one": VERIFY, "two": "other", "path": "/auth", "more": "", **changes})
    said = problems(tmp_path, text)
    assert any(what in line for line in said), said
