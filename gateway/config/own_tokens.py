"""Whether the gateway has tokens of its own by this configuration, and what mints them.

Only then is PyJWT needed, which takes a worker 2 MiB; so what needs it is imported then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.core.tokens.minting import Minter

# Where upstreams find the public keys: a habit of identity providers.
JWKS_PATH = "/.well-known/jwks.json"


def minter(config: Config) -> Minter | None:
    """What mints the gateway's own tokens, if there is a section `signing`."""
    if config.signing is None:
        return None
    from gateway.config import signing
    from gateway.core.tokens.minting import Minter

    section = config.signing
    return Minter(
        [signing.signing_key(key) for key in section.keys],
        issuer=section.issuer,
        audience=section.audience,
        lifetime=section.lifetime,
        skew=config.session.clock_skew,
    )
