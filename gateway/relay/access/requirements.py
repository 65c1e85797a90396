"""What a route requires of a session beyond being one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.config.requirements import claims_condition, condition, scopes_condition
from gateway.core.http import refusals
from gateway.core.sessions import conditions
from gateway.core.sessions.conditions import NOTHING, Condition
from gateway.relay.outcomes import Refused
from gateway.rules.rule import Rule, RuleSet

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteAccess
    from gateway.core.sessions.session import Session


@dataclass(frozen=True, slots=True)
class Requirements:
    """The requirements of one route. They are met together."""

    condition: Condition  # of the claims, without the scopes
    scopes: Condition | None = None
    scope_challenge: Mapping[str, str] | None = None  # for a session that lacks scopes
    max_age: float | None = None  # of the login, in seconds
    rules: tuple[Rule, ...] = ()  # are asked last

    @classmethod
    def of(cls, options: RouteAccess, config: Config, known: RuleSet) -> Requirements | None:
        """The requirements of a route of config.yaml; None if it has none.

        known: the rules of the configuration
        """
        claims = [options.claims]
        if options.impersonates is not None:
            claims.append(options.impersonates.claims)
        parts = [claims_condition(section) for section in claims]
        required, scopes, challenge = options.require, None, None
        if required is not None:
            parts.append(condition(required, config.require_from, with_scopes=False))
            if required.scopes is not None:
                scopes = scopes_condition(required.scopes, config.require_from)
                challenge = _scope_challenge((*required.scopes.all, *required.scopes.any))
        found = cls(conditions.all_of(parts), scopes, challenge)
        if required is not None:
            rules = tuple(map(known.rule, required.rules))
            found = replace(found, max_age=required.max_age, rules=rules)
        return None if found == cls(NOTHING) else found

    def check(self, session: Session) -> None:
        """Raises `Refused` for a session that does not meet the requirements.

        The rules are asked with the request (`rule_check`).
        """
        if not self.condition.is_met(session):
            raise Refused(refusals.FORBIDDEN)
        if self.scopes is not None and not self.scopes.is_met(session):
            raise Refused(refusals.INSUFFICIENT_SCOPE, self.scope_challenge)
        if self.max_age is not None and session.logged_in_at < time.time() - self.max_age:
            raise Refused(refusals.LOGIN_TOO_OLD, _login_challenge(self.max_age))

    def imply(self, other: Requirements) -> bool:
        """Whether each session that meets these meets the other ones."""
        return (
            conditions.implies(self._all, other._all)
            and set(self.rules) >= set(other.rules)
            and (
                other.max_age is None
                or (self.max_age is not None and self.max_age <= other.max_age)
            )
        )

    @property
    def _all(self) -> Condition:
        parts = [self.condition] if self.scopes is None else [self.condition, self.scopes]
        return conditions.all_of(parts)


def _scope_challenge(scopes: tuple[str, ...]) -> dict[str, str]:
    """The challenge of a token that lacks scopes (RFC 6750 §3.1)."""
    challenge = f'Bearer realm="latchkey", error="insufficient_scope", scope="{" ".join(scopes)}"'
    return {"WWW-Authenticate": challenge}


def _login_challenge(max_age: float) -> dict[str, str]:
    """The challenge of a login that is too old (RFC 9470 §3)."""
    challenge = 'Bearer realm="latchkey", error="insufficient_user_authentication", '
    challenge += 'error_description="A more recent login is needed", '
    return {"WWW-Authenticate": f'{challenge}max_age="{int(max_age)}"'}
