"""The numbers that the relay works with, taken from config.yaml's `timeouts` and `limits`, and from
its routes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes; config.yaml's documentation says what each is for."""

    head: float
    idle: float
    body_idle: float
    write: float
    continue_: float
    tunnel_idle: float
    linger: float
    head_size: int
    target_size: int
    response_head_size: int
    read_ahead: int  # of the present exchange: pipelined requests, or a body without an upstream
    connections: int
    seconds_per_byte: float  # that a client may take for a body: the inverse of the least rate
    captures: bool  # a session may have another token by now, though nobody has renewed it
    skew: float  # how far a backend's clock may differ
    renew_on_401: bool  # a token that an upstream refuses is renewed, however fresh it is
    end_on_401: bool  # an upstream that refuses a token for good ends its session


@dataclass(frozen=True, slots=True)
class AnswerTimeouts:
    """How long an upstream may take with its answer, in seconds."""

    response: float = 60.0  # until the head has come, once the request has been sent
    body_idle: float = 30.0  # without a piece of the body
    stream_idle: float = 3600.0  # without a piece of an event stream
