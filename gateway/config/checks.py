"""Checks across sections: names must exist, and rules must not clash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.config.complaints import suggest
from gateway.config.document import Document, Where
from gateway.config.limit_checks import check_limits
from gateway.config.listening import check_entrances
from gateway.config.login_places import key_cookies, login_of_route, served_methods
from gateway.config.model import Config
from gateway.config.path_checks import check_paths
from gateway.config.problems import Problem
from gateway.config.realm_checks import check_realms
from gateway.config.route_rules import conditions_of, pattern_of, table_rule
from gateway.config.token_places import token_fields
from gateway.config.token_sections import Signing
from gateway.core.http.addresses import SystemdAddress, overlap
from gateway.core.http.field_names import fold, has_meaning
from gateway.core.http.routing import Table
from gateway.core.logins.token_places import Auto
from gateway.core.logins.token_sending import InField, InQuery, TokenSending
from gateway.core.secret import Secret
from gateway.pages import rendering

# To the relay, the endpoints are an upstream of this name.
_RESERVED = "gateway"

# A shorter secret can be guessed: it needs as many bits as the digest (NIST SP 800-107).
_MIN_SECRET_CHARACTERS = 16

# A minted token is renewed in the last quarter of its lifetime. Until then it must be valid by the
# clock of an upstream that is ahead of ours.
_MIN_SKEWS_PER_LIFETIME = 4


def check(config: Config, document: Document) -> list[Problem]:
    """Find every problem between the sections of a configuration."""
    return [
        *_listeners(config, document),
        *check_entrances(config, document),
        *_upstream_names(config, document),
        *_sticky_cookies(config, document),
        *_nowhere(config, document),
        *check_paths(config, document),
        *_login_page(config, document),
        *_accepted_tokens(config, document),
        *_sent_refresh_tokens(config, document),
        *_captures(config, document),
        *_beginnings(config, document),
        *_field_names(config, document),
        *_token_sendings(config, document),
        *_changed_fields(config, document),
        *_secrets(config, document),
        *_templates(config, document),
        *_minting(config, document),
        *_login_choices(config, document),
        *_login_files(config, document),
        *check_realms(config, document),
        *check_limits(config, document),
    ]


def _listeners(config: Config, document: Document) -> Iterator[Problem]:
    """Addresses that stand twice in `listen`, or in both listeners.

    The kernel would hand the admin listener some of the public connections. `systemd` is all of
    its sockets, those with a name among them.
    """
    for where, addresses in (
        (("listen",), config.listen),
        (("admin", "listen"), config.admin.listen),
    ):
        for at, address in enumerate(addresses):
            if str(address) in map(str, addresses[:at]):
                yield document.problem((*where, at), f"{address} stands twice")
            elif isinstance(address, SystemdAddress) and any(
                overlap(address, other) for other in addresses[:at]
            ):
                yield document.problem(
                    (*where, at), "systemd is all of its sockets: give each a name, or none"
                )
    for admin in config.admin.listen:
        for public in config.listen:
            if overlap(admin, public):
                yield document.problem(("admin", "listen"), f"{admin} is in listen too: {public}")


def _upstream_names(config: Config, document: Document) -> Iterator[Problem]:
    if _RESERVED in config.upstreams:
        yield document.problem(("upstreams", _RESERVED), "is the gateway's own name", key=True)
    used: list[tuple[Where, str]] = [
        (("routes", at, "upstream"), route.upstream)
        for at, route in enumerate(config.routes)
        if route.upstream is not None
    ]
    for at, login in enumerate(config.login):
        for asked in login.backend_paths:
            renew = ("renew",) if asked.renews else ()
            used.append((("login", at, *renew, "upstream"), asked.upstream))
        if login.userinfo_upstream is not None:
            used.append((("login", at, "userinfo", "upstream"), login.userinfo_upstream))
    if config.session.renew is not None:
        used.append((("session", "renew", "upstream"), config.session.renew.upstream))
    used += [
        (("logout", at, "upstream"), logout.upstream)
        for at, logout in enumerate(config.logout)
        if logout.upstream is not None
    ]
    for where, name in used:
        if name not in config.upstreams:
            hint = suggest(name, list(config.upstreams))
            yield replace(document.problem(where, "names no upstream"), hint=hint)


def _sticky_cookies(config: Config, document: Document) -> Iterator[Problem]:
    """Cookies that choose a server, and are those with keys as well."""
    taken = key_cookies(config)
    for name, upstream in config.upstreams.items():
        if upstream.balance.cookie in taken:
            where = ("upstreams", name, "balance", "name")
            yield document.problem(where, "is a cookie that holds keys: use another name")


def _nowhere(config: Config, document: Document) -> Iterator[Problem]:
    """Routes without an upstream, which serve the verify endpoint only."""
    for at, route in enumerate(config.routes):
        if route.upstream is None and config.verify is None and not route.is_answered_here:
            yield document.problem(("routes", at), "needs upstream, as there is no verify")
        file = None if route.respond is None else route.respond.file
        if file is not None and not Path(file).is_file():
            yield document.problem(("routes", at, "respond", "file"), "is no file")


def _login_page(config: Config, document: Document) -> Iterator[Problem]:
    """A login page that needs a session would redirect browsers in a circle."""
    page = config.login_page
    if page is None:
        for at, route in enumerate(config.routes):
            if route.on_unauthenticated == "login":
                where = ("routes", at, "on_unauthenticated")
                yield document.problem(where, "needs a login_page to send browsers to")
        return
    table = Table(table_rule(rule, rule) for rule in config.routes if not conditions_of(rule))
    sites = [table.site(None), *(table.site(host) for host in _exact_hosts(config))]
    found = [entry for site in sites for entry in site.chain(page.encode())[:1]]
    picked = [entry.under(*entry.layers).pick(b"GET") for entry in found]
    shown = next((rule for rule in picked if rule is not None), None)
    if any(rule is not None and rule.auth == "required" for rule in picked):
        shown = next(rule for rule in picked if rule is not None and rule.auth == "required")
    if not _shows_page(config, page) and (shown is None or shown.auth == "required"):
        message = "leads nowhere" if shown is None else "itself needs a session: make it public"
        yield document.problem(("login_page",), message)


def _exact_hosts(config: Config) -> list[bytes]:
    """The hosts that routes name, with one below each pattern."""
    return [host.replace("*", "x").encode() for rule in config.routes for host in rule.host]


def _login_choices(config: Config, document: Document) -> Iterator[Problem]:
    """A login page on which there would be nothing to choose."""
    has_choice = any(login.has_form or login.provider_name for login in config.login)
    if config.pages.login is not None and not has_choice:
        yield document.problem(("pages", "login"), "has no login of kind oidc or users to show")


def _login_files(config: Config, document: Document) -> Iterator[Problem]:
    for at, login in enumerate(config.login):
        yield from login.file_problems(("login", at), document)


def _accepted_tokens(config: Config, document: Document) -> Iterator[Problem]:
    for at, route in enumerate(config.routes):
        if route.accept_jwt == "verify" and config.jwt is None:
            where = ("routes", at, "accept_jwt")
            yield document.problem(where, "needs a section jwt that says how to verify tokens")


def _sent_refresh_tokens(config: Config, document: Document) -> Iterator[Problem]:
    """Logouts with refresh tokens, at an upstream whose logins have none."""
    issuing = {asked.upstream for login in config.login for asked in login.backend_paths}
    for at, logout in enumerate(config.logout):
        if logout.send_refresh_token is not None and logout.upstream not in issuing:
            message = f"is for the tokens of logins at {logout.upstream}, and there are none"
            yield document.problem(("logout", at, "send_refresh_token"), message)


def _captures(config: Config, document: Document) -> Iterator[Problem]:
    """Captures without a backend's login, or without a way to know tokens.

    Captured tokens replace those of the login. They are verified, or stand at a named place.
    """
    backends = [login for login in config.login if login.token_place is not None]
    unverified = next((login.path for login in backends if login.believes_tokens), None)
    for at, route in enumerate(config.routes):
        if route.captures is None:
            continue
        where = ("routes", at, "captures")
        if config.login and not backends:
            yield document.problem(
                where, "needs a login of kind backend: captures replace only its tokens"
            )
        elif isinstance(route.captures, Auto) and unverified is not None:
            yield replace(
                document.problem(where, f"needs verify on the login at {unverified}, or a place"),
                hint="otherwise any text of a user that the upstream repeats would become the "
                "session's token: write captures: /data/token, header:X-Token or cookie:jwt",
            )


def _beginnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes where sessions begin without one login to give the rules.

    Without `verify`, texts of users at the named place would be tokens on all paths of a prefix.
    """
    for at, route in enumerate(config.routes):
        if not route.begins_sessions:
            continue
        paths = [login.path for login in config.login if login.token_place is not None]
        login = login_of_route(config, route)
        if route.login is not None and login is None:
            hint = suggest(route.login, paths)
            problem = document.problem(("routes", at, "login"), "names no login of kind backend")
            yield replace(problem, hint=hint)
        elif login is None:
            problem = document.problem(
                ("routes", at, "captures"),
                "needs one login of kind backend at its upstream, where sessions begin",
            )
            yield replace(problem, hint=f"name one: login: {paths[0]}" if paths else "")
        elif login.believes_tokens and not pattern_of(route).is_name:
            yield document.problem(
                ("routes", at, "captures"),
                f"needs verify on the login at {login.path}, since sessions begin on all its paths",
            )


def _field_names(config: Config, document: Document) -> Iterator[Problem]:
    """Fields of the gateway that are, to a backend, the same as others."""
    places: list[tuple[Where, str]] = [(("identity", name), name) for name in config.identity]
    places += [(("keys", "field"), name) for name in config.keys.field]
    seen: dict[bytes, str] = {}
    for where, name in places:
        folded = fold(name.encode())
        if has_meaning(folded):
            problem = document.problem(where, "is a field with a meaning of its own", key=True)
            yield replace(problem, hint="choose another name")
        elif folded in seen:
            message = f"is the same field as {seen[folded]} for many backends"
            yield document.problem(where, message, key=True)
        seen.setdefault(folded, name)


def _changed_fields(config: Config, document: Document) -> Iterator[Problem]:
    """Fields that routes change, and that are the gateway's own."""
    if not {route.upstream for route in config.routes} <= {None, *config.upstreams}:
        return  # which is told already
    own = {*config.identity, *config.keys.field, *token_fields(config)}
    taken = {fold(name.encode()) for name in own}
    for at, route in enumerate(config.routes):
        for setting in ("request_headers", "response_headers"):
            changes = getattr(route, setting)
            if changes is None:
                continue
            where = ("routes", at, setting)
            of_requests = setting == "request_headers"
            for name in dict.fromkeys(changes.owned(of_requests=of_requests)):
                yield document.problem(where, f"cannot change {name}: it is the gateway's own")
            for name in (*changes.set, *changes.add, *changes.remove):
                if of_requests and fold(name.encode()) in taken:
                    yield document.problem(where, f"cannot change {name}: it holds identity")
            if of_requests and route.auth == "public" and changes.of_sessions:
                yield document.problem(where, "needs a session: auth cannot be public")


def _token_sendings(config: Config, document: Document) -> Iterator[Problem]:
    """Find ways to send a token that clash with settings or with proxies."""
    identity = {fold(name.encode()) for name in config.identity}
    places: list[tuple[Where, TokenSending | str | None]] = [
        (("upstreams", name, "send_token"), upstream.send_token)
        for name, upstream in config.upstreams.items()
    ]
    for at, route in enumerate(config.routes):
        places.append((("routes", at, "send_token"), route.send_token))
    for where, sending in places:
        if isinstance(sending, InField) and fold(sending.name.encode()) in identity:
            yield document.problem(where, "is a field of identity, which holds a claim")
    for at, route in enumerate(config.routes):
        where = ("routes", at, "send_token")
        if route.send_token is not None and route.auth == "public":
            yield document.problem(where, "needs a session: auth cannot be public")
        elif route.upstream is None and isinstance(route.send_token, InQuery):
            yield document.problem(where, "is beyond verify: no field of its answer sets a query")


def _shows_page(config: Config, path: str) -> bool:
    """Whether the gateway itself answers people who go to this path."""
    return path == config.pages.login or "GET" in served_methods(config).get(path, ())


def _secrets(config: Config, document: Document) -> Iterator[Problem]:
    secrets = config.session.secrets
    if not secrets and config.store.url != "embedded":
        yield document.problem(
            ("session",), "needs secrets: a reader of the Redis must not be able to open sessions"
        )
    placed: list[tuple[Where, Secret | None]] = [(("admin", "secret"), config.admin.secret)]
    placed += [(("session", "secrets", at), secret) for at, secret in enumerate(secrets)]
    for where, secret in placed:
        if secret is not None and len(secret.reveal()) < _MIN_SECRET_CHARACTERS:
            yield document.problem(
                where,
                f"is too short: at least {_MIN_SECRET_CHARACTERS} characters, "
                "better 32 random ones",
            )


def _templates(config: Config, document: Document) -> Iterator[Problem]:
    """Broken templates: they are found before a page is shown."""
    folder = config.pages.templates
    if folder is None:
        return
    if not Path(folder).is_dir():
        yield document.problem(("pages", "templates"), "is not a folder")
        return
    for flaw in rendering.flaws(folder):
        yield Problem(flaw.file, flaw.line, 1, "pages.templates", flaw.message)


def _minting(config: Config, document: Document) -> Iterator[Problem]:
    """Minted tokens need keys; a route's token needs a login that mints."""
    section = config.signing
    logins: list[Where] = [("login", at) for at, login in enumerate(config.login) if login.mints]
    tokens: list[Where] = [
        ("routes", at, "token") for at, route in enumerate(config.routes) if route.token is not None
    ]
    if section is None:
        for where in logins or tokens:
            yield document.problem(where, "needs signing: the keys of the gateway's own tokens")
        return
    if not logins:
        for where in tokens:
            yield document.problem(where, "needs a login that mints: of kind mint or users")
    yield from _lifetimes(config, section, document)


def _lifetimes(config: Config, section: Signing, document: Document) -> Iterator[Problem]:
    lifetimes: list[tuple[Where, float]] = [(("signing", "lifetime"), section.lifetime)]
    for at, route in enumerate(config.routes):
        if route.token is not None and route.token.lifetime is not None:
            lifetimes.append((("routes", at, "token", "lifetime"), route.token.lifetime))
    for where, lifetime in lifetimes:
        if lifetime < _MIN_SKEWS_PER_LIFETIME * config.session.clock_skew:
            yield document.problem(
                where, f"must be at least {_MIN_SKEWS_PER_LIFETIME} times session.clock_skew"
            )
