"""Callers with tokens of their own: what is remembered of them, and for how long."""

import math
import time

from gateway.config.session_sections import IdentityField
from gateway.core.sessions.identity_headers import IdentityHeaders
from gateway.core.sessions.realms import Realm
from gateway.core.tokens.claims import Claims
from gateway.observe.unsent_fields import UnsentFields
from gateway.relay.access.jwt_callers import JwtCallers
from tests.support.signing import payload, rsa_signer

FIELDS = {
    "X-User-Id": IdentityField(claim="sub"),
    "X-Role": IdentityField(claim="role"),
    "X-Session-Handle": IdentityField(session="handle"),
}


class Reader:
    """Believes everything, and counts how often it is asked."""

    def __init__(self, expires: float | None = None) -> None:
        self.asked = 0
        self.expires = expires

    async def __call__(self, token: str) -> Claims:
        self.asked += 1
        return Claims(payload(role="admin"), self.expires)


def jwt_callers_of(read: Reader) -> JwtCallers:
    render = IdentityHeaders(FIELDS, UnsentFields())
    return JwtCallers(read, render, Realm(), ("sub",))


async def test_a_token_is_verified_once_in_a_while() -> None:
    """And never after it has expired."""
    read = Reader(time.time() + 3600)
    jwt_callers = jwt_callers_of(read)
    found = [await jwt_callers.session_of(b"a.b.c") for _ in range(100)]
    assert read.asked == 1
    assert all(resolved is found[0] for resolved in found)
    assert found[0].expires <= time.time() + 10
    read.expires = time.time() - 1
    for _ in range(3):
        await jwt_callers.session_of(b"expired.within.leeway")
    assert read.asked == 4


async def test_what_is_remembered_is_bounded() -> None:
    """However many tokens an issuer gives out."""
    read = Reader()
    jwt_callers = jwt_callers_of(read)
    for number in range(3000):
        await jwt_callers.session_of(b"a.b.%d" % number)
    assert read.asked == 3000
    assert len(jwt_callers._known) <= 1000


async def test_what_requests_get_of_a_token() -> None:
    """Its claims as they were verified, the fields for upstreams, and no session."""
    token = rsa_signer().token().encode()
    resolved = await jwt_callers_of(Reader()).session_of(token)
    assert resolved.token == token
    assert resolved.lines == b"X-User-Id: alice\r\nX-Role: admin\r\n"
    assert resolved.session.claims["role"] == "admin"
    assert (resolved.session.id, resolved.session.refresh) == ("", "")
    assert resolved.session.ends_at == math.inf


async def test_another_claim_names_the_subject() -> None:
    """As `jwt.subject` says: a claim, or a place inside of one."""
    render = IdentityHeaders(FIELDS, UnsentFields())
    for names, subject in ((("azp", "role"), "admin"), (("/nothing/id",), "")):
        callers = JwtCallers(Reader(), render, Realm(), names)
        assert (await callers.session_of(b"a.b.c")).session.subject == subject
