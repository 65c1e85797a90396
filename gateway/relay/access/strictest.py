"""Which of several routes decides on a request that may be meant by each of them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.http import paths
from gateway.core.http.routing import Methods
from gateway.relay.access.route import Route

# Remembered sets of routes that a path may be meant by, of about 4 KiB each.
_MAX_DECIDED = 256

# Stands for all methods that no rule names.
_UNNAMED = b""


class Strictest:
    """Finds the strictest of several routes, and remembers it."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Methods[Route]] = {}

    def of(
        self,
        found: Methods[Route],
        rivals: Sequence[Methods[Route]],
        *,
        always: bool = False,
    ) -> Methods[Route]:
        """The strictest of these routes, for each method.

        found: the routes of the path as it is spelled; they come first
        rivals: those of its other readings
        always: also where an upstream tells spellings of a path apart

        Raises `AmbiguousPath` if there is none, because any route would let something pass that
        another one refuses.
        """
        if not rivals:
            return found
        asked = (always, found, *rivals)
        if asked not in self._known:
            if len(self._known) >= _MAX_DECIDED:
                self._known.clear()
            self._known[asked] = _decided(found, rivals, always=always)
        return self._known[asked]


def _decided(
    found: Methods[Route], rivals: Sequence[Methods[Route]], *, always: bool
) -> Methods[Route]:
    """The route of each method that is as strict as all others. Raises `AmbiguousPath`."""
    decided: Methods[Route] = Methods()
    for method in {name for methods in (found, *rivals) for name in methods.named}:
        route = _decide(method, found, rivals, always=always)
        if route is not None:
            decided.named[method] = route
    other = _decide(_UNNAMED, found, rivals, always=always)
    if other is not None:
        decided.other.append(other)
    return decided


def _decide(
    method: bytes, found: Methods[Route], rivals: Sequence[Methods[Route]], *, always: bool
) -> Route | None:
    """The strictest route for one method. Raises `AmbiguousPath`.

    None if one of the patterns does not serve it.
    """
    first = found.pick(method)
    if first is None or not (always or first.upstream_paths.read_loosely):
        return first
    routes = [first]
    for rival in rivals:
        route = rival.pick(method)
        if route is None:
            return None
        routes.append(route)
    for route in routes:
        if not any(any(route.is_looser_than(other)) for other in routes):
            return route.within(routes)
    raise paths.AmbiguousPath
