"""`send_token`: what config.yaml may say of where upstreams read their tokens."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from gateway.config.problems import ConfigError
from gateway.config.token_places import key_schemes, token_fields, token_sending
from tests.support.configs import write


def config(sending: Any, **route: Any) -> str:
    """`sending` is that of the upstream; a route may name another upstream, or none."""
    rule = {name: value for name, value in {"upstream": "api", **route}.items() if value}
    sections = {
        "version": 1,
        "upstreams": {"api": {"servers": "http://127.0.0.1:9000", "send_token": sending}},
        "verify": {},
        "routes": [{"path": "/*", **rule}],
    }
    return yaml.safe_dump(sections, sort_keys=False)


def complaint(folder: Path, sending: Any, **route: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, config(sending, **route)), {})
    [problem] = caught.value.problems
    return str(problem).partition("config.yaml:")[2]


def test_a_route_says_it_in_place_of_its_upstream(tmp_path: Path) -> None:
    """Without either, a token goes as it came."""
    for upstream, route, expected in (
        ("auto", {}, None),
        ("cookie:jwt", {}, "cookie:jwt"),
        ("cookie:jwt", {"send_token": "auto"}, None),
        ("auto", {"send_token": "header:X-Access-Token"}, "header:X-Access-Token"),
        ("scheme:Token", {"send_token": "bearer"}, "bearer"),
    ):
        loaded = load(write(tmp_path, config(upstream, **route)), {})
        sending = token_sending(loaded.routes[0], loaded)
        assert (None if sending is None else str(sending)) == expected
    assert token_fields(load(write(tmp_path, config("header:X-Access-Token")), {})) == [
        "X-Access-Token"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Bearer", "is no way to send a token"),
        ("jwt", "as in scheme:JWT"),
        ("header:Host", "names a field with a meaning of its own"),
        ("header:X-User-Id", "is a field of identity"),
    ],
)
def test_what_it_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    """The message says what may be meant."""
    assert said in complaint(tmp_path, text)


def test_a_public_route_has_no_token(tmp_path: Path) -> None:
    """No key is looked at."""
    found = complaint(tmp_path, "auto", auth="public", send_token="bearer")
    assert "routes[0].send_token: needs a session: auth cannot be public" in found


def test_no_answer_of_verify_sets_a_query(tmp_path: Path) -> None:
    """So a route for proxies alone cannot send it there."""
    found = complaint(tmp_path, "auto", upstream=None, send_token="query:token")
    assert "routes[0].send_token: is beyond verify" in found


def test_tokens_in_queries_are_warned_of(tmp_path: Path) -> None:
    """The backend's logs may hold them, and behind verify there is none."""
    [warning] = load_with_warnings(write(tmp_path, config("query:token")), {})[1]
    assert "upstreams.api.send_token: lets the backend's own logs hold tokens" in str(warning)
    assert "go without the token" in str(warning)
    assert load_with_warnings(write(tmp_path, config("cookie:token")), {})[1] == []


def test_keys_come_where_upstreams_read_tokens(tmp_path: Path) -> None:
    """Besides the configured schemes, each of them once."""
    for sending, schemes in (
        ("auto", ["Bearer"]),
        ("scheme:Token", ["Bearer", "Token"]),
        ("scheme:bearer", ["bearer"]),
        ("header:Authorization", ["Bearer", "none"]),
        ("cookie:jwt", ["Bearer"]),
    ):
        assert key_schemes(load(write(tmp_path, config(sending)), {})) == schemes


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"key_in_query": "k", "auth": "public"}, "need auth: no key is looked at"),
        ({"key_in_subprotocol": True}, "goes with an upstream and websocket: true"),
        ({"key_in_query": "k", "upstream": None}, "key_in_query needs an upstream"),
        ({"key_in_query": "a&b"}, "key_in_query"),
    ],
)
def test_where_keys_beside_fields_are_no_use(
    tmp_path: Path, route: dict[str, Any], said: str
) -> None:
    """On routes that look at no key, or that cannot cut it out."""
    assert said in complaint(tmp_path, "auto", **route)


def test_keys_in_queries_are_warned_of(tmp_path: Path) -> None:
    """They stand in histories."""
    [warning] = load_with_warnings(write(tmp_path, config("auto", key_in_query="k")), {})[1]
    assert "routes[0].key_in_query: lets keys stand in URLs" in str(warning)
