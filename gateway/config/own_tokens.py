"""The minter of the gateway's own tokens.

PyJWT takes a worker 2 MiB, so it is imported only if config.yaml asks for such tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.core.tokens.minting import Minter

# Where upstreams find the public keys, as at identity providers.
JWKS_PATH = "/.well-known/jwks.json"


def minter(config: Config) -> Minter | None:
    """Create the minter. None without a section `signing`."""
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
