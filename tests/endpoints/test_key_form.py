"""`keys.form: jwt`: logins and captures hand out keys in the shape of a JWT."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conftest import token_of
from tests.core.test_jwt_shape import parts
from tests.endpoints.test_carriers import FIELDS, FORM, JSON, OWN, cookie_in
from tests.support.endpoints import BODY, World, answer, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

CLAIMS = {"name": "Alice", "roles": ["admin"], "jti": "j"}


@pytest.fixture
async def here(redis: RedisServer) -> AsyncIterator[World]:
    keys = {"form": "jwt", "claims": ["sub", "roles"]}
    logins: list[dict[str, Any]] = [
        {"kind": "backend", "path": "/login", "upstream": "accounts"},
        {"kind": "backend", "path": "/plain", "upstream": "accounts", "key_form": "opaque"},
        {
            "kind": "mint",
            "path": "/mint",
            "upstream": "accounts",
            "claims": {"sub": "/name", "roles": "/roles"},
        },
    ]
    for login in logins:
        login["subject_prefix"] = f"{login['path'][1:]}:"
    async with world(redis.url, login=logins, keys=keys, signing=signing()) as running:
        running.backend.answer = answer({"token": token_of("7", **CLAIMS), **CLAIMS})
        yield running


async def logged_in(place: World, path: str = "/login") -> Any:
    status, _, body = await place.ask("POST", path, BODY, **JSON)
    assert status == 200
    return json.loads(body)["token"]


@pytest.mark.parametrize(("path", "subject"), [("/login", "7"), ("/mint", "mint:Alice")])
async def test_frontends_can_read_it(here: World, path: str, subject: str) -> None:
    """Its claims are those of the token, as its issuer wrote them; `exp` is the session's end."""
    text = await logged_in(here, path)
    _, payload, key = parts(text)
    session = (await here.resolved(key)).session
    assert payload == {
        "sub": subject,
        "roles": ["admin"],
        "iat": payload["iat"],
        "exp": int(session.ends_at),
    }
    assert abs(payload["iat"] - time.time()) < 60
    assert session.token.reveal().rpartition(".")[2] not in text


async def test_a_login_may_differ(here: World) -> None:
    assert (await logged_in(here, "/plain")).startswith("lk_")


async def test_the_gateways_own_cookie_holds_the_bare_key(here: World) -> None:
    """No script can read that cookie, so nothing else needs to stand in it."""
    _, fields, body = await here.ask("POST", "/login", FIELDS, **FORM, **OWN)
    assert cookie_in(fields).startswith("latchkey=lk_")
    assert b"lk_" not in body


async def test_a_backends_cookie_holds_what_its_scripts_read(here: World) -> None:
    """It came with a token in it, and now comes with the key in that shape."""
    cookie = f"jwt={token_of('7', **CLAIMS)}; Path=/"
    here.backend.answer = answer({}, Set_Cookie=cookie)
    _, fields, _ = await here.ask("POST", "/login", BODY, **JSON)
    text = cookie_in(fields).partition("=")[2].partition(";")[0]
    assert parts(text)[1]["roles"] == ["admin"]
    assert await here.is_known(parts(text)[2])


async def test_claims_too_long_for_a_cookie_are_left_out_and_told(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, by their names."""
    here.backend.answer = answer({"token": token_of("7", roles=["x" * 5000])})
    for _ in range(2):
        assert "roles" not in parts(await logged_in(here))[1]
    assert [r.getMessage() for r in caplog.records if "keys.claims" in r.getMessage()] == [
        "keys.claims are too long for a key: roles left out"
    ]
