"""The rules of config.yaml in the form in which a table takes them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from gateway.core.http import path_patterns
from gateway.core.http.path_patterns import PathPattern
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Rule, host_rank

if TYPE_CHECKING:
    from gateway.config.route_sections import RouteMatch, RouteOptions

T = TypeVar("T")


def table_rule(match: RouteMatch, value: T) -> Rule[T]:
    """Which requests a rule is for, with what it stands for."""
    return Rule(pattern_of(match), match.methods, value, match.host, conditions_of(match))


def pattern_of(match: RouteMatch) -> PathPattern:
    """The pattern of a rule."""
    if match.path_regex is not None:
        return PathPattern((), regex=match.path_regex)
    return path_patterns.parse(match.path, bare=match.bare)


def beginning(pattern: PathPattern) -> bytes:
    """The beginning of all paths that fit a pattern, up to a segment to fill in."""
    written = itertools.takewhile(lambda segment: segment is not None, pattern.segments)
    begun = b"".join(b"/" + segment for segment in written if segment is not None)
    return begun if pattern.is_name else begun + b"/"


def conditions_of(match: RouteMatch) -> Conditions:
    """The conditions of a rule."""
    headers = {name.lower(): wanted for name, wanted in match.headers.items()}
    return Conditions(
        tuple((name.encode(), _wanted(value)) for name, value in sorted(headers.items())),
        tuple((name.encode(), _wanted(value)) for name, value in sorted(match.query.items())),
    )


def order_of(match: RouteMatch) -> tuple[object, ...]:
    """Sorts rules as a table asks them, and alike ones by their text."""
    pattern = pattern_of(match)
    host = min(map(host_rank, match.host), default=host_rank(""))
    return host, ",".join(match.host), pattern.rank, match.path, conditions_of(match).rank


def described(match: RouteMatch) -> str:
    """Which requests a rule is for: hosts, path, conditions."""
    conditions = described_conditions(match)
    return " ".join([name_of(match), *(f"[{condition}]" for condition in conditions)])


def described_conditions(match: RouteMatch) -> list[str]:
    """The conditions of a rule, one by one: those on fields, and then those on the query."""
    pairs = [*match.headers.items(), *(("?" + name, it) for name, it in match.query.items())]
    words = {True: " present", False: " absent"}
    return [f"{name}{words[it] if isinstance(it, bool) else f'={it}'}" for name, it in pairs]


def required(rule: RouteOptions) -> str:
    """What a rule requires of callers, in short."""
    asked: list[str] = [rule.auth]
    if rule.claims:
        asked.append("claims:" + ",".join(rule.claims))
    if rule.require is not None:
        asked.append("require:" + ",".join(sorted(rule.require.model_fields_set)))
    return "+".join(asked)


def name_of(match: RouteMatch) -> str:
    """The name of a rule in logs: its path behind its hosts."""
    return ",".join(match.host) + (
        match.path if match.path_regex is None else f"~{match.path_regex}"
    )


def _wanted(value: str | bool, /) -> bytes | bool:  # noqa: FBT001 (a value of the file)
    return value if isinstance(value, bool) else value.encode()
