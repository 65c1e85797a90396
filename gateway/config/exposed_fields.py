"""The gateway's own fields of answers that pages of other origins may read (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.limit_places import rate_limits
from gateway.config.once import once

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.require_sections import Require

_OF_LIMITS = ("RateLimit", "RateLimit-Policy", "Retry-After")

# It names the scopes or the age of a login that a route requires (RFC 6750 §3, RFC 9470 §3).
_OF_REQUIREMENTS = ("WWW-Authenticate",)


@once
def exposed_fields(config: Config) -> tuple[str, ...]:
    """The fields of limits and of requirements, if there are any on any route.

    They are the same on all routes, so no two routes differ by them alone.
    """
    is_limited = rate_limits(config) or any(rule.concurrency for rule in config.routes)
    is_challenged = any(_has_challenge(rule.require) for rule in config.routes)
    return (*(_OF_LIMITS if is_limited else ()), *(_OF_REQUIREMENTS if is_challenged else ()))


def _has_challenge(require: Require | None) -> bool:
    return require is not None and (require.scopes is not None or require.max_age is not None)
