"""`kind: oidc` in a real gateway: before its provider is there, and with secrets planted in it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from tests.support.faulty_provider import CODE, FaultyProvider, faulty_provider, login
from tests.support.gateway import SECRET, Gateway, gateway
from tests.support.leaks import Planted
from tests.support.processes import HANG, free_port
from tests.support.raw import Upstream
from tests.support.redis_server import RedisServer, redis_server

CLIENT_SECRET = "client-secret-PLANTED-3Qw8xT"
REFRESH = "refresh-token-PLANTED-7Zk2pL"
WORDS = "words-of-the-provider-PLANTED-5Rd1"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A site that says ok to everything."""
    with Upstream() as server:
        yield server


def sections(upstream: Upstream, *logins: dict[str, Any]) -> dict[str, Any]:
    return {
        "upstreams": {"site": upstream.url},
        "login": list(logins),
        "pages": {"login": "/login"},
        "routes": [
            {"path": "/public/*", "upstream": "site", "auth": "public"},
            {"path": "/*", "upstream": "site"},
        ],
    }


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A browser: it keeps cookies, and goes where it is told to only if the test does."""
    jar = aiohttp.CookieJar(unsafe=True)
    timeout = aiohttp.ClientTimeout(total=HANG)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        session.headers["Accept"] = "text/html"
        yield session


class Browser:
    """Asks a gateway, and keeps all that it says."""

    def __init__(self, session: aiohttp.ClientSession, front: Gateway) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{front.port}"
        self.said = ""

    async def ask(self, path: str, data: Any = None, **fields: str) -> tuple[int, str]:
        """The status, and where one is led."""
        method = "GET" if data is None else "POST"
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        async with self._session.request(
            method, self._url + path, data=data, headers=named, allow_redirects=False
        ) as answer:
            self.said += await answer.text()
            return answer.status, answer.headers.get("Location", "")


async def test_a_gateway_starts_without_its_provider(
    tmp_path: Path, redis: RedisServer, upstream: Upstream
) -> None:
    """Everything else is served; its login is 503 until the provider is there, and then works."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}/realm"
    section = {**login_of(issuer), "timeout": 2}
    with gateway(tmp_path, redis.url, **sections(upstream, section)) as front:
        async with client() as session:
            browser = Browser(session, front)
            assert (await browser.ask("/public/"))[0] == 200
            assert (await browser.ask("/home"))[1] == "/login?return_to=/home"
            assert (await browser.ask("/login?return_to=/home"))[0] == 200
            assert (await browser.ask("/login/id?return_to=/home"))[0] == 503
            assert "The login service does not answer" in browser.said
            async with faulty_provider(port) as provider:
                assert provider.issuer == issuer
                async with asyncio.timeout(HANG):
                    while (await browser.ask("/login/id?return_to=/home"))[0] != 303:
                        await asyncio.sleep(0.2)
                assert await log_in(browser, provider) == (303, "/home")
                assert (await browser.ask("/home"))[0] == 200


def login_of(issuer: str, **changes: Any) -> dict[str, Any]:
    usual = {"kind": "oidc", "path": "/login/id", "issuer": issuer, "client_id": "the client"}
    return {**usual, "client_secret": CLIENT_SECRET, **changes}


async def log_in(
    browser: Browser, provider: FaultyProvider, *, more: Any = None, planted: Planted | None = None
) -> tuple[int, str]:
    """The whole way; `more` changes what the provider's answer says."""
    _, where = await browser.ask("/login/id?return_to=/home")
    asked = {name: value for name, [value] in parse_qs(urlsplit(where).query).items()}
    provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
    if planted is not None:
        planted.plant(asked["state"], asked["nonce"])
    said = {"code": CODE, "state": asked["state"], "iss": provider.issuer, **(more or {})}
    return await browser.ask(f"/login/id/callback?{urlencode(said)}")


async def test_no_secret_leaks(tmp_path: Path, upstream: Upstream) -> None:
    """Of all flows, good and bad: neither codes, states, nonces and verifiers, nor tokens of any
    kind, the client's secret or the provider's words are in a log, a page, a metric or in Redis.
    """
    planted = Planted()
    planted.plant(CLIENT_SECRET, REFRESH, WORDS, CODE)
    with redis_server(tmp_path, "--rdbcompression", "no") as store:
        async with faulty_provider() as provider:
            section = login(provider, client_secret=CLIENT_SECRET, timeout=2)
            folder = tmp_path / "front"
            with gateway(folder, store.url, **sections(upstream, section)) as front:
                async with client() as session:
                    browser = Browser(session, front)
                    keys = await flows(browser, provider, planted)
                    planted.plant(*(form["code_verifier"] for form in provider.forms[:1]))
                    metrics = str(front.metrics())
                with store.client() as redis:
                    redis.save()
        dump = (tmp_path / "dump.rdb").read_bytes()
    assert len(planted) > 15
    texts = {log.name: log.read_bytes() for log in folder.glob("*.log")}
    texts |= {"metrics": metrics.encode(), "answers": browser.said.encode(), "redis": dump}
    assert {name: found for name, text in texts.items() if (found := planted.found(text))} == {}
    planted.plant(*keys)
    assert planted.found(texts["access.log"] + texts["gateway.log"] + dump) == []
    assert b"gateway.logins" in texts["gateway.log"], "it does say something"
    assert b"/login/id/callback" in texts["access.log"]


async def flows(browser: Browser, provider: FaultyProvider, planted: Planted) -> list[str]:
    """What may happen; returns the keys that were handed out."""
    keys = []
    provider.grant["refresh_token"] = REFRESH
    for claims in ({}, {"sid": "s" * 20}, {"nonce": "another"}, {"aud": "another"}, {"exp": 1}):
        provider.claims = dict(claims)
        status, _ = await log_in(browser, provider, planted=planted)
        assert status == (303 if claims in ({}, {"sid": "s" * 20}) else 502)
        given = provider.given()
        planted.plant(given["access_token"], given["id_token"])
        if status == 303:
            assert (await browser.ask("/home"))[0] == 200
        keys += [cookie.value for cookie in browser._session.cookie_jar if cookie.key == "latchkey"]
    provider.claims = {}
    words = {"error": WORDS, "error_description": WORDS}
    assert (await log_in(browser, provider, more=words, planted=planted))[0] == 502
    assert (await log_in(browser, provider, more={"state": WORDS}, planted=planted))[0] == 400
    assert (await log_in(browser, provider, more={"iss": WORDS}, planted=planted))[0] == 400
    provider.granting = told(WORDS)
    assert (await log_in(browser, provider, planted=planted))[0] == 502
    provider.granting = None
    provider.grant |= {"access_token": WORDS}
    provider.claims["at_hash"] = None
    assert (await log_in(browser, provider, planted=planted))[0] == 502
    del provider.grant["access_token"]
    for changes in ({}, {"aud": "another"}):
        token = provider.logout_token(sub="nobody", **changes)
        planted.plant(token)
        status, _ = await browser.ask("/login/id/backchannel", {"logout_token": token})
        assert status == (400 if changes else 200)
    assert (await log_in(browser, provider, planted=planted))[0] == 303
    keys += [cookie.value for cookie in browser._session.cookie_jar if cookie.key == "latchkey"]
    own = {"Sec_Fetch_Site": "same-origin"}
    status, where = await browser.ask("/logout", {"a": "b"}, **own)
    assert (status, where.partition("?")[0]) == (303, provider.server.url + "/end")
    return keys


def told(text: str) -> Any:
    async def granting(_form: dict[str, str]) -> aiohttp.web.Response:
        return aiohttp.web.Response(text=f"<html>{text}</html>", content_type="text/html")

    return granting


async def test_a_renewal_outlives_the_stop(
    tmp_path: Path, redis: RedisServer, upstream: Upstream
) -> None:
    """A refresh token that is being used when a gateway is stopped is replaced by the next one, or
    the session would be lost.
    """
    asked, going = asyncio.Event(), asyncio.Event()

    async def slow(form: dict[str, str]) -> aiohttp.web.Response:
        if form["grant_type"] == "refresh_token":
            asked.set()
            await asyncio.wait_for(going.wait(), HANG)
            provider.grant["expires_in"] = 300
        return aiohttp.web.json_response(provider.given())

    session = {"secrets": [SECRET], "clock_skew": 0.5}
    async with faulty_provider() as provider, client() as jar:
        provider.grant["expires_in"] = 6
        provider.granting = slow
        given = sections(upstream, login_of(provider.issuer))
        with ExitStack() as stack:
            front = stack.enter_context(gateway(tmp_path, redis.url, session=session, **given))
            browser = Browser(jar, front)
            assert (await log_in(browser, provider))[0] == 303
            async with asyncio.timeout(HANG):
                while not asked.is_set():
                    assert (await browser.ask("/home"))[0] == 200
                    await asyncio.sleep(0.1)
            stopped = asyncio.create_task(asyncio.to_thread(stack.close))
            await asyncio.sleep(1)
            going.set()
            await stopped
        with gateway(tmp_path, redis.url, at=front.port, session=session, **given) as later:
            assert (await Browser(jar, later).ask("/home"))[0] == 200
    assert [form["grant_type"] for form in provider.forms] == [
        "authorization_code",
        "refresh_token",
    ]


def test_nobody_else_pays_for_it() -> None:
    """A worker without such a login imports nothing of it."""
    code = "import gateway.processes.worker, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    modules = set(found.stdout.decode().split())
    assert "gateway.logins" in modules
    parts = ("authorization_code", "login_state", "provider_metadata", "token_response")
    unused = {"gateway.logins.oidc.login", "gateway.core.tokens.id_tokens"}
    assert not modules & {*unused, *(f"gateway.core.logins.{part}" for part in parts)}
