"""The relay's numbers, taken from config.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.relay.loop.settings import Settings

if TYPE_CHECKING:
    from gateway.config.model import Config

# How much of a connection is read ahead, in bytes.
_READ_AHEAD = 65536

# Seconds for a byte where `limits.min_rate` is 0: more than any timeout.
_NO_LIMIT = 1e9


def settings_of(config: Config) -> Settings:
    """The numbers from `timeouts`, `limits`, `session` and the routes."""
    timeouts, limits = config.timeouts, config.limits
    return Settings(
        head=timeouts.head,
        idle=timeouts.idle,
        body_idle=timeouts.body_idle,
        write=timeouts.write,
        continue_=timeouts.continue_,
        linger=timeouts.linger,
        head_size=limits.head_size,
        target_size=limits.target_size,
        response_head_size=limits.response_head_size,
        read_ahead=max(_READ_AHEAD, limits.head_size + 1),  # so that the largest head fits
        connections=limits.connections,
        seconds_per_byte=_seconds_per_byte(limits.min_rate),
        captures=any(rule.captures is not None for rule in config.routes),
        skew=config.session.clock_skew,
        renew_on_401=config.session.renew_on_upstream_401,
        end_on_401=config.session.end_on_upstream_401,
    )


def _seconds_per_byte(min_rate: int) -> float:
    """The inverse of a rate in bytes per second; 0 is no limit."""
    return 1 / min_rate if min_rate else _NO_LIMIT
