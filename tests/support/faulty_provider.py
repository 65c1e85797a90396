"""An OpenID provider that does what a test says, and a browser that goes there and comes back.

The provider is an aiohttp server that signs whatever it is told to. By default it does all as it
should, and checks what the gateway owes to it.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from aiohttp import web
from multidict import CIMultiDict

from gateway.core.logins.carriers import LOGIN_STATE_MARK
from gateway.core.sessions.session import Session
from tests.support.endpoints import SECRET, Asked, Backend, World, answer, backend, world
from tests.support.processes import HANG
from tests.support.signing import Signer, by_hand, published, rsa_signer

CLIENT_ID, CLIENT_SECRET = "the client", "its: secret/with+signs"
CODE = "the-code-that-was-issued"
REFRESH = "the-refresh-token"
API = "https://api.example"
HOST = "shop.example"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
OPAQUE = "an-access-token-that-only-its-provider-can-read"

Told = tuple[int, CIMultiDict[str], bytes]
Granting = Callable[[dict[str, str]], Awaitable[web.StreamResponse]]


@dataclass
class FaultyProvider:
    """What it says. Claims that are None are left out."""

    server: Backend
    signer: Signer = field(default_factory=rsa_signer)
    metadata: dict[str, Any] = field(default_factory=dict)  # changes
    # What is published: keys, or something else in the place of a key set.
    keys: list[Any] | web.Response = field(default_factory=lambda: [rsa_signer()])
    claims: dict[str, Any] = field(default_factory=dict)  # changes of the ID token's
    access: dict[str, Any] = field(default_factory=dict)  # changes of the access token's
    grant: dict[str, Any] = field(default_factory=dict)  # changes of the token endpoint's answer
    granting: Granting | None = None  # in place of that answer
    description: web.Response | None = None  # in place of what it says of itself
    nonce: str = ""
    challenge: str = ""
    forms: list[dict[str, str]] = field(default_factory=list)  # that the token endpoint got
    fields: list[CIMultiDict[str]] = field(default_factory=list)  # that came with them

    @property
    def issuer(self) -> str:
        return self.server.url + "/realm"

    def token(self, **claims: Any) -> str:
        """Signed by it, for the client."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        return self.signer.token(**{**usual, **claims})

    def logout_token(self, **claims: Any) -> str:
        """One that ends sessions; whose, the claims say."""
        return self.token(**{"events": {EVENT: {}}, "jti": secrets.token_hex(), **claims})

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        path = asked.target.partition("?")[0]
        if path == "/realm/.well-known/openid-configuration":
            return self.description or answer(self._metadata())
        if path == "/keys":
            shown = self.keys
            return answer(published(*shown)) if isinstance(shown, list) else shown
        assert (asked.method, path) == ("POST", "/token"), asked
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        self.forms.append(form)
        self.fields.append(asked.headers)
        if self.granting is not None:
            return await self.granting(form)
        refusal = self._refusal(form)
        if refusal:
            return answer({"error": refusal}, status=400)
        return answer(self.given())

    def given(self) -> dict[str, Any]:
        """What the token endpoint gives."""
        access = self.token(**{"sub": "alice", "aud": API, "role": "buyer", **self.access})
        digest = hashlib.sha256(access.encode()).digest()
        hashed = base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
        said = {"sub": "alice", "nonce": self.nonce, "at_hash": hashed, **self.claims}
        given = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": REFRESH,
            "id_token": self.token(**said),
            **self.grant,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _refusal(self, form: dict[str, str]) -> str:
        if form["grant_type"] == "refresh_token":
            return "" if form["refresh_token"] == REFRESH else "invalid_grant"
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return "" if (form["code"], challenge) == (CODE, self.challenge) else "invalid_grant"

    def _metadata(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": self.server.url + "/authorize?tenant=1",
            "token_endpoint": self.server.url + "/token",
            "jwks_uri": self.server.url + "/keys",
            "end_session_endpoint": self.server.url + "/end",
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return {name: value for name, value in said.items() if value is not None}

    def client_of(self, at: int = -1) -> tuple[str, str]:
        """Who the gateway said it was in a request: by Basic, or in the form."""
        given = self.fields[at].get("Authorization", "")
        if given:
            pair = base64.b64decode(given.removeprefix("Basic ")).decode()
            name, _, secret = pair.partition(":")
            return unquote_plus(name), unquote_plus(secret)
        return self.forms[at].get("client_id", ""), self.forms[at].get("client_secret", "")


@dataclass
class Visitor:
    """A browser: it keeps cookies, and the endpoints are told what the relay would tell them."""

    place: World
    proto: str = "http"
    cookies: dict[str, str] = field(default_factory=dict)

    async def go(
        self,
        target: str,
        method: str = "GET",
        body: bytes = b"",
        *,
        accept: str = "text/html,*/*;q=0.8",
        **more: str,
    ) -> Told:
        """Asks as one that goes somewhere, and keeps what cookies are set."""
        fields = {
            "Accept": accept,
            "X-Forwarded-Host": HOST,
            "X-Forwarded-Proto": self.proto,
            "X-Real-IP": "192.0.2.7",
            **await self._told(),
            **more,
        }
        told = await self.place.ask(method, target, body, **fields)
        for line in told[1].getall("Set-Cookie", []):
            self._keep(line)
        return told

    async def submit(self, target: str, accept: str = "text/html", mode: str = "navigate") -> Told:
        """Sends a form of the site's own, or does so by a script of its own."""
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
        return await self.go(target, "POST", b"", accept=accept, **own)

    async def begin(self, provider: FaultyProvider, target: str = "/login/id") -> dict[str, str]:
        """Goes to log in; what the provider is asked, which it takes note of."""
        status, headers, body = await self.go(target)
        assert status == 303, body
        asked = {name: value for name, [value] in parse_qs(_query(headers["Location"])).items()}
        provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
        return asked

    async def come_back(
        self, provider: FaultyProvider, asked: dict[str, str], path: str = "/login/id", **more: str
    ) -> Told:
        """Brings the provider's answer; one that is empty is left out."""
        said = {"code": CODE, "state": asked["state"], "iss": provider.issuer, **more}
        kept = {name: value for name, value in said.items() if value}
        return await self.go(f"{path}/callback?{urlencode(kept)}")

    async def log_in(self, provider: FaultyProvider, target: str = "/login/id") -> Told:
        """The whole way."""
        path = target.partition("?")[0]
        return await self.come_back(provider, await self.begin(provider, target), path)

    @property
    def key(self) -> str:
        keys = [value for value in self.cookies.values() if value.startswith("lk_")]
        [key] = [name for name in keys if not name.startswith(LOGIN_STATE_MARK)]
        return key

    async def session(self) -> Session:
        """What the key opens."""
        return (await self.place.resolved(self.key)).session

    @property
    def login_states(self) -> dict[str, str]:
        return {k: v for k, v in self.cookies.items() if v.startswith(LOGIN_STATE_MARK)}

    async def _told(self) -> dict[str, str]:
        told = {}
        if self.login_states:
            states = [f"{name}={value}" for name, value in self.login_states.items()]
            told["X-Latchkey-Login-States"] = "; ".join(states)
        for name, value in self.cookies.items():
            if not value.startswith(LOGIN_STATE_MARK):
                told |= {"X-Latchkey-Carrier": "cookie", "X-Latchkey-Cookie": name}
                if await self.place.is_known(value):
                    session_id = (await self.place.resolved(value)).session.id
                    told |= {"X-Latchkey-Session": session_id, "X-Latchkey-Key": value}
        return told

    def _keep(self, line: str) -> None:
        for name, morsel in SimpleCookie(line).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value


@asynccontextmanager
async def faulty_provider(at: int = 0, **site: Any) -> AsyncIterator[FaultyProvider]:
    """One on a free port, or `at` this one; `site` goes to its listener, as for a backend."""
    async with backend(at, **site) as server:
        provider = FaultyProvider(server)
        server.answer = provider
        yield provider


def login(provider: FaultyProvider, **changes: Any) -> dict[str, Any]:
    """The section of config.yaml that logs in there."""
    return {
        "kind": "oidc",
        "path": "/login/id",
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "timeout": 2,
        **changes,
    }


@asynccontextmanager
async def shop(
    redis_url: str,
    provider: FaultyProvider,
    *more: dict[str, Any],
    skew: float = 5,
    store_timeout: float = HANG / 2,
    **changes: Any,
) -> AsyncIterator[World]:
    """The endpoints with one login at a provider, with changes, and maybe with more logins; `skew`
    is how far clocks may differ, and `store_timeout` as for `world`, in seconds.
    """
    session = {"secrets": [SECRET], "clock_skew": skew}
    logins = [login(provider, **changes), *more]
    async with world(
        redis_url, login=logins, session=session, store_timeout=store_timeout
    ) as place:
        yield place


def beside(place: World, provider: FaultyProvider) -> AbstractAsyncContextManager[World]:
    """Another gateway, with the same store."""
    store = {
        "url": place.config.store.url,
        "prefix": place.config.store.prefix,
        "timeout": HANG / 2,
    }
    return world(place.config.store.url, login=[login(provider)], store=store)


async def logged_in(place: World, provider: FaultyProvider, **claims: Any) -> Visitor:
    """A user of whom ID tokens say this from now on."""
    provider.claims |= claims
    visitor = Visitor(place)
    await visitor.log_in(provider)
    return visitor


def jwe() -> str:
    """A token that is encrypted, as some providers make them."""
    return by_hand({"alg": "RSA-OAEP", "enc": "A256GCM"}, {}) + ".dGV4dA.dGFn"


def reason(told: Told) -> tuple[int, str]:
    """The status and the reason of a refusal, when a program asks."""
    return told[0], str(json.loads(told[2])["reason"])


def _query(url: str) -> str:
    return urlsplit(url).query
