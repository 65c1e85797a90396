"""Warnings about settings that are allowed and unsafe.

`gateway check` prints them, and a start logs them. A warning says what could happen and which lines
prevent it. It never stops the gateway.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import replace

from gateway.config.document import Document, Where
from gateway.config.limit_checks import limit_warnings
from gateway.config.login_places import logins_with_jwt_keys
from gateway.config.login_sections import LoginSection, Remember
from gateway.config.model import Config
from gateway.config.problems import Problem, in_order
from gateway.config.realm_checks import realm_warnings
from gateway.config.require_sections import Require
from gateway.config.requirements import claims_condition, condition
from gateway.config.route_rules import conditions_of, pattern_of, table_rule
from gateway.config.route_sections import Cors, RouteOptions
from gateway.config.session_sections import SessionSettings
from gateway.config.units import WHOLE
from gateway.config.values import Networks
from gateway.core.http.addresses import TcpAddress, UnixAddress
from gateway.core.http.allowed_origins import is_pattern
from gateway.core.http.path_patterns import PathPattern
from gateway.core.http.path_regex import compiled
from gateway.core.http.paths import fold, read
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Table
from gateway.core.logins.token_places import Auto
from gateway.core.logins.token_sending import InQuery
from gateway.core.sessions import conditions
from gateway.core.sessions.conditions import Condition

# By IP version: the largest private networks are 10.0.0.0/8 and fc00::/7 (RFC 1918, RFC 4193).
# A network with a shorter prefix has more than one owner.
_MIN_PREFIX_BITS = {4: 8, 6: 7}

_VERIFY = (
    'add verify: {secret: "${JWT_SECRET}"}, or verify: {public_key: backend.pem}, '
    'or verify: {jwks: "https://id.example/jwks.json"}'
)

# Browsers count a timer in milliseconds of 32 bits with a sign (WHATWG HTML §8.6).
_MAX_TIMER_SECONDS = (2**31 - 1) / 1000

_USERINFO = "add userinfo: the backend says whose token it is, at a path that is asked with it"

_ANSWERS = ("respond", "redirect", "maintenance")
_BEYOND_VERIFY = (
    *_ANSWERS,
    *("strip_prefix", "add_prefix", "rewrite", "request_headers", "response_headers"),
)

_OTHERS_MAY_CONNECT = 0o002  # a bit of a unix socket's mode (unix(7))


def warnings(config: Config, document: Document) -> list[Problem]:
    """Find all unsafe settings of a configuration, in the file's order."""
    return in_order(
        [
            *_unchecked_upstreams(config, document),
            *_lenient_upstreams(config, document),
            *_idle_settings(config, document),
            *_paths_by_spelling(config, document),
            *_opened_by_conditions(config, document),
            *_opened_before_expressions(config, document),
            *_named_spellings(config, document),
            *_unverified_tokens(config, document),
            *_unknown_refresh_paths(config, document),
            *_starred_origins(config, document),
            *_visits_from_other_sites(config, document),
            *_unlimited_sessions(config, document),
            *_idle_beyond_max_age(config, document),
            *_forgotten_sessions(config, document),
            *_plain_cookies(config, document),
            *_timers_that_overflow(config, document),
            *_undone_logouts(config, document),
            *_uncounted_logins(config, document),
            *_unbounded_clients(config, document),
            *_trust(config, document),
            *_tokens_in_queries(config, document),
            *_beyond_verify(config, document),
            *_circles(config, document),
            *_keys_in_queries(config, document),
            *_compressed_secrets(config, document),
            *realm_warnings(config, document),
            *limit_warnings(config, document),
        ]
    )


def _unchecked_upstreams(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if not upstream.tls.verify:
            yield document.problem(
                ("upstreams", name, "tls", "verify"),
                "accepts any certificate: an attacker on the way reads every token; name a ca_file",
            )


def _circles(config: Config, document: Document) -> Iterator[Problem]:
    if not config.via:
        yield document.problem(
            ("via",), "finds no circles: a request that comes back goes round until places run out"
        )


def _beyond_verify(config: Config, document: Document) -> Iterator[Problem]:
    """What a proxy that asks does itself, as it sends requests on as they came."""
    if config.verify is None:
        return
    for at, route in enumerate(config.routes):
        for setting in _BEYOND_VERIFY:
            if getattr(route, setting) is not None:
                yield document.problem(
                    ("routes", at, setting),
                    "is for requests through the gateway: a proxy that asks (verify) "
                    + ("gets 404 here" if setting in _ANSWERS else "sends them on as they came"),
                )


def _lenient_upstreams(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if upstream.lenient:
            yield document.problem(
                ("upstreams", name, "lenient"),
                "accepts responses that break HTTP/1.1: if a proxy reads them in another way, one "
                "user may get another's response; mend the backend",
            )


def _idle_settings(config: Config, document: Document) -> Iterator[Problem]:
    """Settings of upstreams that change nothing with these servers."""
    for name, upstream in config.upstreams.items():
        where = ("upstreams", name)
        if upstream.resolve is not None and not any(url.has_name for url in upstream.servers):
            message = "changes nothing: no server has a name that could be looked up"
            yield document.problem((*where, "resolve"), message)
        if upstream.tls.model_fields_set and not any(url.tls for url in upstream.servers):
            message = "changes nothing: no server is https"
            yield document.problem((*where, "tls"), message)


def _paths_by_spelling(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if upstream.paths == "strict":
            yield document.problem(
                ("upstreams", name, "paths"),
                "treats /API/me, /api/me/ and /api/me.json as other paths than /api/me: "
                "a backend that treats them alike serves them without that route's checks",
            )


def _unverified_tokens(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if not login.believes_tokens:
            continue
        hint = _USERINFO if login.has_opaque_tokens else _VERIFY
        if isinstance(login.token_place, Auto):
            message = "believes what its backend calls a token, also one that a client wrote"
        elif login.backend_paths[0].path.rpartition("/")[2].lower() == "graphql":
            message = "believes what stands there, and GraphQL clients choose the names of fields"
        else:
            continue
        yield replace(document.problem(("login", at, "token"), message), hint=hint)


def _visits_from_other_sites(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if any(path.may_be_led_to for path in login.paths):
            yield replace(
                document.problem(
                    ("login", at, "cross_site"),
                    "lets another site log its visitors in as a user of its choice (login CSRF), "
                    "unless the backend ties the link to the browser",
                ),
                hint="let it check a state that it has put into a cookie before (RFC 6749 §10.12)",
            )


def _unknown_refresh_paths(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        if login.lacks_refresh_path:
            yield replace(
                document.problem(
                    ("login", at, "refresh"),
                    "is on, as there is renew, but where frontends refresh is not known: "
                    "those that do find no refresh token in the login's reply",
                ),
                hint="write refresh: /the/path/that/they/call, or refresh: off",
            )


def _named_spellings(config: Config, document: Document) -> Iterator[Problem]:
    """Exact paths that a backend may take for that of a stricter route."""
    exact = [(at, route) for at, route in enumerate(config.routes) if pattern_of(route).is_name]
    beside: dict[tuple[frozenset[str], bytes], list[tuple[int, RouteOptions]]] = {}
    for at, route in exact:
        place = frozenset(route.host), fold(route.path.encode())
        beside.setdefault(place, []).append((at, route))
    for at, route in exact:
        if route.upstream is not None and config.upstreams[route.upstream].paths == "strict":
            continue
        meant = {path for paths in read(route.path.encode()).loose for path in paths}
        places = [(frozenset(route.host), path) for path in meant]
        for other_at, other in (pair for place in places for pair in beside.get(place, ())):
            if _asks_for_less(route, other, config):
                yield document.problem(
                    ("routes", at, "path"),
                    f"is a way to write {other.path} (routes[{other_at}]) to many backends, "
                    "and asks for less than that",
                )
                break


def _opened_by_conditions(config: Config, document: Document) -> Iterator[Problem]:
    """Routes with conditions that ask for less than what serves other requests there."""
    if not any(conditions_of(route) for route in config.routes):
        return
    table = Table(table_rule(route, at) for at, route in enumerate(config.routes))
    for at, route in enumerate(config.routes):
        if not conditions_of(route):
            continue
        site = table.site(route.host[0].replace("*", "x").encode() if route.host else None)
        others = (entry.layers.get(Conditions()) for entry in site.fitting(pattern_of(route).path))
        other = next((methods for methods in others if methods is not None), None)
        numbers = set() if other is None else set(other.all())
        for number in sorted(numbers):
            if _asks_less_than(route, config.routes[number], config):
                yield document.problem(
                    ("routes", at),
                    f"asks for less than routes[{number}], and clients choose between the two: "
                    "its headers and query are theirs to write",
                )
                break


def _opened_before_expressions(config: Config, document: Document) -> Iterator[Problem]:
    """Expressions that ask for more than a path with less, which is tried before them."""
    for at, route in enumerate(config.routes):
        if route.path_regex is None:
            continue
        regex = compiled(route.path_regex)
        for number, other in enumerate(config.routes):
            pattern = pattern_of(other)
            if pattern.regex or not set(route.host or ("",)) & set(other.host or ("",)):
                continue
            is_before = regex.fits_below(_beginning(pattern))
            if is_before and _asks_less_than(other, route, config):
                yield replace(
                    document.problem(
                        ("routes", at, "path_regex"),
                        f"asks for more than routes[{number}], which is tried before it and may "
                        "serve the same paths",
                    ),
                    hint="write it as a path, or let the other route ask for as much",
                )
                break


def _beginning(pattern: PathPattern) -> bytes:
    """What all paths that fit a pattern begin with, up to a segment to fill in."""
    written = itertools.takewhile(lambda segment: segment is not None, pattern.segments)
    begun = b"".join(b"/" + segment for segment in written if segment is not None)
    return begun if pattern.is_name else begun + b"/"


def _asks_for_less(one: RouteOptions, other: RouteOptions, config: Config) -> bool:
    if one.path == other.path:
        return False  # they share it by method
    return _asks_less_than(one, other, config)


def _asks_less_than(one: RouteOptions, other: RouteOptions, config: Config) -> bool:
    ranks = ("public", "optional", "required")
    less = ranks.index(one.auth) < ranks.index(other.auth)
    less = less or not conditions.implies(_required(one, config), _required(other, config))
    if less or other.require is None:
        return less
    mine, theirs = one.require or Require(), other.require
    return not set(mine.rules) >= set(theirs.rules) or (
        theirs.max_age is not None and (mine.max_age is None or mine.max_age > theirs.max_age)
    )


def _required(route: RouteOptions, config: Config) -> Condition:
    parts = [claims_condition(route.claims)]
    if route.require is not None:
        parts.append(condition(route.require, config.require_from))
    return conditions.all_of(parts)


def _starred_origins(config: Config, document: Document) -> Iterator[Problem]:
    """Patterns of origins whose pages act as the site's visitors."""
    places: list[tuple[Where, Cors | None]] = [(("cors",), config.cors)]
    places += [(("routes", at, "cors"), route.cors) for at, route in enumerate(config.routes)]
    for where, section in places:
        if section is None or not section.credentials:
            continue
        for at, origin in enumerate(section.origins):
            if is_pattern(origin):
                yield document.problem(
                    (*where, "origins", at),
                    "lets each page there act as the site's visitors, a forgotten or a test site, "
                    "too; name the origins, or leave credentials out",
                )


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


def _forgotten_sessions(config: Config, document: Document) -> Iterator[Problem]:
    """Logins that remember users only until their token expires."""
    for at, login in enumerate(config.login):
        if login.remember is not None and not login.keeps_tokens_valid:
            yield document.problem(
                ("login", at, "remember"),
                "lasts no longer than a token of this login, since nothing renews it; add renew",
            )


def _plain_cookies(config: Config, document: Document) -> Iterator[Problem]:
    """Cookies with keys that browsers would send over plain HTTP."""
    if config.keys.secure is False:
        yield document.problem(
            ("keys", "secure"),
            "lets browsers send the cookie with the key over plain HTTP, where it can be read on "
            "the way; remove it, and put HTTPS in front",
        )
    if config.keys.secure != "auto" or config.trusted_proxies or not _may_set_cookies(config):
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


def _may_set_cookies(config: Config) -> bool:
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


def _tokens_in_queries(config: Config, document: Document) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if isinstance(upstream.send_token, InQuery):
            yield _in_query(("upstreams", name, "send_token"), config, document)
    for at, route in enumerate(config.routes):
        if isinstance(route.send_token, InQuery):
            yield _in_query(("routes", at, "send_token"), config, document)


def _keys_in_queries(config: Config, document: Document) -> Iterator[Problem]:
    for at, route in enumerate(config.routes):
        if route.key_in_query is not None:
            yield document.problem(
                ("routes", at, "key_in_query"),
                "lets keys stand in URLs, which browsers keep and proxies in front may log; "
                "a cookie is better where the client can send one",
            )


def _compressed_secrets(config: Config, document: Document) -> Iterator[Problem]:
    """Routes that compress what a browser gets for its cookie."""
    for at, route in enumerate(config.routes):
        codings = config.compress if route.compress is None else route.compress
        if codings and route.auth != "public" and _may_set_cookies(config):
            where: Where = ("compress",) if route.compress is None else ("routes", at, "compress")
            yield document.problem(
                where,
                "compresses responses to requests with cookies: if one repeats text of the request "
                "beside a secret, another site can guess that by the size (BREACH); compress "
                "public routes",
            )
            if route.compress is None:
                break


def _in_query(where: Where, config: Config, document: Document) -> Problem:
    message = "lets the backend's own logs hold tokens; let it read a field, if it can"
    if config.verify is not None:
        message += ". Requests that verify allows go without the token: no field sets a query"
    return document.problem(where, message)


def _unbounded_clients(config: Config, document: Document) -> Iterator[Problem]:
    if config.limits.per_address == WHOLE:
        yield document.problem(
            ("limits", "per_address"),
            "lets one client take an upstream, or the login, from all others; a proxy that all "
            "clients come through belongs in trusted_proxies",
        )
    if config.limits.min_rate == 0:
        yield document.problem(
            ("limits", "min_rate"),
            "lets a client hold a connection to an upstream by sending a byte now and then",
        )


def _uncounted_logins(config: Config, document: Document) -> Iterator[Problem]:
    where: Where
    for where in dict.fromkeys(
        ("guessing",) if login.own_throttle is None else ("login", at, "guessing")
        for at, login in enumerate(config.login)
        if login.takes_passwords and (login.own_throttle or config.guessing).is_off
    ):
        yield document.problem(
            where, "lets passwords be guessed as fast as they can be sent; set how many may fail"
        )


def _trust(config: Config, document: Document) -> Iterator[Problem]:
    """Trusted proxies: the gateway must believe proxies, and no client."""
    proxies = config.trusted_proxies
    yield from _large_networks(("trusted_proxies",), proxies, document)
    if config.verify is not None:
        yield from _large_networks(("verify", "trusted"), config.verify.trusted, document)
    for at, address in enumerate(config.listen):
        if not isinstance(address, UnixAddress):
            continue
        if "unix" not in proxies:
            yield document.problem(
                ("listen", at),
                "gives all clients one address, so one can lock out others: "
                "add trusted_proxies: unix if a proxy connects there",
            )
        elif address.mode & _OTHERS_MAY_CONNECT:
            yield document.problem(
                ("listen", at),
                "lets any process of this machine choose its address: remove others from its mode",
            )


def _large_networks(where: Where, trusted: Networks, document: Document) -> Iterator[Problem]:
    for at, peers in enumerate(trusted):
        if peers != "unix" and peers.prefixlen < _MIN_PREFIX_BITS[peers.version]:
            yield document.problem(
                (*where, at),
                "trusts clients as well, who could choose their addresses: name only proxies",
            )
