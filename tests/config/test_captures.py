"""What `captures` may say of a route."""

from pathlib import Path

import pytest

from gateway.config.load import load
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


def test_what_is_read_as_a_whole_is_bounded(tmp_path: Path) -> None:
    """A request is no larger than a login's, unless something else is said."""
    [route] = load(write(tmp_path, TEXT.format(more="captures: true")), {}).routes
    assert (route.body_size, route.max_reply) == (2**20, 2**20)
    more = "captures: true, body_size: 2MiB, max_reply: 5MiB"
    [route] = load(write(tmp_path, TEXT.format(more=more)), {}).routes
    assert (route.body_size, route.max_reply) == (2 * 2**20, 5 * 2**20)
    [route] = load(write(tmp_path, TEXT.format(more="methods: GET")), {}).routes
    assert route.body_size is None


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("captures: true, auth: optional", "captures need a session"),
        ("captures: true, auth: public", "captures need a session"),
        ("captures: true, accept_jwt: verify", "captures need a session"),
        ("captures: true, websocket: true", "captures read whole replies"),
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
