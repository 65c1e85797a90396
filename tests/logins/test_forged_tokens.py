"""wire-rules.md#E15: what a client sends is never a login's token, however it is sent and wherever
it is repeated.

A backend that refuses may repeat what was typed, with a status that is no refusal. Each way to send
a token (SENT) meets each way in which a reply may repeat it (REPLIES), and no key is handed out.
"""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.conftest import token_of
from tests.support.endpoints import BODY, World, answer, count, world
from tests.support.redis_server import RedisServer
from tests.support.signing import by_hand, payload

# A token that the backend has signed for alice once: no signature tells that it is an echo.
SIGNED = token_of("alice", role="admin")
# Ones that any client can write.
FORGED = by_hand({"alg": "HS256", "typ": "JWT"}, payload(role="admin"), bytes(32))
UNSIGNED = by_hand({"alg": "none"}, payload(role="admin"), b"signature")

FORM = "application/x-www-form-urlencoded"
PARTS = '--x\r\nContent-Disposition: form-data; name="user"\r\n\r\n{}\r\n--x--\r\n'


@dataclass
class Sent:
    """A request to log in."""

    body: bytes = BODY
    query: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def sent_json(text: str) -> Sent:
    body = json.dumps({"form": [{"username": text}], "password": "x"}).encode()
    return Sent(body, fields={"Content_Type": "application/json"})


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(f"{text}:x".encode()).decode()


def percent(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def pieces(text: str) -> list[str]:
    """Too short ones to know a token by."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]


SENT: dict[str, Callable[[str], Sent]] = {
    "json": sent_json,
    "json name": lambda text: Sent(json.dumps({text: "x"}).encode()),
    "json escapes": lambda text: Sent(b'{"username": "%b"}' % escaped(text).encode()),
    "json in json": lambda text: sent_json(json.dumps({"username": escaped(text)})),
    "json in base64": lambda text: sent_json(base64.b64encode(sent_json(text).body).decode()),
    "wide json": lambda text: Sent(json.dumps({"username": text}).encode("utf-16")),
    "graphql": lambda text: sent_json(f'mutation {{ login(name: "{text}") {{ token }} }}'),
    "form": lambda text: Sent(f"u={percent(text)}&p=x".encode(), fields={"Content_Type": FORM}),
    "parts": lambda text: Sent(PARTS.format(text).encode()),
    "plain": lambda text: Sent(text.encode()),
    "in capitals": lambda text: sent_json(text.upper()),
    "between tags": lambda text: sent_json('<b title=">0">'.join(pieces(text))),
    "between scripts": lambda text: sent_json("<script>a<b</script>".join(pieces(text))),
    "between comments": lambda text: sent_json("<!-->0-->".join(pieces(text))),
    "glued": lambda text: Sent(json.dumps([text[:-50], text[-50:]]).encode()),
    "packed": lambda text: Sent(
        gzip.compress(sent_json(text).body), fields={"Content_Encoding": "gzip"}
    ),
    "query": lambda text: Sent(query=f"?name={text}"),
    "percent in the query": lambda text: Sent(query=f"?{percent(percent(text))}"),
    "field": lambda text: Sent(fields={"X_Name": text}),
    "basic": lambda text: Sent(fields={"Authorization": basic(text)}),
    "cookie": lambda text: Sent(fields={"Cookie": f"theme=dark; last_user={text}"}),
    "host": lambda text: Sent(fields={"Host": text}),
    "agent": lambda text: Sent(fields={"User_Agent": text}),
}


def redirect(**fields: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return web.Response(status=302, headers={"Location": "/login?failed", **named})


# In which each a token becomes a key, if the client has not sent it.
REPLIES: dict[str, Callable[[str], web.Response]] = {
    "json": lambda token: answer({"token": token}),
    "json with a scheme": lambda token: answer({"access_token": f"Bearer {token}"}),
    "deep json": lambda token: answer({"data": [{"login": {"accessToken": token}}]}),
    "json by escapes": lambda token: answer(b'{"jwt": "%b"}' % escaped(token).encode()),
    "text": lambda token: answer(token.encode(), Content_Type="text/plain"),
    "field": lambda token: answer({}, X_Auth_Token=token),
    "authorization": lambda token: answer({}, Authorization=f"Bearer {token}"),
    "cookie": lambda token: answer({}, Set_Cookie=f"jwt={token}; Path=/"),
    "redirect with a cookie": lambda token: redirect(Set_Cookie=f"token={token}; HttpOnly"),
    "redirect with a field": lambda token: redirect(X_Auth_Token=token),
    "created": lambda token: answer({"token": token}, status=201),
    "no content": lambda token: web.Response(status=204, headers={"X-Auth-Token": token}),
}


async def log_in(place: World, sent: Sent) -> tuple[int, str]:
    """The status of a login, and the whole answer as a text."""
    status, headers, body = await place.ask("POST", f"/login{sent.query}", sent.body, **sent.fields)
    return status, f"{headers}{body.decode('latin-1')}"


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
async def test_what_was_sent_is_no_token(
    either: World, reply: Callable[[str], web.Response]
) -> None:
    """However it was sent: no key, no session, and nothing of it in the answer."""
    either.backend.answer = reply(SIGNED)
    for way, make in SENT.items():
        status, text = await log_in(either, make(SIGNED))
        assert status in (302, 502), (way, text)
        assert "lk_" not in text, way
        assert SIGNED not in text, way
    assert await count(either) == 0
    assert {event.kind for event in either.events} == {"login_failed"}
    _, text = await log_in(either, Sent())
    assert "lk_" in text, "what the client has not sent is the backend's"


# From which `auto` never takes one, and with them what a page or an address may repeat.
ELSEWHERE: dict[str, Callable[[str], web.Response]] = {
    "an unknown name": lambda token: answer({"user": {"name": token}, "message": token}),
    "errors": lambda token: answer({"errors": [{"token": token}], "token": token}),
    "a text": lambda token: answer(f"no user {token}".encode(), Content_Type="text/plain"),
    "a page": lambda token: answer(f"<p>{token}</p>".encode(), Content_Type="text/html"),
    "an unknown field": lambda token: answer({}, X_Who=token, Link=f"<{token}>", Refresh=token),
    "an unknown cookie": lambda token: answer({}, Set_Cookie=f"who={token}"),
    "a cookie's attribute": lambda token: answer({}, Set_Cookie=f"token=x; Path=/{token}"),
    "an address": lambda token: redirect(Location=f"/login?token={token}#access_token={token}"),
    "the body of a redirect": lambda token: answer({"token": token}, 302, Location="/login"),
    "not modified": lambda token: web.Response(status=304, headers={"X-Auth-Token": token}),
    "a refusal": lambda token: answer({"token": token}, status=401, X_Auth_Token=token),
    "a first step": lambda token: answer({"mfa_required": True, "token": token}),
    "a temporary token": lambda token: answer({"mfa_token": token, "otp": {"token": token}}),
}


@pytest.mark.parametrize("reply", ELSEWHERE.values(), ids=ELSEWHERE.keys())
async def test_nothing_is_taken_from_elsewhere(
    either: World, reply: Callable[[str], web.Response]
) -> None:
    """Whether the client has sent it or not."""
    either.backend.answer = reply(SIGNED)
    for sent in (Sent(), *(make(SIGNED) for make in SENT.values())):
        _, text = await log_in(either, sent)
        assert ("lk_" in text, SIGNED in text) == (False, False)
    assert await count(either) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_whatever_the_method(redis: RedisServer, method: str) -> None:
    """A login by another method repeats what was typed as well."""
    login = {"kind": "backend", "path": "/login", "upstream": "accounts", "methods": [method]}
    async with world(redis.url, login=login) as place:
        place.backend.answer = answer({}, X_Auth_Token=SIGNED)
        _, headers, _ = await place.ask(method, f"/login?name={percent(SIGNED)}")
        assert "lk_" not in str(headers)
        assert await count(place) == 0
        _, headers, _ = await place.ask(method, "/login")
        assert headers["X-Auth-Token"].startswith("lk_")


@pytest.mark.parametrize("token", [FORGED, UNSIGNED], ids=["forged", "unsigned"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
async def test_a_forged_token_is_none(
    redis: RedisServer, reply: Callable[[str], web.Response], token: str
) -> None:
    """Typed as a user's name; one that is not signed is none wherever it comes from."""
    login = {"kind": "backend", "path": "/login", "upstream": "accounts"}
    async with world(redis.url, login=login) as place:
        place.backend.answer = reply(token)
        for sent in (sent_json(token), Sent()) if token == UNSIGNED else (sent_json(token),):
            _, text = await log_in(place, sent)
            assert "lk_" not in text
        assert await count(place) == 0


NAMED: dict[str, Callable[[str], web.Response]] = {
    "/error/who": lambda token: answer({"error": {"who": token}}),
    "header:X-Who": lambda token: answer({}, X_Who=f"{token}, nobody"),
    "header:Location": lambda token: redirect(Location=f"/login?name={token}"),
    "cookie:who": lambda token: answer({}, Set_Cookie=f"who={token}"),
}


@pytest.mark.parametrize(("where", "reply"), NAMED.items(), ids=NAMED.keys())
async def test_a_named_place_is_no_exception(
    redis: RedisServer, where: str, reply: Callable[[str], web.Response]
) -> None:
    """What config.yaml points at may be where the backend repeats what was typed."""
    login = {"kind": "backend", "path": "/login", "upstream": "accounts", "token": where}
    async with world(redis.url, login=login, guessing="off") as place:
        place.backend.answer = reply(SIGNED)
        for way, make in SENT.items():
            _, text = await log_in(place, make(SIGNED))
            assert "lk_" not in text, way
        assert await count(place) == 0
        _, text = await log_in(place, Sent())
        assert "lk_" in text


async def test_an_echo_beside_the_token_is_passed_over(either: World) -> None:
    """Under a likelier name it does not hide the token, and it is erased."""
    token = token_of("alice")
    either.backend.answer = answer({"token": SIGNED, "jwt": token, "user": {"name": SIGNED}})
    status, _, body = await either.ask("POST", "/login", sent_json(SIGNED).body)
    data = json.loads(body)
    assert (status, data["token"], data["user"]) == (200, "", {"name": ""})
    assert (await either.resolved(data["jwt"])).session.token.reveal() == token


async def test_a_refusal_that_repeats_what_was_typed_stays_one(either: World) -> None:
    """It comes back as it came, without the token."""
    either.backend.answer = answer({"errors": [{"message": f"no user {SIGNED}"}]})
    status, _, body = await either.ask("POST", "/login", sent_json(SIGNED).body)
    assert (status, json.loads(body)) == (200, {"errors": [{"message": "no user "}]})
    either.backend.answer = redirect(Set_Cookie=f"jwt={SIGNED}", Location=f"/login?name={SIGNED}")
    status, headers, _ = await either.ask("POST", "/login", sent_json(SIGNED).body)
    assert (status, headers["Location"]) == (302, "/login?name=")
    assert "Set-Cookie" not in headers
    assert await count(either) == 0


async def test_a_request_that_cannot_be_read_gets_no_key(either: World) -> None:
    """Its contents are not known; a login that is packed as backends read it succeeds."""
    either.backend.answer = answer({"token": token_of("alice")})
    for packing, expected in (("gzip", 200), ("zstd", 502), ("gzip, x-secret", 502)):
        status, _, _ = await either.ask(
            "POST", "/login", gzip.compress(BODY), Content_Encoding=packing
        )
        assert status == expected, packing


async def test_a_large_request_is_read_as_well(either: World) -> None:
    """Beside the event loop."""
    pad = "x" * 100_000
    either.backend.answer = answer({"token": SIGNED})
    status, text = await log_in(either, sent_json(pad + escaped(SIGNED)))
    assert (status, "lk_" in text) == (502, False)
    assert (await log_in(either, sent_json(pad)))[0] == 200


@pytest.mark.parametrize("where", ["auto", "/refresh_token", "header:X-Refresh", "cookie:rt"])
async def test_a_refresh_token_that_the_client_wrote_is_not_kept(
    redis: RedisServer, where: str
) -> None:
    """With it, a session would be renewed as another user's. Without one, it is not renewed."""
    mine = "a-refresh-token-of-mine"
    renew = {"upstream": "accounts", "backend_path": "/refresh", "refresh_token": where}
    login = {"kind": "backend", "path": "/login", "upstream": "accounts", "renew": renew}
    async with world(redis.url, login=login) as place:
        place.backend.answer = answer(
            {"token": token_of("alice"), "refresh_token": mine},
            X_Refresh=mine,
            Set_Cookie=f"rt={mine}",
        )
        for sent, is_kept in ((sent_json(mine), False), (Sent(), True)):
            _, _, body = await place.ask("POST", "/login", sent.body)
            session = (await place.resolved(json.loads(body)["token"])).session
            assert (mine in session.refresh) is is_kept
