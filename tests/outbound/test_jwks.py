"""Key sets: when they are fetched, and how long they are kept (`gateway.outbound.jwks`)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from gateway.outbound.jwks import KeySet, KeySets, KeysUnavailable
from tests.support.endpoints import Asked, Backend, answer, backend
from tests.support.processes import HANG
from tests.support.signing import ec_signer, ed_signer, published, rsa_signer

OLD, NEW = ec_signer("old"), ed_signer("new")


@pytest.fixture
async def provider() -> AsyncIterator[Backend]:
    """A provider that publishes one key."""
    async with backend() as server:
        server.answer = answer(published(OLD))
        yield server


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def names(keys: KeySet) -> list[str | None]:
    return [key.kid for key in await keys.keys()]


async def eventually(keys: KeySet, expected: list[str]) -> None:
    async with asyncio.timeout(HANG):
        while await names(keys) != expected:
            await asyncio.sleep(0.01)


async def test_a_set_is_fetched_once(provider: Backend) -> None:
    """By the first request; later ones share the answer, and so do all users of its address."""
    sets = KeySets()
    assert sets.at(provider.url + "/keys") is sets.at(provider.url + "/keys")
    found = await asyncio.gather(*(names(sets.at(provider.url + "/keys")) for _ in range(50)))
    assert found == [["old"]] * 50
    assert await names(sets.at(provider.url + "/keys")) == ["old"]
    [asked] = provider.asked
    assert (asked.method, asked.target) == ("GET", "/keys")
    assert "Cookie" not in asked.headers
    await sets.close()


async def test_a_new_key_is_fetched_when_it_is_asked_for(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """A provider that has rotated its keys is asked once more, for all who wait."""
    keys = KeySet(client, provider.url, pause=0)
    assert await names(keys) == ["old"]
    provider.answer = answer(published(OLD, NEW))
    found = await asyncio.gather(*(keys.newer() for _ in range(20)))
    assert {tuple(key.kid for key in key_set) for key_set in found} == {("old", "new")}
    assert len(provider.asked) == 2


async def test_made_up_names_do_not_make_us_ask(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """Any client can write any name into a token; the provider is asked at most once in a while."""
    keys = KeySet(client, provider.url, pause=0.5)
    began = time.monotonic()
    for _ in range(200):
        assert [key.kid for key in await keys.newer()] == ["old"]
    assert len(provider.asked) <= 1 + (time.monotonic() - began) / 0.5


async def test_a_known_key_is_not_waited_for(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """While a provider is slow, only those who need its answer wait."""
    going = asyncio.Event()

    async def slow(_asked: Asked) -> web.Response:
        await going.wait()
        return answer(published(OLD, NEW))

    keys = KeySet(client, provider.url, pause=0, fresh=0)
    assert await names(keys) == ["old"]
    provider.answer = slow
    waiting = [asyncio.create_task(keys.newer()) for _ in range(3)]
    await asyncio.sleep(0)
    for _ in range(10):
        async with asyncio.timeout(HANG):
            assert await names(keys) == ["old"]
    waiting[0].cancel()
    going.set()
    assert [key.kid for key in await waiting[1]] == ["old", "new"]
    assert [key.kid for key in await waiting[2]] == ["old", "new"], "the others are unharmed"


async def test_a_key_that_is_taken_back_is_forgotten(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """The set is fetched anew beside the requests when it is no longer fresh."""
    keys = KeySet(client, provider.url, pause=0, fresh=0)
    assert await names(keys) == ["old"]
    provider.answer = answer(published(NEW))
    await eventually(keys, ["new"])
    provider.answer = answer(published())
    await eventually(keys, [])


BROKEN: dict[str, Callable[[], web.Response]] = {
    "an error": lambda: answer({"error": "down"}, status=503),
    "a page": lambda: answer(b"<html>", Content_Type="text/html"),
    "no key set": lambda: answer({"keys": None}),
    "nothing": lambda: web.Response(status=204),
    "too much": lambda: answer(b" " * 600_000 + published(NEW)),
    "bad packing": lambda: answer(b"no gzip", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN.keys())
async def test_keys_are_kept_when_the_provider_is_down(
    provider: Backend, client: aiohttp.ClientSession, make: Callable[[], web.Response]
) -> None:
    """A bad answer says nothing of the keys that were good; but it leaves open which others there
    are, and without any, there are none.
    """
    keys = KeySet(client, provider.url, pause=0, fresh=0)
    assert await names(keys) == ["old"]
    provider.answer = make()
    with pytest.raises(KeysUnavailable):
        await keys.newer()
    assert await names(keys) == ["old"]
    with pytest.raises(KeysUnavailable):
        await names(KeySet(client, provider.url))


async def test_keys_are_kept_for_a_while_only(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """A provider that is silent for longer may have taken a key back long ago."""
    keys = KeySet(client, provider.url, pause=0, fresh=0, kept=0.3)
    assert await names(keys) == ["old"]
    provider.answer = answer({}, status=500)
    with pytest.raises(KeysUnavailable):  # noqa: PT012
        async with asyncio.timeout(HANG):
            while await names(keys) == ["old"]:
                await asyncio.sleep(0.01)
    provider.answer = answer(published(NEW))
    assert await names(keys) == ["new"], "and it recovers"


async def test_a_provider_that_does_not_answer(
    provider: Backend, client: aiohttp.ClientSession
) -> None:
    """It is waited for, but not for long, and not again by each request."""

    end = asyncio.Event()

    async def never(_asked: Asked) -> web.Response:
        await end.wait()
        return answer({})

    provider.answer = never
    keys = KeySet(client, provider.url, timeout=0.2)
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await names(keys)
    assert len(provider.asked) == 1
    end.set()


async def test_a_provider_that_trickles(provider: Backend, client: aiohttp.ClientSession) -> None:
    """The time is for the whole answer, and not for each piece."""

    async def trickle(_asked: Asked) -> web.StreamResponse:
        return web.Response(body=spaces())

    async def spaces() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    provider.answer = trickle
    keys = KeySet(client, provider.url, timeout=0.3)
    with pytest.raises(KeysUnavailable):
        await names(keys)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    provider: Backend, client: aiohttp.ClientSession, status: int
) -> None:
    """Only the address in config.yaml is asked."""
    async with backend() as other:
        other.answer = answer(published(NEW))
        provider.answer = web.Response(status=status, headers={"Location": other.url})
        with pytest.raises(KeysUnavailable):
            await names(KeySet(client, provider.url))
        assert other.asked == []


async def test_a_provider_that_cannot_be_reached(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the host and says why, and holds nothing else of the address."""
    with pytest.raises(KeysUnavailable):
        await names(KeySet(client, "http://127.0.0.1:1/keys?api_key=hidden"))
    [line] = caplog.messages
    assert "127.0.0.1" in line
    assert "hidden" not in line


async def test_a_set_without_a_usable_key_is_believed(
    provider: Backend, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that has taken all keys back means it; the log says so."""
    provider.answer = answer(published(rsa_signer("short", 1024)))
    assert await names(KeySet(client, provider.url)) == []
    assert "no key that can be used" in caplog.text
