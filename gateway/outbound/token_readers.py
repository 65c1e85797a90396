"""Readers of tokens: they verify them, or believe the backend.

Only verification needs PyJWT, which takes 2 MiB of a worker; so it is imported when it is needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from gateway.core.tokens import claims
from gateway.core.tokens.claims import BadToken, Claims
from gateway.outbound.jwks import KeySet, KeySets
from gateway.store.temporary_tokens import TemporaryTokens

if TYPE_CHECKING:
    from gateway.config.token_sections import Verify
    from gateway.core.tokens.verification import Rules

# Reads a token's claims. Raises `BadToken` (`NotVerified` where it verifies) and `KeysUnavailable`.
ReadToken = Callable[[str], Coroutine[Any, Any, Claims]]


def open_reader(config: Verify | None, key_sets: KeySets, skew: float) -> ReadToken:
    """Open the reader for a section of config.yaml.

    `skew` is how far clocks may differ (seconds).
    """
    return _at_its_word(skew) if config is None else _verified(config, key_sets, skew)


def without_temporary(read: ReadToken, temporary: TemporaryTokens) -> ReadToken:
    """A reader that refuses the temporary tokens of pending logins.

    It raises `StoreUnavailable` as well.
    """

    async def read_lasting(token: str) -> Claims:
        found = await read(token)
        if await temporary.holds(token):
            raise BadToken("temporary_token")
        return found

    return read_lasting


def in_task(read: ReadToken) -> ReadToken:
    """A reader in its own task, for callers without one (`loop/eager.py`)."""

    async def read_in_task(token: str) -> Claims:
        return await asyncio.ensure_future(read(token))

    return read_in_task


def _at_its_word(skew: float) -> ReadToken:
    async def read(token: str) -> Claims:
        return claims.read_claims(token, time.time() - skew)

    return read


def _verified(config: Verify, key_sets: KeySets, skew: float) -> ReadToken:
    from gateway.core.tokens import verification, verifying_keys

    rules = verification.Rules(
        algorithms=config.algorithms,
        issuers=config.issuer,
        audiences=config.audience,
        leeway=skew if config.leeway is None else config.leeway,
        needs_expiry=config.require_expiry,
    )
    if config.jwks is not None:
        return by_key_set(key_sets.at(config.jwks), rules)
    if config.secret is not None:
        key = verifying_keys.of_secret(config.secret)
    else:
        assert config.public_key is not None
        key = verifying_keys.of_pem(config.public_key)

    async def read(token: str) -> Claims:
        return verification.verify(token, [key], rules, time.time())

    return read


def by_key_set(key_set: KeySet, rules: Rules) -> ReadToken:
    """A reader of a provider's tokens. For an unknown key it fetches the set."""
    from gateway.core.tokens.verification import UnknownKey, verify

    async def read(token: str) -> Claims:
        try:
            return verify(token, await key_set.keys(), rules, time.time())
        except UnknownKey:
            return verify(token, await key_set.newer(), rules, time.time())

    return read
