"""Checks of realms.

Logins that may give one name to two people need realms of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from gateway.config.problems import Problem
from gateway.config.realms import takes_own_tokens
from gateway.core.sessions import claim_names
from gateway.core.sessions.realms import SubjectPrefix
from gateway.core.sessions.session import SUBJECT

if TYPE_CHECKING:
    from gateway.config.document import Document, Where
    from gateway.config.login_sections import LoginSection
    from gateway.config.model import Config
    from gateway.config.token_sections import Jwt

_ADD_PREFIX = (
    'add subject_prefix: "staff:", say; if both have the same users, '
    "write the same subject_prefix in both"
)
_BEGIN_WITH_WORD = 'begin each with a word of its own, as in "shop:{host}:"'


@dataclass(frozen=True, slots=True)
class SubjectSource:
    """A login, or the section `jwt`, with the namespace of its names.

    In one namespace, a name is one person's.
    """

    where: Where
    title: str  # as in `login[0]`
    prefix: SubjectPrefix | None  # None: config.yaml has none
    namespace: tuple[object, ...]
    is_issuer: bool  # it has the names that one issuer gives

    @property
    def realm(self) -> SubjectPrefix:
        return self.prefix or SubjectPrefix()


def check_realms(config: Config, document: Document) -> Iterator[Problem]:
    """Find logins whose realm is missing, or may be that of another one.

    There is at most one problem for each source. Two sources with the same prefix state that they
    name the same people.
    """
    complained: set[str] = set()
    for first, second in combinations(_sources(config), 2):
        if first.namespace == second.namespace or not first.realm.may_equal(second.realm):
            continue
        only_first_is_silent = first.prefix is None and second.prefix is not None
        one, other = (first, second) if only_first_is_silent else (second, first)
        message, hint = _flaw(one, other)
        if message and one.title not in complained:
            complained.add(one.title)
            where = one.where if one.prefix is None else (*one.where, "subject_prefix")
            yield document.problem(where, message, hint=hint)


def realm_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find settings by which people are not told apart."""
    yield from _shared_unverified(config, document)
    yield from _shared_by_issuers(config, document)
    yield from _names_alone(config, document)


def _shared_unverified(config: Config, document: Document) -> Iterator[Problem]:
    """Shared realms into which unverified tokens bring names."""
    found = _sources(config)
    for at, login in enumerate(config.login):
        if not login.believes_tokens or login.subject_prefix is None:
            continue
        mine = found[at]
        shared = [other for other in found if other.namespace != mine.namespace]
        shared = [other for other in shared if other.prefix == mine.prefix]
        if shared:
            yield document.problem(
                (*mine.where, "subject_prefix"),
                f"shares a realm with {shared[0].title} by tokens that nothing verifies: a name "
                "that this backend can be made to say is that person there; add verify",
            )


def _shared_by_issuers(config: Config, document: Document) -> Iterator[Problem]:
    """Realms that two issuers share (OpenID Connect Core §5.7)."""
    issuers = [source for source in _sources(config) if source.is_issuer]
    for first, second in combinations(issuers, 2):
        states_same = first.prefix is not None and first.prefix == second.prefix
        if states_same and first.namespace != second.namespace:
            yield document.problem(
                (*second.where, "subject_prefix"),
                f"shares a realm with {first.title}, of another issuer: a user who can choose a "
                "name at one is that person at the other; write a prefix for each",
            )


def _names_alone(config: Config, document: Document) -> Iterator[Problem]:
    """Fields of `identity` that show a name, while no field shows its realm."""
    has_realms = any(source.realm.text for source in _sources(config))
    shown = {field: of.claim for field, of in config.identity.items()}
    if not has_realms or SUBJECT in shown.values():
        return
    names = {claim_names.plain(name) for login in config.login for name in login.subject_claims}
    for field, claim in shown.items():
        if claim in names:
            yield document.problem(
                ("identity", field),
                "shows a name without its realm, so two people may look alike to upstreams: "
                f"{SUBJECT} shows the subject",
            )


def _sources(config: Config) -> list[SubjectSource]:
    """All sources of names, in the order of config.yaml.

    The section `jwt` is one if a route takes callers' tokens.
    """
    found = [_of_login(at, login) for at, login in enumerate(config.login)]
    jwt = config.jwt
    is_used = any(route.accept_jwt == "verify" for route in config.routes)
    if jwt is not None and is_used and not takes_own_tokens(config):
        found.append(_of_callers(jwt))
    return found


def _of_login(at: int, login: LoginSection) -> SubjectSource:
    is_issuer = login.provider_issuer is not None
    title = f"login[{at}]"
    return SubjectSource(
        ("login", at), title, login.subject_prefix, login.namespace, is_issuer=is_issuer
    )


def _of_callers(jwt: Jwt) -> SubjectSource:
    """The section `jwt`. One issuer is a namespace, as for a provider's login."""
    is_issuer = len(jwt.issuer) == 1
    namespace = ("issuer", jwt.issuer[0], jwt.subject) if is_issuer else ("jwt",)
    return SubjectSource(("jwt",), "jwt", jwt.subject_prefix, namespace, is_issuer=is_issuer)


def _flaw(one: SubjectSource, other: SubjectSource) -> tuple[str, str]:
    """A message about the prefix of `one` beside the other's, and a hint.

    Both are empty if nothing is wrong.
    """
    if one.prefix is None:
        message = f"needs subject_prefix: a name here may be another person's than in {other.title}"
        return message, _ADD_PREFIX
    if one.prefix != other.prefix:
        return f"may spell the same realm as that of {other.title}", _BEGIN_WITH_WORD
    if one.prefix.text and one.is_issuer and other.is_issuer:
        return "is that of another issuer as well", ""
    return "", ""
