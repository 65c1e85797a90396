"""The ends of a request without an upstream: refused, or answered."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.http.refusals import Refusal
from gateway.observe.events import Event


class Refused(Exception):
    """The request is refused."""

    route = b""  # the label of the route that was found

    def __init__(
        self,
        refusal: Refusal,
        fields: Mapping[str, str] | None = None,
        event: Event | None = None,
        cause: str = "",
    ) -> None:
        """Name the refusal.

        fields: more fields of the answer
        event: for the audit log, if a presented key was refused
        cause: for the access log: the setting by which it was refused
        """
        super().__init__(refusal.reason)
        self.cause = cause
        self.refusal = refusal
        self.fields = dict(fields or {})
        self.event = event


class Answered(Exception):
    """The request gets an answer of the gateway's own, which is no refusal."""

    route = b""  # the label of the route that was found

    def __init__(
        self,
        status: int,
        fields: Mapping[str, str],
        event: Event | None = None,
        body: bytes = b"",
    ) -> None:
        """Describe the answer.

        event: for the audit log, if a presented key was refused all the same
        body: its content; most have none
        """
        super().__init__(status)
        self.status = status
        self.fields = fields
        self.body = body
        self.event = event
