"""A client of an OpenID provider.

It asks nothing before the first login, so a provider may be down when the gateway starts.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

import aiohttp

from gateway.core.http import refusals
from gateway.core.logins import authorization_code, provider_metadata, token_response
from gateway.core.logins.provider_metadata import BadMetadata, Metadata
from gateway.core.logins.token_response import BadTokenResponse, ClientAuth, TokenResponse
from gateway.core.secret import Secret
from gateway.core.tokens import id_tokens
from gateway.core.tokens.claims import Claims
from gateway.core.tokens.verification import Rules
from gateway.outbound.backends import BackendFailed
from gateway.outbound.cached_document import CachedDocument, NoAnswer, Unavailable
from gateway.outbound.http_client import BodyTooLarge, open_client, read_body
from gateway.outbound.jwks import KeySet, KeysUnavailable
from gateway.outbound.token_readers import by_key_set

if TYPE_CHECKING:
    from gateway.config.logins.oidc import OidcSection

_log = logging.getLogger("gateway.logins")

# Of a token response. Tokens with many claims take less.
_MAX_BYTES = 256 * 1024

_TOO_MANY_REQUESTS = 429


class TokenRequestRefused(Exception):
    """The provider gives no tokens; `error` is a known word (RFC 6749 §5.2)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class _OwnMetadata(CachedDocument[Metadata]):
    """The metadata that a provider publishes."""

    WHAT = "the metadata"

    def __init__(self, client: aiohttp.ClientSession, issuer: str) -> None:
        super().__init__(client, provider_metadata.address(issuer))
        self._issuer = issuer

    def _read(self, data: bytes) -> Metadata:
        try:
            return provider_metadata.read(data, self._issuer)
        except BadMetadata as error:
            raise NoAnswer(str(error)) from None


class Provider:
    """One configured provider. A `BackendFailed` has the user's refusal."""

    def __init__(self, config: OidcSection, skew: float) -> None:
        """`skew`: how far the provider's clock may differ (seconds)."""
        self._config = config
        self._rules = Rules(
            algorithms=config.algorithms,
            issuers=(config.issuer,),
            audiences=(config.client_id,),
            leeway=skew,
            needs_expiry=True,
        )
        self._client: aiohttp.ClientSession | None = None
        self._own: _OwnMetadata | None = None
        self._keys: dict[str, KeySet] = {}  # by URL

    async def metadata(self) -> Metadata:
        """The provider's metadata. Raises `BackendFailed`."""
        if self._own is None:
            self._own = _OwnMetadata(self._connected(), self._config.issuer)
        try:
            return await self._own.current()
        except Unavailable:
            raise BackendFailed(refusals.PROVIDER_DOWN) from None

    async def redeem(self, code: Secret, verifier: str, redirect_uri: str) -> TokenResponse:
        """Redeem a code for tokens.

        Raises `BackendFailed` and `TokenRequestRefused`.
        """
        return await self._token_response(
            {
                "grant_type": "authorization_code",
                "code": code.reveal(),
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )

    async def refresh(self, refresh_token: Secret) -> TokenResponse:
        """Renew by a refresh token.

        Raises `BackendFailed` and `TokenRequestRefused`.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        return await self._token_response(form)

    async def verified(self, token: str) -> Claims:
        """Verify a token of the provider for this client; return its claims.

        Raises `NotVerified` and `BackendFailed`.
        """
        keys = self._keys_at((await self.metadata()).jwks_uri)
        try:
            return await by_key_set(keys, self._rules)(token)
        except KeysUnavailable:
            raise BackendFailed(refusals.PROVIDER_DOWN) from None

    async def id_claims(self, id_token: Secret, access_token: Secret) -> Claims:
        """Verify an ID token that came with this access token; return its claims.

        Raises `NotVerified` and `BackendFailed`.
        """
        claims = await self.verified(id_token.reveal())
        id_tokens.check_id_token(
            id_token.reveal(),
            claims.payload,
            client_id=self._config.client_id,
            access_token=access_token.reveal(),
        )
        return claims

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()
        for keys in self._keys.values():
            await keys.close()
        if self._client is not None:
            await self._client.close()

    def _keys_at(self, address: str) -> KeySet:
        """The key set at the address that the provider gives now."""
        if address not in self._keys:
            self._keys = {address: KeySet(self._connected(), address)}
        return self._keys[address]

    async def _token_response(self, form: Mapping[str, str]) -> TokenResponse:
        metadata = await self.metadata()
        fields, more = token_response.client_fields(
            self._client_auth(metadata), self._config.client_id, self._config.client_secret
        )
        status, body = await self._post(metadata.token_endpoint, fields, {**form, **more})
        if status >= 500 or status == _TOO_MANY_REQUESTS:
            _log.warning("%s answered %d to a token request", self._config.issuer, status)
            raise BackendFailed(refusals.PROVIDER_DOWN)
        if (
            status in (400, 401)
            and (error := token_response.error_in(body)) != authorization_code.OTHER
        ):
            raise TokenRequestRefused(error)
        if status != 200:
            _log.error("%s answered %d to a token request", self._config.issuer, status)
            raise BackendFailed(refusals.PROVIDER_INVALID)
        try:
            return token_response.read(body)
        except BadTokenResponse as error:
            _log.error("%s gave what cannot be used: %s", self._config.issuer, error)
            raise BackendFailed(refusals.PROVIDER_INVALID) from None

    def _client_auth(self, metadata: Metadata) -> ClientAuth:
        """The configured client authentication, or the best that both sides know."""
        if self._config.client_auth != "auto":
            return self._config.client_auth
        if self._config.client_secret is None:
            return "none"
        basic = "client_secret_basic" in metadata.client_auth
        post = "client_secret_post" in metadata.client_auth
        return "client_secret_post" if post and not basic else "client_secret_basic"

    async def _post(
        self, url: str, fields: Mapping[str, str], form: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Post a form; return the status and the body. Redirects are not followed."""
        try:
            async with (
                asyncio.timeout(self._config.timeout),
                self._connected().post(
                    url, headers=fields, data=form, allow_redirects=False
                ) as response,
            ):
                return response.status, await read_body(response, _MAX_BYTES)
        except BodyTooLarge:
            _log.error("%s gave more than the gateway reads", self._config.issuer)
            raise BackendFailed(refusals.PROVIDER_INVALID) from None
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            name = type(error).__name__
            _log.warning("%s cannot be asked for tokens: %s", self._config.issuer, name)
            raise BackendFailed(refusals.PROVIDER_DOWN) from None

    def _connected(self) -> aiohttp.ClientSession:
        if self._client is None:
            authorities = self._config.ca_file
            tls = ssl.create_default_context(cafile=authorities) if authorities else True
            self._client = open_client(
                # A code is lost if its connection was kept and the server is just closing it.
                # The relay limits for each client how many ask at once.
                aiohttp.TCPConnector(ssl=tls, force_close=True, limit=0),
                accept="application/json",
            )
        return self._client
