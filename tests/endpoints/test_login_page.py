"""The choice of providers: for people in their language, and for apps."""

import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

LOGINS = [
    {
        "kind": "oidc",
        "path": f"/login/{name}",
        "name": shown,
        "issuer": f"https://{name}.example/realm",
        "client_id": "shop",
        "subject_prefix": f"{name}:",
    }
    for name, shown in (("one", "One & only <b>"), ("two", None))
]


class Links(HTMLParser):
    """The links of a page: where they lead, and what they say."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "a"
        if tag == "a":
            self.found.append((str(dict(attrs)["href"]), ""))

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] = self.found[-1][0], self.found[-1][1] + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


@pytest.fixture
async def place(redis: RedisServer) -> AsyncIterator[World]:
    async with world(redis.url, login=LOGINS, pages={"login": "/login"}) as built:
        yield built


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [
        ("en", "Continue with One & only <b>", "Continue with two.example"),
        ("ko-KR", "One & only <b> 계정으로 로그인", "two.example 계정으로 로그인"),
    ],
)
async def test_the_page(place: World, language: str, first: str, second: str) -> None:
    """A link for each, by its name or else by its host; where one was going goes along."""
    status, headers, body = await place.ask(
        "GET", "/login?return_to=/cart%3Fa%3D1%26b", Accept="text/html", Accept_Language=language
    )
    assert status == 200
    assert headers["Content-Language"] == language[:2]
    assert headers["Cache-Control"] == "no-store"
    assert Links(body.decode()).found == [
        ("/login/one?return_to=/cart%3Fa%3D1%26b", first),
        ("/login/two?return_to=/cart%3Fa%3D1%26b", second),
    ]


async def test_how_old_a_login_may_be_goes_along(place: World) -> None:
    """To each provider, which is to ask again; what is no age is left out."""
    for said, expected in (("600", "?max_age=600&return_to=/pay"), ("x", "?return_to=/pay")):
        target = f"/login?max_age={said}&return_to=/pay"
        _, _, body = await place.ask("GET", target, Accept="text/html")
        found = [where for where, _ in Links(body.decode()).found]
        assert found == [f"/login/one{expected}", f"/login/two{expected}"]


async def test_for_apps(place: World) -> None:
    """The same as JSON, for an app's own buttons."""
    status, _, body = await place.ask("GET", "/login", Accept="application/json")
    assert status == 200
    assert json.loads(body) == {
        "forms": [],
        "providers": [
            {"name": "One & only <b>", "path": "/login/one"},
            {"name": "two.example", "path": "/login/two"},
        ],
    }


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "\\evil", "javascript:"]
)
async def test_nobody_is_led_elsewhere(place: World, back: str) -> None:
    """A way back that leads to another site is none (CWE-601)."""
    _, _, body = await place.ask("GET", f"/login?return_to={back}", Accept="text/html")
    assert [where for where, _ in Links(body.decode()).found] == ["/login/one", "/login/two"]


async def test_it_is_only_looked_at(place: World) -> None:
    status, headers, _ = await place.ask("POST", "/login", b"a=b")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("remember", "field"),
    [(None, None), ("rememberMe", "rememberMe"), ({"always": True}, None)],
)
async def test_a_checkbox_for_those_who_may_be_remembered(
    redis: RedisServer, tmp_path: Path, remember: object, field: str | None
) -> None:
    """It has the name of the field; where each login is remembered, there is nothing to ask."""
    login = {"kind": "users", "path": "/login", "file": str(tmp_path / "users.yaml")}
    if remember is not None:
        login["remember"] = remember  # type: ignore[assignment]
    async with world(
        redis.url, login=login, pages={"login": "/signin"}, signing=signing()
    ) as place:
        _, _, body = await place.ask("GET", "/signin", Accept="text/html")
    boxes = re.findall(rb'<input type="checkbox" name="([^"]+)" value="on">', body)
    assert boxes == ([] if field is None else [field.encode()])
