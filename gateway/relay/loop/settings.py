"""The relay's numbers: from `timeouts`, `limits` and the routes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes (see docs/configuration.md)."""

    head: float
    idle: float
    body_idle: float
    write: float
    continue_: float
    linger: float
    head_size: int
    target_size: int
    response_head_size: int
    read_ahead: int  # pipelined requests, or a body before there is an upstream
    connections: int
    seconds_per_byte: float  # the time that a client has for each byte of a body
    captures: bool  # some route captures: a session may have got another token by that
    skew: float  # how far a backend's clock may differ
    renew_on_401: bool  # a refused token is renewed, however fresh it is
    end_on_401: bool  # a token that is refused for good ends its session


@dataclass(frozen=True, slots=True)
class AnswerTimeouts:
    """How long an upstream may take with its answer, in seconds."""

    response: float = 60.0  # until the head has come, once the request has been sent
    body_idle: float = 30.0  # without a piece of the body
    stream_idle: float = 3600.0  # without a piece of an event stream
    tunnel_idle: float = 3600.0  # without a byte in a tunnel
    either_idle: float = field(init=False)  # after it, the kind of the body is looked at

    def __post_init__(self) -> None:
        object.__setattr__(self, "either_idle", min(self.body_idle, self.stream_idle))
