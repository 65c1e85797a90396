"""What `captures` may say of a route."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.core.token_places import Auto, Cookie, JsonPointer
from tests.config.test_load import problems, write

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
        ("captures: nowhere", "names no place"),
        ("captures: 5", "names no place"),
        ("captures: [auto]", "names no place"),
    ],
)
def test_what_it_does_not_go_with(tmp_path: Path, more: str, what: str) -> None:
    """A session must be there to be changed, and a whole reply to be read."""
    said = problems(tmp_path, TEXT.format(more=more))
    assert any(what in each for each in said), said
