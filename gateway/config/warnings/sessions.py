"""Warnings about sessions, and the cookies of their keys."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from gateway.config.document import Document, Where
from gateway.config.login_places import logins_with_jwt_keys
from gateway.config.login_sections import LoginSection, Remember
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.session_sections import SessionSettings
from gateway.core.http.addresses import TcpAddress, UnixAddress

# Browsers count a timer in milliseconds of 32 bits with a sign (WHATWG HTML §8.6).
_MAX_TIMER_SECONDS = (2**31 - 1) / 1000


def session_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find sessions that last in another way than it seems, and keys that can be read."""
    yield from _unlimited_sessions(config, document)
    yield from _idle_beyond_max_age(config, document)
    yield from _plain_cookies(config, document)
    yield from _timers_that_overflow(config, document)
    yield from _undone_logouts(config, document)


def _unlimited_sessions(config: Config, document: Document) -> Iterator[Problem]:
    if config.session.max_per_subject == 0:
        yield document.problem(
            ("session", "max_per_subject"),
            "lets one account fill the store with sessions, and a stolen password keep any number "
            "of them; set the most devices that a person has",
        )


def _idle_beyond_max_age(config: Config, document: Document) -> Iterator[Problem]:
    lives: list[tuple[Where, SessionSettings | LoginSection | Remember]] = [
        (("session",), config.session)
    ]
    for at, login in enumerate(config.login):
        lives.append((("login", at), login))
        if login.remember is not None and "idle_timeout" in login.remember.model_fields_set:
            lives.append((("login", at, "remember"), login.remember))
    for where, life in lives:
        if (life.idle_timeout or 0) > (life.max_age or config.session.max_age):
            yield document.problem(
                (*where, "idle_timeout"),
                "never ends a session, since max_age ends it earlier; set a shorter time",
            )


def _plain_cookies(config: Config, document: Document) -> Iterator[Problem]:
    """Cookies with keys that browsers would send over plain HTTP."""
    if config.keys.secure is False:
        yield document.problem(
            ("keys", "secure"),
            "lets browsers send the cookie with the key over plain HTTP, where it can be read on "
            "the way; remove it, and put HTTPS in front",
        )
    if config.keys.secure != "auto" or config.trusted_proxies or not may_set_cookies(config):
        return
    for at, address in enumerate(config.listen):
        if (
            not isinstance(address, UnixAddress)
            and not (isinstance(address, TcpAddress) and _is_loopback(address.host))
            and not address.entrance.certificates
            and not address.entrance.redirect
        ):
            yield document.problem(
                ("listen", at),
                "serves plain HTTP to other machines, so browsers get keys in cookies that can be "
                "read on the way: put HTTPS in front and name that proxy in trusted_proxies, or "
                "set keys.secure: true",
            )


def may_set_cookies(config: Config) -> bool:
    """Whether some login answers with a cookie that holds the key."""
    carriers = {path.carrier for login in config.login for path in login.paths}
    return any((carrier or config.keys.carrier) != "reply" for carrier in carriers)


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. A name may be any of them."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _timers_that_overflow(config: Config, document: Document) -> Iterator[Problem]:
    """Keys whose `exp` is farther away than a browser's timer can count."""
    if logins_with_jwt_keys(config) and config.session.max_age > _MAX_TIMER_SECONDS:
        yield document.problem(
            ("session", "max_age"),
            "is longer than the 24.8 days that setTimeout counts: a frontend that sets a timer for "
            "the exp of its key (keys.form: jwt) logs out at once; set at most 24d",
        )


def _undone_logouts(config: Config, document: Document) -> Iterator[Problem]:
    if config.session.renew_on_upstream_401:
        yield document.problem(
            ("session", "renew_on_upstream_401"),
            "replaces tokens that a backend has revoked, which undoes its own logout; remove it",
        )
