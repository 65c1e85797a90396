"""Asks a route's rules in Python (see `gateway/rules/`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http import hosts, paths, refusals
from gateway.relay.access import browsers
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused
from gateway.rules import Request
from gateway.rules.rule import Rule, RuleFailed

if TYPE_CHECKING:
    from gateway.core.sessions.session import Session
    from gateway.relay.access.peer import Peer
    from gateway.relay.access.route import Route


def check(
    rules: tuple[Rule, ...], head: RequestHead, route: Route, session: Session, peer: Peer
) -> None:
    """Raises `Refused` if a rule says no, or fails; the access log names it."""
    for rule in rules:
        request = _request(head, route, session, peer)  # its own: it may change what it sees
        try:
            may_pass = rule.allows(request)
        except RuleFailed:
            raise Refused(refusals.RULE_FAILED, cause=rule.source.label) from None
        if not may_pass:
            raise Refused(refusals.FORBIDDEN, cause=rule.source.label)


def _request(head: RequestHead, route: Route, session: Session, peer: Peer) -> Request:
    """The request as a rule sees it.

    Raises `Refused` for a host, or a path whose segments, a backend might read in another way: the
    rule would decide about the wrong one.
    """
    asked = browsers.asked_host(head, peer).encode("latin-1")
    try:
        host = hosts.plain(asked) if asked else asked  # HTTP/1.0 needs none
    except hosts.AmbiguousHost:
        raise Refused(refusals.AMBIGUOUS_HOST) from None
    subject = session.claim("sub")
    return Request(
        method=head.method.decode("ascii"),
        path=paths.strict(head.path).decode("ascii"),
        host=host.decode("ascii"),
        params=route.path_values(head),
        subject=subject,
        # With the realm, as in a route's `claims`: two realms may give one name to two people.
        claims={**session.claims, "sub": subject},
    )
