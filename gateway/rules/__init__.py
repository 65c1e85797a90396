"""Rules in Python: who may pass by a route, as a function of the request.

    from gateway.rules import Request

    def may_edit(request: Request) -> bool:
        return request.has("teams", request.params["team"])

A rule runs in the decision on each request of its route, beside all other requests of the worker:
it computes, and does nothing else. No I/O, no waiting, no clock, no state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gateway.core.sessions import claim_names, required_claims


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a session, as a rule sees it. What it holds is its own.

    method: as it came
    path: decoded as far as it has one reading only, without the query
    host: that was asked for, in lower case, without a port and a full stop at its end
    params: the segments that the route's pattern names, decoded
    subject: the user, with the realm; None if the token names none
    claims: those of the token, as the backend wrote them; `sub` is the subject
    """

    method: str
    path: str
    host: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        # Other requests share the session: a rule gets copies of its lists, which it may change.
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        claims = {name: _copy(value) for name, value in self.claims.items()}
        object.__setattr__(self, "claims", MappingProxyType(claims))

    def claim(self, name: str, default: Any = None) -> Any:
        """The claim of this name or place, such as `realm_access.roles`."""
        found = claim_names.find(self.claims, name)
        return default if found is None else found

    def has(self, name: str, value: str | float | bool) -> bool:  # noqa: FBT001 (a JSON value)
        """Whether a claim is this value, or a list that holds it.

        Values are compared as in a route's `claims`: the words of `scope` and `scp` are a list.
        """
        wanted = required_claims.clauses(name, [value])
        return required_claims.is_met(name, self.claim(name), wanted)


def _copy(value: Any) -> Any:
    """A JSON value with lists and objects of its own."""
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
