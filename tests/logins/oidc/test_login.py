"""`kind: oidc` with a provider that does as it should: what it is asked, and what comes of it."""

import time
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import jwt
import pytest

from tests.support.endpoints import SECRET, World, world
from tests.support.faulty_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    CODE,
    REFRESH,
    FaultyProvider,
    Visitor,
    beside,
    faulty_provider,
    logged_in,
    login,
    shop,
)
from tests.support.redis_server import RedisServer
from tests.support.signing import ec_signer, ed_signer, rsa_signer


async def test_what_the_provider_is_asked(place: World, provider: FaultyProvider) -> None:
    """Code, PKCE by S256, a state and a nonce; the endpoint's own query stays (RFC 6749 §3.1)."""
    visitor = Visitor(place)
    status, headers, body = await visitor.go("/login/id?return_to=/cart%3Fn%3D1")
    assert (status, body) == (303, b"")
    url = urlsplit(headers["Location"])
    assert url._replace(query="").geturl() == provider.server.url + "/authorize"
    asked = {name: value for name, [value] in parse_qs(url.query, strict_parsing=True).items()}
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked.pop(name)) == 43
    assert asked == {
        "tenant": "1",
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "http://shop.example/login/id/callback",
        "scope": "openid",
        "code_challenge_method": "S256",
    }
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    [line] = headers.getall("Set-Cookie")
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax")
    assert "cart" not in line


async def test_every_login_is_another(place: World, provider: FaultyProvider) -> None:
    """Nothing of what keeps logins apart is ever used twice."""
    asked = [await Visitor(place).begin(provider) for _ in range(5)]
    for name in ("state", "nonce", "code_challenge"):
        assert len({query[name] for query in asked}) == 5


async def test_a_key_for_the_code(place: World, provider: FaultyProvider) -> None:
    """The code is redeemed once, by who the gateway is; the browser gets a key and nothing else."""
    visitor = Visitor(place)
    status, headers, body = await visitor.log_in(provider, "/login/id?return_to=/cart%3Fn%3D1")
    assert (status, headers["Location"], body) == (303, "/cart?n=1", b"")
    [form] = provider.forms
    assert len(form.pop("code_verifier")) == 43
    assert form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": "http://shop.example/login/id/callback",
    }
    assert provider.client_of() == (CLIENT_ID, CLIENT_SECRET)
    assert list(visitor.cookies) == ["latchkey"]
    assert "eyJ" not in str(headers)
    session = await visitor.session()
    assert (session.subject, session.login) == ("alice", "/login/id")
    assert session.claims["role"] == "buyer"
    [event] = place.events
    assert (event.kind, event.subject, event.address) == ("login", "alice", "192.0.2.7")


async def test_behind_tls(place: World, provider: FaultyProvider) -> None:
    """Both cookies have the prefix that keeps siblings and the wire out (RFC 6265bis §4.1.3)."""
    visitor = Visitor(place, "https")
    asked = await visitor.begin(provider)
    assert asked["redirect_uri"] == "https://shop.example/login/id/callback"
    [name] = visitor.login_states
    assert name.startswith("__Host-latchkey-")
    _, headers, _ = await visitor.come_back(provider, asked)
    assert list(visitor.cookies) == ["__Host-latchkey"]
    for line in headers.getall("Set-Cookie"):
        assert "; Path=/; HttpOnly; SameSite=Lax; Secure" in line
        assert "Domain" not in line


async def test_the_origin_may_be_said(redis: RedisServer, provider: FaultyProvider) -> None:
    """For a gateway that cannot know it from what it is asked."""
    async with shop(redis.url, provider, origin="https://www.example") as place:
        visitor = Visitor(place)
        asked = await visitor.begin(provider)
        assert asked["redirect_uri"] == "https://www.example/login/id/callback"
        assert (await visitor.come_back(provider, asked))[0] == 303
        assert provider.forms[0]["redirect_uri"] == asked["redirect_uri"]


async def test_more_is_asked_if_config_yaml_says_so(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """Scopes, and what a provider has of its own."""
    changes: dict[str, Any] = {"parameters": {"audience": "the api"}}
    changes["scopes"] = ["openid", "offline_access"]
    async with shop(redis.url, provider, **changes) as place:
        asked = await Visitor(place).begin(provider)
    assert (asked["scope"], asked["audience"]) == ("openid offline_access", "the api")


@pytest.mark.parametrize(
    ("changes", "supported", "in_form"),
    [
        ({}, None, False),
        ({}, ["client_secret_post", "client_secret_basic"], False),
        ({}, ["client_secret_post", "private_key_jwt"], True),
        ({"client_auth": "client_secret_post"}, None, True),
        ({"client_auth": "client_secret_basic"}, ["client_secret_post"], False),
    ],
)
async def test_who_the_gateway_says_it_is(
    redis: RedisServer,
    provider: FaultyProvider,
    changes: dict[str, Any],
    supported: list[str] | None,
    in_form: bool,
) -> None:
    """By Basic, unless the provider takes the form only, or config.yaml says something else
    (RFC 6749 §2.3.1).
    """
    provider.metadata["token_endpoint_auth_methods_supported"] = supported
    async with shop(redis.url, provider, **changes) as place:
        assert (await Visitor(place).log_in(provider))[0] == 303
    assert provider.client_of() == (CLIENT_ID, CLIENT_SECRET)
    assert ("client_secret" in provider.forms[0]) is in_form
    assert ("Authorization" in provider.fields[0]) is not in_form


async def test_a_public_client(redis: RedisServer, provider: FaultyProvider) -> None:
    """Without a secret, PKCE alone protects the code."""
    async with shop(redis.url, provider, client_secret=None) as place:
        assert (await Visitor(place).log_in(provider))[0] == 303
    assert provider.client_of() == (CLIENT_ID, "")
    assert "Authorization" not in provider.fields[0]


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "%2F%2Fevil.example",
        "",
        "/" * 9,
    ],
)
async def test_nobody_is_led_elsewhere(place: World, provider: FaultyProvider, path: str) -> None:
    """A link to the login that names another site leads to the front page (CWE-601)."""
    visitor = Visitor(place)
    _, headers, _ = await visitor.log_in(provider, f"/login/id?return_to={path}")
    assert headers["Location"] == "/"


async def test_a_very_long_way_back(place: World, provider: FaultyProvider) -> None:
    """6 KiB survive, with a backslash in the query; the browser keeps nothing of it afterwards."""
    visitor = Visitor(place)
    way = "/search?q=\\" + token_urlsafe(4600)
    target = f"/login/id?return_to={quote(way, safe='')}"
    _, headers, _ = await visitor.log_in(provider, target)
    assert headers["Location"] == way
    assert visitor.login_states == {}
    _, headers, _ = await visitor.log_in(provider, f"/login/id?return_to=/{'a' * 8000}")
    assert headers["Location"] == "/"


async def test_back_to_an_allowed_origin(redis: RedisServer, provider: FaultyProvider) -> None:
    """A frontend of another origin gets its visitors back, at any of its paths."""
    session = {"secrets": [SECRET]}
    pages = {"return_origins": ["https://app.example"]}
    async with world(redis.url, login=login(provider), session=session, pages=pages) as place:
        visitor = Visitor(place)
        for way, expected in (
            ("https://app.example/orders?page=2", "https://app.example/orders?page=2"),
            ("https://app.example.evil.example/", "/"),
            ("https://app.example@evil.example/", "/"),
            ("/cart", "/cart"),
        ):
            target = f"/login/id?return_to={quote(way, safe='')}"
            _, headers, _ = await visitor.log_in(provider, target)
            assert headers["Location"] == expected


async def test_the_id_token_as_the_token(redis: RedisServer, provider: FaultyProvider) -> None:
    """For providers whose access tokens only they can read."""
    provider.grant["access_token"] = "opaque"
    provider.claims["at_hash"] = None
    async with shop(redis.url, provider, token="id_token") as place:
        visitor = await logged_in(place, provider)
        session = await visitor.session()
    claims = jwt.decode(session.token.reveal(), options={"verify_signature": False})
    assert (claims["aud"], claims["nonce"]) == (CLIENT_ID, provider.nonce)
    assert session.expires_at == claims["exp"]


async def test_when_an_access_token_expires(place: World, provider: FaultyProvider) -> None:
    """Whichever is earlier: what it says itself, or what was said of it."""
    provider.grant["expires_in"] = "120"
    visitor = await logged_in(place, provider)
    session = await visitor.session()
    assert session.expires_at < session.claims["exp"] - 150


@pytest.mark.parametrize("signer", [ec_signer(), ed_signer(), rsa_signer("2")])
async def test_what_providers_sign_with(
    place: World, provider: FaultyProvider, signer: Any
) -> None:
    """Each type of key by its usual algorithm, found by its name among others."""
    provider.signer, provider.keys = signer, [rsa_signer("1"), signer]
    if signer.algorithm == "EdDSA":
        provider.claims["at_hash"] = None
    assert (await Visitor(place).log_in(provider))[0] == 303


async def test_another_algorithm_of_the_same_key(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """Is used if config.yaml allows it, and only then."""
    signer = rsa_signer("pss", algorithm="PS256")
    provider.signer, provider.keys = signer, [signer]
    async with shop(redis.url, provider) as place:
        assert (await Visitor(place).log_in(provider))[0] == 502
    async with shop(redis.url, provider, algorithms="PS256") as place:
        assert (await Visitor(place).log_in(provider))[0] == 303


async def test_who_the_subject_is(redis: RedisServer, provider: FaultyProvider) -> None:
    """By the first claim that is there; an address only if the provider has verified it."""
    provider.claims |= {"email": "alice@example.com", "tenant_id": 7}
    names = ["email", "tenant_id", "sub"]
    async with shop(redis.url, provider, subject=names, subject_prefix="id:") as place:
        for verified, expected in (
            (True, "id:alice@example.com"),
            (False, "id:7"),
            (None, "id:7"),
            ("yes", "id:7"),
            (1, "id:7"),
        ):
            provider.claims["email_verified"] = verified
            visitor = await logged_in(place, provider)
            assert (await visitor.session()).subject == expected


async def test_the_same_name_from_two_providers(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """Is two people: neither sees the other's sessions, nor is taken for the other."""
    async with faulty_provider() as second:
        other = login(second, path="/login/two", subject_prefix="two:")
        async with shop(redis.url, provider, other, subject_prefix="one:") as place:
            one, two = Visitor(place), Visitor(place)
            await one.log_in(provider)
            await two.log_in(second, "/login/two")
            subjects = [
                (await place.resolved(visitor.key)).session.subject for visitor in (one, two)
            ]
            assert subjects == ["one:alice", "two:alice"]
            assert len(await place.sessions.directory.of("one:alice")) == 1


async def test_one_gateway_begins_and_another_ends(place: World, provider: FaultyProvider) -> None:
    """What a login needs is with the browser and in the store; and it ends once over both."""
    visitor = Visitor(place)
    asked = await visitor.begin(provider)
    again = Visitor(place, cookies=dict(visitor.cookies))
    async with beside(place, provider) as other:
        visitor.place = other
        assert (await visitor.come_back(provider, asked))[0] == 303
    assert await place.is_known(visitor.key)
    assert (await again.come_back(provider, asked))[0] == 400


async def test_a_second_login_ends_the_first(place: World, provider: FaultyProvider) -> None:
    """wire-rules.md#E5: a new key each time, and the one that the same browser had is no good any
    more.
    """
    visitor = await logged_in(place, provider)
    first = visitor.key
    await visitor.log_in(provider)
    assert visitor.key != first
    assert not await place.is_known(first)
    assert [event.kind for event in place.events] == ["login", "revoke", "login"]


async def test_a_failed_login_ends_nothing(place: World, provider: FaultyProvider) -> None:
    """A logged-in user stays so until another login succeeds."""
    visitor = await logged_in(place, provider)
    first = visitor.key
    asked = await visitor.begin(provider)
    assert (await visitor.come_back(provider, asked, code="", error="access_denied"))[0] == 403
    assert visitor.key == first
    assert await place.is_known(first)


async def test_the_refresh_token_is_sealed(
    redis: RedisServer, place: World, provider: FaultyProvider
) -> None:
    """Redis holds neither a token nor a name of the provider's in the open."""
    visitor = Visitor(place)
    provider.claims["sid"] = "the-provider's-session"
    await visitor.log_in(provider)
    with redis.client() as client:
        names: Any = client.keys(f"{place.config.store.prefix}*")
        held = b"".join(names)
        for name in names:
            if client.type(name) == b"string":
                held += client.get(name) or b""
            else:
                held += b"".join(client.zrange(name, 0, -1))
    assert b"alice" in held, "the subject is said in the open"
    for secret in (REFRESH, CODE, provider.nonce, "the-provider's-session", "eyJ", visitor.key):
        assert secret.encode() not in held


async def test_only_by_their_methods(place: World) -> None:
    """The three paths are a page to go to, a page to come back to, and a form of the provider's."""
    for path, method, allow in (
        ("/login/id", "POST", "GET, HEAD"),
        ("/login/id", "OPTIONS", "GET, HEAD"),
        ("/login/id/callback", "POST", "GET"),
        ("/login/id/callback", "HEAD", "GET"),
        ("/login/id/backchannel", "GET", "POST"),
    ):
        fields = {"Access-Control-Request-Method": "GET"} if method == "OPTIONS" else {}
        status, headers, _ = await place.ask(method, path, **fields)
        assert (status, headers["Allow"]) == (405, allow)
    assert (await place.ask("HEAD", "/login/id"))[0] == 303


async def test_too_many_login_states_are_given_up(place: World, provider: FaultyProvider) -> None:
    """A browser that never comes back does not collect cookies without end."""
    visitor = Visitor(place)
    for _ in range(30):
        asked = await visitor.begin(provider)
        assert len(visitor.login_states) <= 8
    assert (await visitor.come_back(provider, asked))[0] == 303


@pytest.mark.parametrize(
    ("query", "site", "lasts"),
    [
        ("?remember_me=on", "same-origin", True),
        ("?remember_me=on", "none", True),
        ("?remember_me=on", "cross-site", False),
        ("?remember_me=0", "same-origin", False),
        ("", "same-origin", False),
    ],
)
async def test_a_browser_asks_to_be_remembered_when_it_leaves(
    redis: RedisServer, provider: FaultyProvider, query: str, site: str, lasts: bool
) -> None:
    """The login state keeps it until the browser comes back; no other site asks for a visitor."""
    remember = {"idle_timeout": "8d", "max_age": "20d"}
    async with shop(redis.url, provider, remember=remember) as place:
        visitor = Visitor(place)
        _, headers, _ = await visitor.go(f"/login/id{query}", Sec_Fetch_Site=site)
        asked = {name: v for name, [v] in parse_qs(urlsplit(headers["Location"]).query).items()}
        provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
        _, headers, _ = await visitor.come_back(provider, asked, remember_me="on")
        [line] = [line for line in headers.getall("Set-Cookie") if line.startswith("latchkey=")]
        assert ("; Max-Age=" in line) == lasts
        assert (await visitor.session()).life.idle_timeout == (8 * 86400 if lasts else 0)


async def test_the_provider_is_to_ask_again(place: World, provider: FaultyProvider) -> None:
    """Where a login may not be old: it is asked so, and it says when the user has logged in."""
    now = int(time.time())
    visitor = Visitor(place)
    asked = await visitor.begin(provider, "/login/id?max_age=600&return_to=/pay")
    assert (asked["prompt"], asked["max_age"]) == ("login", "600")
    provider.claims["auth_time"] = now - 60
    status, headers, _ = await visitor.come_back(provider, asked)
    assert (status, headers["Location"]) == (303, "/pay")
    assert (await visitor.session()).logged_in_at == now - 60


@pytest.mark.parametrize("age", [None, 3600, "now"])
async def test_an_old_login_at_the_provider_does_not_count(
    place: World, provider: FaultyProvider, age: int | str | None
) -> None:
    """The browser may have left out what the provider was to be asked with; it is sent nowhere."""
    at = int(time.time()) - age if isinstance(age, int) else age
    provider.claims |= {} if at is None else {"auth_time": at}
    visitor = Visitor(place)
    asked = await visitor.begin(provider, "/login/id?max_age=600&return_to=/pay")
    status, headers, _ = await visitor.come_back(provider, asked)
    assert (status, "Location" in headers) == (502, False)
    assert not [value for value in visitor.cookies.values() if value.startswith("lk_")]
    await visitor.log_in(provider)  # an ordinary login may be as old as it is
    known = at if isinstance(at, int) else 0
    assert (await visitor.session()).logged_in_at == known


@pytest.mark.parametrize("said", ["", "x", "-1", "1e3", "9999999999"])
async def test_what_is_no_age_is_not_sent_on(
    place: World, provider: FaultyProvider, said: str
) -> None:
    asked = await Visitor(place).begin(provider, f"/login/id?max_age={said}")
    assert not asked.keys() & {"prompt", "max_age"}
