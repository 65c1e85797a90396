"""CORS: which other origins' pages may read answers (WHATWG Fetch §3.2), the gateway's own too.

The gateway answers for a route that has such a policy, and the upstream's own fields are dropped:
two answers to the same question would make browsers refuse both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What every field of this protocol begins with.
PREFIX = b"access-control-"

# Without a list of its own a policy allows what forms and JSON clients send.
DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
DEFAULT_HEADERS = ("Authorization", "Content-Type", "X-Requested-With")

ANY = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may read the answers of a route."""

    origins: frozenset[str]  # as browsers spell them; or `*` for all
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    credentials: bool  # cookies are sent along; never with `*`
    max_age: int  # seconds for which browsers remember the answer to a preflight

    @classmethod
    def of(cls, said: Any) -> Policy | None:
        """The policy that a section of config.yaml describes; None if there is none."""
        if said is None:
            return None
        return cls(
            frozenset(said.origins),
            said.methods,
            said.headers,
            said.exposed,
            said.credentials,
            int(said.max_age),
        )

    def allows(self, origin: str) -> bool:
        return origin in self.origins or ANY in self.origins

    def trusts(self, origin: str) -> bool:
        """Whether this origin's pages may send requests with cookies as the site's own do."""
        return self.credentials and origin in self.origins

    def answer(self, origin: str) -> dict[str, str]:
        """The fields of an answer to a request that came with this Origin; "" for none."""
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
        """The fields of the answer to a preflight; who is not allowed learns nothing."""
        fields = self.answer(origin)
        if "Access-Control-Allow-Origin" in fields:
            fields.pop("Access-Control-Expose-Headers", None)
            fields["Access-Control-Allow-Methods"] = ", ".join(self.methods)
            fields["Access-Control-Allow-Headers"] = ", ".join(self.headers)
            fields["Access-Control-Max-Age"] = str(self.max_age)
        return fields
