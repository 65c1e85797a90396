"""The conditions that routes of config.yaml set for sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.core.sessions import conditions, required_claims
from gateway.core.sessions.conditions import Condition

if TYPE_CHECKING:
    from gateway.config.require_sections import (
        RequiredClaim,
        RequiredScopes,
        RequireFrom,
        RequireGroup,
    )


def condition(section: RequireGroup, places: RequireFrom, *, with_scopes: bool = True) -> Condition:
    """The conditions of a group, as sessions are asked for them.

    with_scopes: with those of the group's own `scopes`
    """
    parts = [claims_condition(section.claims)]
    if section.scopes is not None and with_scopes:
        parts.append(scopes_condition(section.scopes, places))
    if section.roles is not None:
        clauses = required_claims.clauses("", section.roles.any, section.roles.all)
        parts.append(conditions.holds(places.roles, clauses))
    parts += [condition(group, places) for group in section.all]
    if section.any:
        parts.append(conditions.any_of(condition(group, places) for group in section.any))
    return conditions.all_of(parts)


def claims_condition(claims: Mapping[str, RequiredClaim]) -> Condition:
    """The conditions of `claims`."""
    return conditions.all_of(
        conditions.holds((name,), required_claims.clauses(name, claim.any, claim.all))
        for name, claim in claims.items()
    )


def scopes_condition(scopes: RequiredScopes, places: RequireFrom) -> Condition:
    """The conditions of `scopes`, whose places hold lists of words."""
    clauses = required_claims.clauses("", scopes.any, scopes.all)
    return conditions.holds(places.scopes, clauses, of_words=True)
