"""The settings of rate limits, and of limits on requests at once."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)

from gateway.config.base import Model, Shorthand
from gateway.config.values import TEXT, OneOrMany
from gateway.core.http.rates import ADDRESS, CLAIM, ROUTE, SESSION, SUBJECT, Rate, parse_rate
from gateway.core.sessions import claim_names

RATE_PATTERN = "^[0-9]{1,9}/[0-9]{0,5}[smhd]$"


def _per(value: str) -> str:
    if value in (ADDRESS, SESSION, SUBJECT, ROUTE):
        return value
    name = value.removeprefix(CLAIM)
    if not name or name == value:
        raise ValueError("must be address, session, subject, route or claim:NAME")
    return CLAIM + claim_names.plain(name)


Per = Annotated[str, AfterValidator(_per)]


class RateLimit(Shorthand):
    """How many requests a client may send in a time. A text is short for its `rate`."""

    _short_for = "rate"

    rate: Annotated[
        Rate,
        BeforeValidator(parse_rate),
        PlainSerializer(str),
        WithJsonSchema({**TEXT, "pattern": RATE_PATTERN}),
    ]
    burst: Annotated[int, Field(ge=1, le=10**9)] | None = None
    per: Per = ADDRESS
    shared: bool = False


class Concurrency(Model):
    """How many requests a client may have in flight."""

    per: Per = ADDRESS
    max: Annotated[int, Field(ge=1)]


def _kind(value: Any) -> str:
    """A text without a slash is a name; all others are limits."""
    return "by name" if isinstance(value, str) and "/" not in value else "in place"


# The names of limits stand in answers, in quotes.
LimitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
LimitList = Annotated[
    tuple[
        Annotated[
            Annotated[LimitName, Tag("by name")] | Annotated[RateLimit, Tag("in place")],
            Discriminator(_kind),
        ],
        ...,
    ],
    OneOrMany(),
]
