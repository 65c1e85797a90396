"""CORS: the origins whose pages may read answers (WHATWG Fetch §3.2).

On a route with a policy the gateway sets these fields and drops the upstream's: a browser that gets
both refuses both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.core.http import allowed_origins

# All fields of this protocol begin with it.
PREFIX = b"access-control-"

# A policy without lists allows what forms and JSON clients send.
DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_HEADERS = ("Authorization", "Content-Type", "X-Requested-With")

ANY = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may read the answers of a route."""

    origins: frozenset[str]  # see `allowed_origins`, or `*` for all
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    credentials: bool  # browsers send cookies along; never with `*`
    max_age: int  # browsers remember the answer to a preflight for so long (seconds)

    @classmethod
    def of(cls, section: Any, exposed: tuple[str, ...] = ()) -> Policy | None:
        """The policy of a section of config.yaml; None without a section.

        exposed: fields of the gateway that pages may read as well
        """
        if section is None:
            return None
        return cls(
            origins=frozenset(section.origins),
            methods=section.methods,
            headers=section.headers,
            exposed=tuple(dict.fromkeys((*section.exposed, *exposed))),
            credentials=section.credentials,
            max_age=int(section.max_age),
        )

    def allows(self, origin: str) -> bool:
        """Whether this origin's pages may read answers."""
        return ANY in self.origins or allowed_origins.hold(self.origins, origin)

    def trusts(self, origin: str) -> bool:
        """Whether this origin's pages may send cookies, as own pages do."""
        return self.credentials and allowed_origins.hold(self.origins, origin)

    def answer(self, origin: str) -> dict[str, str]:
        """The fields of an answer.

        `origin` is the request's Origin; "" without one.
        """
        fields = {} if ANY in self.origins else {"Vary": "Origin"}
        if not origin or not self.allows(origin):
            return fields
        fields["Access-Control-Allow-Origin"] = ANY if ANY in self.origins else origin
        if self.credentials:
            fields["Access-Control-Allow-Credentials"] = "true"
        if self.exposed:
            fields["Access-Control-Expose-Headers"] = ", ".join(self.exposed)
        return fields

    def preflight(self, origin: str) -> dict[str, str]:
        """The fields of the answer to a preflight.

        An origin that is not allowed learns nothing.
        """
        fields = self.answer(origin)
        if "Access-Control-Allow-Origin" in fields:
            fields.pop("Access-Control-Expose-Headers", None)
            fields["Access-Control-Allow-Methods"] = ", ".join(self.methods)
            fields["Access-Control-Allow-Headers"] = ", ".join(self.headers)
            fields["Access-Control-Max-Age"] = str(self.max_age)
        return fields
