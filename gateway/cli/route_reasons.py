"""Why routes whose host and path fit a request do not serve it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.config.route_rules import conditions_of, described_conditions, order_of, pattern_of
from gateway.core.http import paths, refusals
from gateway.core.http.refusals import Refusal

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions
    from gateway.relay.access.route import Route
    from gateway.relay.http1.request_head import RequestHead

_REFUSED = {
    refusals.NO_ROUTE.reason: "fits, but a login asks its backend there: no route leads there",
    refusals.AMBIGUOUS_PATH.reason: "fits, but no route is as strict as all that may be meant",
}


class Reasons:
    """Tells why each of the routes that fit a request does not serve it."""

    def __init__(
        self,
        config: Config,
        head: RequestHead,
        routes: Sequence[Route],
        outcome: Route | Refusal,
    ) -> None:
        """Find the rule whose path decides.

        routes: those that fit, in their order
        outcome: the route that serves the request, or the refusal of it
        """
        winner = None if isinstance(outcome, Refusal) else outcome
        self._config, self._head, self._winner, self._outcome = config, head, winner, outcome
        self._order = [route.number for route in routes]
        numbers = [number for number in self._order if number is not None]
        met = [number for number in numbers if not self._unmet(number)]
        self._decider = winner.number if winner is not None else next(iter(met), None)

    def __call__(self, loser: Route) -> str:
        """Why a route does not serve the request."""
        method = self._head.method.decode()
        is_by_gateway = self._winner is not None and self._winner.number is None
        if loser.number is None:
            return "fits, but an exact path wins" if is_by_gateway else f"does not serve {method}"
        if is_by_gateway:
            return "fits, but the gateway's own path wins"
        if unmet := self._unmet(loser.number):
            return f"has conditions that the request does not meet: {', '.join(unmet)}"
        if isinstance(self._outcome, Refusal) and self._outcome is not refusals.METHOD:
            return _REFUSED.get(self._outcome.reason, "fits, but the request is refused")
        rule = self._config.routes[loser.number]
        if self._decider is None or self._decider == loser.number:
            return self._unserved(loser) if _serves(rule, method) else f"does not serve {method}"
        decider = self._config.routes[self._decider]
        is_beside = pattern_of(rule) == pattern_of(decider) and rule.host == decider.host
        if is_beside and not _serves(rule, method):
            return f"does not serve {method}"
        if self._comes_first(loser.number):
            return self._looser(loser)
        return f"fits, but {_order_rule(decider, rule)} (routes[{self._decider}])"

    def _unserved(self, route: Route) -> str:
        """Why the route that decides does not serve its own method."""
        action = route.action
        readings = paths.read(action.prefix + action.upstream_path(self._head.path))
        if route.upstream_paths.guarded.hold(readings.at_backends, suffixes=False):
            return _REFUSED[refusals.NO_ROUTE.reason]
        return "fits, but a route that may be meant as well does not serve the method"

    def _unmet(self, number: int) -> list[str]:
        """The conditions of a rule that the request does not meet, in the gateway's reading."""
        rule, head = self._config.routes[number], self._head
        alone = [{"headers": {name: it}, "query": {}} for name, it in rule.headers.items()]
        alone += [{"headers": {}, "query": {name: it}} for name, it in rule.query.items()]
        parts = [rule.model_copy(update=condition) for condition in alone]
        return [
            described_conditions(part)[0]
            for part in parts
            if not conditions_of(part).read(head.passed, head.query).strictly
        ]

    def _comes_first(self, number: int) -> bool:
        """Whether a rule is asked before the one that decides."""
        if self._decider not in self._order:
            return True
        return self._order.index(number) < self._order.index(self._decider)

    def _looser(self, loser: Route) -> str:
        """Why a stricter route decides in place of one that comes first."""
        looser = [] if self._winner is None else [*loser.is_looser_than(self._winner)]
        settings = f" ({', '.join(looser)})" if looser else ""
        return f"fits, but routes[{self._decider}], as a backend may read it, is stricter{settings}"


def _serves(rule: RouteOptions, method: str) -> bool:
    """Whether a rule serves a method. HEAD goes with GET; two methods are never served."""
    if method in ("TRACE", "CONNECT"):
        return False
    meant = {method, "GET"} if method == "HEAD" else {method}
    return rule.methods is None or not meant.isdisjoint(rule.methods)


def _order_rule(winner: RouteOptions, loser: RouteOptions) -> str:
    """The rule by which one route comes before another."""
    mine, theirs = pattern_of(winner), pattern_of(loser)
    if order_of(winner)[0] != order_of(loser)[0]:
        return "a rule for a more exact host wins"
    if mine == theirs:
        more = conditions_of(winner).rank != conditions_of(loser).rank
        return "a rule with more conditions wins" if more else "a rule that names the method wins"
    if theirs.regex:
        return "an earlier expression wins" if mine.regex else "a pattern wins over an expression"
    if mine.is_name:
        return "an exact path wins"
    if theirs.is_prefix and not mine.is_prefix:
        return "a path without a star wins"
    if len(mine.segments) != len(theirs.segments):
        return "a longer prefix wins"
    same = mine.segments == theirs.segments
    return "a longer suffix wins" if same else "a segment that is written earlier wins"
