"""`kind: oidc` when something is wrong: nothing is issued, nothing leaks, and the log tells."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.endpoints import World, answer
from tests.support.faulty_provider import (
    API,
    CLIENT_ID,
    CLIENT_SECRET,
    CODE,
    OPAQUE,
    REFRESH,
    FaultyProvider,
    Told,
    Visitor,
    faulty_provider,
    jwe,
    login,
    shop,
)
from tests.support.redis_server import RedisServer, redis_server
from tests.support.signing import Signer, by_hand, ec_signer, hs256, published, rsa_signer
from tests.support.tls import self_signed

PROGRAM = "application/json"


def refused(
    told: Told, place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> tuple[int, str]:
    """The status and the reason; no key was issued, and no secret is shown."""
    status, headers, body = told
    assert [event.kind for event in place.events] == ["login_failed"]
    reason = place.events[0].reason
    assert reason == place.refused[-1].reason
    kept = [line for line in headers.getall("Set-Cookie", []) if "Max-Age=0" not in line]
    assert kept == []
    said = body.decode() + str(headers) + caplog.text
    for secret in (CODE, REFRESH, CLIENT_SECRET, OPAQUE, "eyJ", provider.nonce, "secret text"):
        assert not secret or secret not in said
    return status, reason


# What is wrong with an ID token, and how the log calls it.
Spoil = Callable[[FaultyProvider], None]


def claims(**changes: Any) -> Spoil:
    return lambda provider: provider.claims.update(changes)


def id_token(make: Callable[[FaultyProvider], object]) -> Spoil:
    return lambda provider: provider.grant.update(id_token=make(provider))


def usual(provider: FaultyProvider) -> dict[str, Any]:
    now = int(time.time())
    parties = {"iss": provider.issuer, "aud": CLIENT_ID, "sub": "alice", "nonce": provider.nonce}
    return {**parties, "iat": now, "exp": now + 300}


BAD_ID_TOKENS: dict[str, tuple[str, Spoil]] = {
    "none": ("no_id_token", id_token(lambda _provider: None)),
    "no text": ("no_id_token", id_token(lambda _provider: {"a": 1})),
    "no jwt": ("not_a_jwt", id_token(lambda _provider: "a.b.c")),
    "encrypted": ("algorithm", id_token(lambda _provider: jwe())),
    "alg none": (
        "algorithm",
        id_token(lambda provider: by_hand({"alg": "none"}, usual(provider), b"")),
    ),
    "signed with the public key's text": (
        "algorithm",
        id_token(
            lambda provider: hs256(
                rsa_signer().pem, usual(provider), {"alg": "HS256", "kid": "rsa"}
            )
        ),
    ),
    "signed with the client's secret": (
        "algorithm",
        id_token(lambda provider: hs256(CLIENT_SECRET, usual(provider), {"alg": "HS256"})),
    ),
    "signed by somebody else": (
        "signature",
        id_token(lambda provider: rsa_signer("rsa", 3072).token(**usual(provider))),
    ),
    "by a key that nobody knows": (
        "unknown_kid",
        id_token(lambda provider: ec_signer("new").token(**usual(provider))),
    ),
    "with a key of its own": (
        "brings_its_key",
        id_token(lambda provider: ec_signer().token({"jwk": ec_signer().jwk}, **usual(provider))),
    ),
    "of another issuer": ("wrong_issuer", claims(iss="https://other.example")),
    "of nobody": ("wrong_issuer", claims(iss=None)),
    "for another client": ("wrong_audience", claims(aud="another client")),
    "for nobody": ("wrong_audience", claims(aud=None)),
    "for several, of which it names none": ("no_azp", claims(aud=[CLIENT_ID, API])),
    "for several, of which it names another": ("wrong_azp", claims(aud=[CLIENT_ID, API], azp=API)),
    "for us, but asked for by another": ("wrong_azp", claims(azp="another client")),
    "expired": ("expired", claims(exp=int(time.time()) - 60)),
    "without an end": ("no_expiry", claims(exp=None)),
    "with an end that is a text": ("exp_is_no_number", claims(exp="tomorrow")),
    "without a beginning": ("no_iat", claims(iat=None)),
    "from the future": ("not_yet_valid", claims(iat=int(time.time()) + 7200)),
    "with another nonce": ("wrong_nonce", claims(nonce="another")),
    "without a nonce": ("wrong_nonce", claims(nonce=None)),
    "with a nonce that is no text": ("wrong_nonce", claims(nonce=["a"])),
    "with a nonce that is no Unicode": ("wrong_nonce", claims(nonce="\ud800")),
    "for another access token": ("wrong_at_hash", claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA")),
    "with a hash that is no text": ("wrong_at_hash", claims(at_hash=7)),
    "with a hash that is no Unicode": ("wrong_at_hash", claims(at_hash="\ud800")),
    "without a subject": ("no_subject", claims(sub=None)),
    "with a subject that is no name": ("no_subject", claims(sub="a\nb")),
}


@pytest.mark.parametrize("fault", BAD_ID_TOKENS)
async def test_an_id_token_that_is_not_to_be_believed(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """502 for the user; the log says what exactly is wrong."""
    said, spoil = BAD_ID_TOKENS[fault]
    visitor = Visitor(place)
    asked = await visitor.begin(provider)
    spoil(provider)
    told = await visitor.come_back(provider, asked)
    assert refused(told, place, provider, caplog) == (502, "provider_invalid")
    assert f"at {provider.issuer}: {said}" in caplog.text
    assert visitor.cookies == {}


async def test_an_access_token_that_is_no_jwt(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Upstreams could make nothing of it; the refusal says what to do."""
    provider.claims["at_hash"] = None
    for token in (OPAQUE, jwe(), "eyJhbGciOiJub25lIn0.e30.x y", "Bearer a.b.c"):
        place.events.clear()
        provider.grant["access_token"] = token
        visitor = Visitor(place)
        asked = await visitor.begin(provider)
        told = await visitor.come_back(provider, asked)
        assert refused(told, place, provider, caplog) == (502, "no_jwt")
    asked = await visitor.begin(provider)
    status, _, body = await visitor.go(
        f"/login/id/callback?code={CODE}&state={asked['state']}&iss={provider.issuer}",
        accept=PROGRAM,
    )
    assert (status, json.loads(body)["reason"]) == (502, "no_jwt")
    assert "id_token" in json.loads(body)["title"]


async def test_an_access_token_that_has_expired(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Is none that could be used."""
    provider.access["exp"] = int(time.time()) - 60
    told = await Visitor(place).log_in(provider)
    assert refused(told, place, provider, caplog) == (502, "provider_invalid")


async def test_an_access_token_that_the_browser_has_brought(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that repeats what came with the code has issued nothing; nor has it what is not
    signed.
    """
    provider.claims["at_hash"] = None
    token = provider.token(sub="alice", aud=API)
    unsigned = by_hand({"alg": "none"}, {"sub": "alice"}, b"signature")
    for given, more, expected in (
        (token, {"session_state": token}, "provider_invalid"),
        (unsigned, {}, "no_jwt"),
    ):
        place.events.clear()
        provider.grant["access_token"] = given
        visitor = Visitor(place)
        told = await visitor.come_back(provider, await visitor.begin(provider), **more)
        assert refused(told, place, provider, caplog) == (502, expected)


async def hang(_form: dict[str, str]) -> web.Response:
    await asyncio.sleep(4)  # twice as long as the gateway waits
    return answer(GRANT)


async def cut(_form: dict[str, str]) -> web.Response:
    raise ConnectionResetError


def told(data: Any, status: int = 200, **headers: str) -> Any:
    async def granting(_form: dict[str, str]) -> web.Response:
        return answer(data, status, **headers)

    return granting


PAGE = b"<html><body>secret text</body></html>"
GRANT = {"token_type": "Bearer", "access_token": OPAQUE}
BAD_ANSWERS: dict[str, tuple[int, str, Any]] = {
    "a page": (502, "provider_invalid", told(PAGE, Content_Type="text/html")),
    "a page that says no": (502, "provider_invalid", told(PAGE, 403, Content_Type="text/html")),
    "a page that says 400": (502, "provider_invalid", told(PAGE, 400, Content_Type="text/html")),
    "an error of its own": (503, "provider_unavailable", told({"error": "secret text"}, 500)),
    "too busy": (503, "provider_unavailable", told(PAGE, 503)),
    "too many requests": (503, "provider_unavailable", told({"error": "slow_down"}, 429)),
    "a redirect": (502, "provider_invalid", told(b"", 302, Location="http://127.0.0.1:1/")),
    "nothing": (502, "provider_invalid", told(b"")),
    "half of it": (502, "provider_invalid", told(b'{"access_token": "eyJ')),
    "a list": (502, "provider_invalid", told([GRANT])),
    "deep": (502, "provider_invalid", told(b"[" * 100_000)),
    "huge": (502, "provider_invalid", told(b" " * 300_000 + b"{}")),
    "no token": (502, "provider_invalid", told({"token_type": "Bearer"})),
    "no Unicode": (502, "provider_invalid", told({**GRANT, "access_token": "\ud800"})),
    "another type": (502, "provider_invalid", told({**GRANT, "token_type": "DPoP"})),
    "silence": (503, "provider_unavailable", hang),
    "a cut": (503, "provider_unavailable", cut),
    "a code that is used or too old": (400, "login_lost", told({"error": "invalid_grant"}, 400)),
    "that it does not know us": (502, "provider_invalid", told({"error": "invalid_client"}, 401)),
    "an error of nobody's": (502, "provider_invalid", told({"error": "secret text"}, 400)),
}


@pytest.mark.parametrize("fault", BAD_ANSWERS)
async def test_a_token_endpoint_that_gives_nothing(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """The user learns whether to try again, and does not wait for long."""
    status, reason, provider.granting = BAD_ANSWERS[fault]
    visitor = Visitor(place)
    got = await visitor.log_in(provider)
    assert refused(got, place, provider, caplog) == (status, reason)
    if status == 503:
        assert got[1]["Retry-After"] == "5"
    assert visitor.cookies == {}


def described(**changes: Any) -> Spoil:
    return lambda provider: provider.metadata.update(changes)


def instead(data: bytes, status: int = 200, **headers: str) -> Spoil:
    def spoil(provider: FaultyProvider) -> None:
        provider.description = answer(data, status, **headers)

    return spoil


BAD_DESCRIPTIONS: dict[str, tuple[str, Spoil]] = {
    "of another issuer": ("names another issuer", described(issuer="https://other.example")),
    "with a token endpoint in the open": (
        "token_endpoint is neither https",
        described(token_endpoint="http://id.example/token"),
    ),
    "with a login in the open": (
        "authorization_endpoint is neither https",
        described(authorization_endpoint="http://id.example/authorize"),
    ),
    "with keys in the open": ("jwks_uri is neither", described(jwks_uri="http://id.example/keys")),
    "with a logout that is a script": (
        "end_session_endpoint is not an address",
        described(end_session_endpoint="javascript:alert(1)"),
    ),
    "with an endpoint that is two lines": (
        "authorization_endpoint is not an address",
        described(authorization_endpoint="https://id.example/\r\nSet-Cookie: a=b"),
    ),
    "without keys": ("has no jwks_uri", described(jwks_uri=None)),
    "with keys nowhere": ("jwks_uri is not an address", described(jwks_uri="https://[::1]a/")),
    "with a login that is huge": (
        "authorization_endpoint is not an address",
        described(authorization_endpoint="https://id.example/" + "a" * 10_000),
    ),
    "that is a page": ("is no JSON", instead(PAGE, Content_Type="text/html")),
    "that is a list": ("is not a JSON object", instead(b"[]")),
    "that is huge": ("too large", instead(b" " * 600_000)),
    "that is elsewhere": ("answer is 302", instead(b"", 302, Location="http://127.0.0.1:1/")),
    "that is down": ("answer is 503", instead(b"", 503)),
}


@pytest.mark.parametrize("fault", BAD_DESCRIPTIONS)
async def test_a_provider_that_describes_itself_wrongly(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """No browser is sent there; the log says why."""
    said, spoil = BAD_DESCRIPTIONS[fault]
    spoil(provider)
    got = await Visitor(place).go("/login/id")
    assert refused(got, place, provider, caplog) == (503, "provider_unavailable")
    assert said in caplog.text


async def test_a_provider_over_tls_is_checked(
    redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate of an unknown authority is refused; `ca_file` names its authority."""
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with faulty_provider(ssl_context=context) as provider:
        async with shop(redis.url, provider) as place:
            got = await Visitor(place).go("/login/id")
            assert refused(got, place, provider, caplog) == (503, "provider_unavailable")
            assert "cannot be fetched: ClientConnectorCertificateError" in caplog.text
        async with shop(redis.url, provider, ca_file=str(certificate)) as place:
            assert (await Visitor(place).log_in(provider))[0] == 303


async def test_a_provider_that_comes_back(redis: RedisServer, provider: FaultyProvider) -> None:
    """The gateway starts without it, and logs people in as soon as it is there."""
    provider.description = answer(b"", 503)
    async with shop(redis.url, provider) as place:
        visitor = Visitor(place)
        got = await visitor.go("/login/id?return_to=/cart")
        assert (got[0], got[1]["Retry-After"]) == (503, "5")
        assert 'href="/login/id?return_to=/cart"' in got[2].decode()
        assert "The login service does not answer" in got[2].decode()
        provider.description = None
        async with asyncio.timeout(20):
            while (await visitor.go("/login/id"))[0] != 303:
                await asyncio.sleep(0.2)
        assert (await visitor.log_in(provider))[0] == 303


async def test_keys_that_cannot_be_had(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that cannot be verified now is not believed for the time being."""
    provider.metadata["jwks_uri"] = "http://127.0.0.1:1/keys"
    got = await Visitor(place).log_in(provider)
    assert refused(got, place, provider, caplog) == (503, "provider_unavailable")


UNUSABLE_KEYS: dict[str, tuple[int, Any]] = {
    "a page": (503, answer(PAGE, Content_Type="text/html")),
    "half of it": (503, answer(b'{"keys": [')),
    "a list": (503, answer([rsa_signer().jwk])),
    "deep": (503, answer(b'{"keys":' + b"[" * 100_000)),
    "huge": (503, answer(b" " * 600_000 + published(rsa_signer()))),
    "elsewhere": (503, answer(b"", 302, Location="http://127.0.0.1:1/")),
    "down": (503, answer(b"", 500)),
    "none": (502, answer({"keys": []})),
    "junk": (502, answer({"keys": [7, None, {"kty": "RSA"}, {"kty": "oct", "k": "AAAA"}]})),
    "private": (502, answer({"keys": [rsa_signer().private_jwk]})),
}


@pytest.mark.parametrize("fault", UNUSABLE_KEYS)
async def test_keys_that_cannot_be_used(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """503 while there is no key set, 502 when it has no key for the token; the log says which."""
    status, provider.keys = UNUSABLE_KEYS[fault]
    got = await Visitor(place).log_in(provider)
    reason = "provider_unavailable" if status == 503 else "provider_invalid"
    assert refused(got, place, provider, caplog) == (status, reason)
    assert "the keys of 127.0.0.1 cannot be fetched" in caplog.text or status == 502


@pytest.mark.parametrize("new", [ec_signer("new"), rsa_signer("rsa", 3072)])
async def test_rotated_keys(redis: RedisServer, provider: FaultyProvider, new: Signer) -> None:
    """A token by a new key has the keys fetched once more, even if it is named like the old one;
    made-up keys do not, time and again.
    """
    async with shop(redis.url, provider) as place:
        assert (await Visitor(place).log_in(provider))[0] == 303
        provider.signer, provider.keys = new, [new]
        async with asyncio.timeout(20):
            while (await Visitor(place).log_in(provider))[0] != 303:
                await asyncio.sleep(0.5)
        provider.signer = ec_signer("made up")
        before = sum(request.target == "/keys" for request in provider.server.asked)
        for _ in range(20):
            assert (await Visitor(place).log_in(provider))[0] == 502
        assert sum(request.target == "/keys" for request in provider.server.asked) - before <= 2


# What a browser brings back, and what does not open it.


async def test_a_state_of_nobody(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a login that was begun in this browser, the provider is not even asked."""
    for query in (
        "",
        "?code=" + CODE,
        f"?code={CODE}&state=",
        f"?code={CODE}&state=" + "A" * 43,
        f"?code={CODE}&state=%00",
        f"?code={CODE}&state=a&state=b",
        f"?code={CODE}&state=" + "A" * 5000,
        "?" + "&".join(f"a{at}=1" for at in range(100)),
        "?code=%ff&state=%ff",
    ):
        place.events.clear()
        got = await Visitor(place).go("/login/id/callback" + query)
        assert refused(got, place, provider, caplog) == (400, "login_lost")
        assert 'href="/login/id"' in got[2].decode()
    assert provider.forms == []


async def test_another_browser(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """An attacker who has a victim's browser open the end of the attacker's login gains nothing:
    neither without a cookie, nor with one of a login of the victim's (CWE-352).
    """
    attacker, victim = Visitor(place), Visitor(place)
    asked = await attacker.begin(provider)
    got = await victim.come_back(provider, asked)
    assert refused(got, place, provider, caplog) == (400, "login_lost")
    place.events.clear()
    await victim.begin(provider)
    got = await victim.come_back(provider, asked)
    assert refused(got, place, provider, caplog) == (400, "login_lost")
    [name] = attacker.login_states
    for value in victim.login_states.values():
        place.events.clear()
        got = await Visitor(place, cookies={name: value}).come_back(provider, asked)
        assert refused(got, place, provider, caplog) == (400, "login_lost")
    assert provider.forms == []


async def test_a_cookie_that_somebody_has_changed(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """It is sealed, so each of its characters counts, and it is not to be made up."""
    for change in (
        lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"),
        lambda value: value[:20] + ("A" if value[20] != "A" else "B") + value[21:],
        lambda value: value[:40],
        lambda _value: "lk_trip.",
        lambda _value: "lk_trip." + "A" * 300,
        lambda _value: "lk_trip.!",
    ):
        place.events.clear()
        visitor = Visitor(place)
        asked = await visitor.begin(provider)
        [(name, value)] = visitor.login_states.items()
        visitor.cookies[name] = change(value)
        got = await visitor.come_back(provider, asked)
        assert refused(got, place, provider, caplog) == (400, "login_lost")
    assert provider.forms == []


async def test_a_trip_ends_once(
    place: World, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The same answer with the same cookie, a second time or ten times at once, logs in once."""
    visitor = Visitor(place)
    asked = await visitor.begin(provider)
    copies = [Visitor(place, cookies=dict(visitor.cookies)) for _ in range(10)]
    got = await asyncio.gather(*(copy.come_back(provider, asked) for copy in copies))
    assert sorted(status for status, _, _ in got) == [303] + [400] * 9
    assert len(provider.forms) == 1
    place.events.clear()
    late = await visitor.come_back(provider, asked)
    assert refused(late, place, provider, caplog) == (400, "login_lost")


async def test_the_callback_of_another_login(
    redis: RedisServer, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer of one provider is none of another's (RFC 9700 §4.4)."""
    other = login(provider, path="/login/two", client_id="another")
    async with shop(redis.url, provider, other) as place:
        visitor = Visitor(place)
        asked = await visitor.begin(provider)
        got = await visitor.come_back(provider, asked, "/login/two")
        assert refused(got, place, provider, caplog) == (400, "login_lost")
        assert provider.forms == []
        assert (await visitor.come_back(provider, asked))[0] == 303


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("wrong_iss", {"iss": "https://other.example"}),
        ("no_iss", {"iss": ""}),
        ("no_code", {"code": ""}),
        ("wrong_iss", {"iss": "https://other.example", "error": "access_denied", "code": ""}),
    ],
)
async def test_an_answer_of_nobody(
    place: World,
    provider: FaultyProvider,
    caplog: pytest.LogCaptureFixture,
    said: str,
    changes: dict[str, str],
) -> None:
    """RFC 9207 §2.4: who answers must be who was asked, where providers say who they are."""
    visitor = Visitor(place)
    asked = await visitor.begin(provider)
    got = await visitor.come_back(provider, asked, **changes)
    assert refused(got, place, provider, caplog) == (400, "login_lost")
    assert f": {said}" in caplog.text
    assert provider.forms == []


async def test_a_provider_that_does_not_name_itself(
    redis: RedisServer, provider: FaultyProvider
) -> None:
    """Many do not; but one that does is held to it."""
    provider.metadata["authorization_response_iss_parameter_supported"] = None
    async with shop(redis.url, provider) as place:
        visitor = Visitor(place)
        asked = await visitor.begin(provider)
        assert (await visitor.come_back(provider, asked, iss=""))[0] == 303
        asked = await visitor.begin(provider)
        assert (await visitor.come_back(provider, asked, iss="https://other.example"))[0] == 400


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("access_denied", 403, "login_denied"),
        ("login_required", 403, "login_denied"),
        ("server_error", 503, "provider_unavailable"),
        ("temporarily_unavailable", 503, "provider_unavailable"),
        ("invalid_scope", 502, "provider_invalid"),
        ("<script>secret text</script>", 502, "provider_invalid"),
    ],
)
async def test_a_provider_that_says_no(
    place: World,
    provider: FaultyProvider,
    caplog: pytest.LogCaptureFixture,
    error: str,
    status: int,
    reason: str,
) -> None:
    """Nothing of its words is shown or logged, and one can try again for the same page."""
    visitor = Visitor(place)
    asked = await visitor.begin(provider, "/login/id?return_to=/cart")
    words = {"error_description": "secret text", "error_uri": "https://evil.example"}
    got = await visitor.come_back(provider, asked, code="", error=error, **words)
    assert refused(got, place, provider, caplog) == (status, reason)
    assert "evil.example" not in got[2].decode()
    assert 'href="/login/id?return_to=/cart"' in got[2].decode()
    assert visitor.cookies == {}


async def test_a_store_that_is_down(
    tmp_path: Path, provider: FaultyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway cannot tell then whether the login has ended already, so its code is not used."""
    with redis_server(tmp_path) as server:
        async with shop(server.url, provider) as place:
            visitor = Visitor(place)
            asked = await visitor.begin(provider)
            server.kill()
            got = await visitor.come_back(provider, asked)
            assert refused(got, place, provider, caplog) == (503, "store_unavailable")
            assert provider.forms == []


async def test_programs_get_problems(place: World) -> None:
    """RFC 9457, as from every endpoint."""
    status, headers, body = await Visitor(place).go("/login/id/callback", accept=PROGRAM)
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(body)["reason"] == "login_lost"
