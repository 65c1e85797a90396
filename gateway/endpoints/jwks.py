"""The public keys of the gateway's own tokens, for verifiers (RFC 7517)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.core.http import refusals
from gateway.endpoints.answers import refuse

if TYPE_CHECKING:
    from gateway.core.tokens.minting import Minter

# Verifiers may keep the keys for so long (seconds). A new key has to be shown for longer than this
# before it signs, or some verifier would not know it yet.
_KEPT_SECONDS = 60

_METHODS = ("GET", "HEAD")


class JwksEndpoint:
    """Answers all callers with the same key set, which holds no secret."""

    def __init__(self, minter: Minter) -> None:
        self._body = json.dumps(minter.jwks).encode()

    async def __call__(self, request: web.Request) -> web.Response:
        if request.method not in _METHODS:
            return refuse(request, refusals.METHOD, {"Allow": ", ".join(_METHODS)})
        fields = {
            "Content-Type": "application/jwk-set+json",
            "Cache-Control": f"public, max-age={_KEPT_SECONDS}",
        }
        return web.Response(headers=fields, body=self._body)
