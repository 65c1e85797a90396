"""The sections of the relay: how long it waits, and how much it accepts."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from gateway.config.base import Model
from gateway.config.units import Duration, Percent, Size
from gateway.config.values import unless_off


class Timeouts(Model):
    """How long the relay waits (seconds)."""

    head: Annotated[Duration, Field(gt=0)] = 10.0
    idle: Annotated[Duration, Field(gt=0)] = 75.0
    connect: Annotated[Duration, Field(gt=0)] = 5.0
    response: Annotated[Duration, Field(gt=0)] = 60.0
    body_idle: Annotated[Duration, Field(gt=0)] = 30.0
    write: Annotated[Duration, Field(gt=0)] = 30.0
    continue_: Annotated[Duration, Field(gt=0, alias="continue")] = 1.0
    upstream_idle: Annotated[Duration, Field(gt=0)] = 4.0
    stream_idle: Annotated[Duration, Field(gt=0)] = 3600.0
    tunnel_idle: Annotated[Duration, Field(gt=0)] = 3600.0
    linger: Annotated[Duration, Field(gt=0)] = 2.0
    drain: Duration = 30.0
    start: Annotated[Duration, Field(gt=0)] = 60.0


class Limits(Model):
    """How much the relay accepts."""

    head_size: Annotated[Size, Field(ge=1024)] = 32 * 1024
    target_size: Annotated[Size, Field(ge=256)] = 8 * 1024
    fields: Annotated[int, Field(ge=8)] = 100
    body_size: Size = 8 * 2**30
    response_head_size: Annotated[Size, Field(ge=1024)] = 64 * 1024
    connections: Annotated[int, Field(ge=1)] = 10_000
    requests: Annotated[int, Field(ge=1)] = 5_000
    buffered: Size = 64 * 2**20
    buffered_disk: Size = 8 * 2**30
    min_rate: Size = 240
    per_address: Percent = 50
    shed: Annotated[Annotated[Duration, Field(gt=0)] | None, BeforeValidator(unless_off)] = None
