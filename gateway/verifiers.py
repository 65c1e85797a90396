"""How tokens are read by one configuration: verified, or taken at their backend's word."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.core import tokens, verification, verifying_keys
from gateway.core.tokens import Claims
from gateway.core.verification import Rules, UnknownKey
from gateway.core.verifying_keys import VerifyingKey
from gateway.key_sets import KeySet, KeySets

if TYPE_CHECKING:
    from gateway.config.model import Verify

# What a token says. Raises `BadToken` (`NotVerified`, where it is verified) and `KeysUnavailable`.
ReadToken = Callable[[str], Awaitable[Claims]]


def open_reader(config: Verify | None, key_sets: KeySets, skew: float) -> ReadToken:
    """Reads tokens as a section of config.yaml says; `skew`: how far clocks may differ, in s."""
    if config is None:
        return _at_its_word(skew)
    rules = Rules(
        algorithms=config.algorithms,
        issuers=config.issuer,
        audiences=config.audience,
        leeway=skew if config.leeway is None else config.leeway,
        needs_expiry=config.require_expiry,
    )
    if config.jwks is not None:
        return by_key_set(key_sets.at(config.jwks), rules)
    if config.secret is not None:
        return _by_key(verifying_keys.of_secret(config.secret), rules)
    assert config.public_key is not None
    return _by_key(verifying_keys.of_pem(config.public_key), rules)


def _at_its_word(skew: float) -> ReadToken:
    async def read(token: str) -> Claims:
        return tokens.read_claims(token, time.time() - skew)

    return read


def _by_key(key: VerifyingKey, rules: Rules) -> ReadToken:
    async def read(token: str) -> Claims:
        return verification.verify(token, [key], rules, time.time())

    return read


def by_key_set(key_set: KeySet, rules: Rules) -> ReadToken:
    """Reads tokens that a provider has signed; for a key that is not known yet, it is asked."""

    async def read(token: str) -> Claims:
        try:
            return verification.verify(token, await key_set.keys(), rules, time.time())
        except UnknownKey:
            return verification.verify(token, await key_set.newer(), rules, time.time())

    return read
