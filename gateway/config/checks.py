"""Checks across sections: names must exist, and rules must not clash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config import files
from gateway.config.capture_checks import check_captures
from gateway.config.complaints import suggest
from gateway.config.document import Document, Where
from gateway.config.field_checks import check_fields
from gateway.config.limit_checks import check_limits
from gateway.config.listening import check_listeners
from gateway.config.login_checks import check_logins
from gateway.config.login_places import key_cookies
from gateway.config.model import Config
from gateway.config.path_checks import check_paths
from gateway.config.problems import Problem
from gateway.config.realm_checks import check_realms
from gateway.core.secret import Secret
from gateway.pages import rendering

# To the relay, the endpoints are an upstream of this name.
_RESERVED = "gateway"

# A shorter secret can be guessed: it needs as many bits as the digest (NIST SP 800-107).
_MIN_SECRET_CHARACTERS = 16


def check(config: Config, document: Document) -> list[Problem]:
    """Find every problem between the sections of a configuration."""
    return [problem for find in _CHECKS for problem in find(config, document)]


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
            yield document.problem(where, "names no upstream", hint=hint)


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
    for file in rendering.files_of(Path(folder)):
        files.note(file)
    for flaw in rendering.flaws(folder):
        yield Problem(flaw.file, flaw.line, 1, "pages.templates", flaw.message)


_CHECKS = (
    check_listeners,
    _upstream_names,
    _sticky_cookies,
    _nowhere,
    check_paths,
    check_logins,
    _accepted_tokens,
    _sent_refresh_tokens,
    check_captures,
    check_fields,
    _secrets,
    _templates,
    check_realms,
    check_limits,
)
