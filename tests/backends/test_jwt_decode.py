"""A frontend that reads its token with jwt-decode."""

from tests.backends.frontends import Program
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")
LOG_IN = 'const token = await logIn("test", "test");'


def test_the_key_says_whose_it_is(program: Program, site: Site) -> None:
    """jwt-decode reads the claims; the backend refuses the text, and the gateway takes it."""
    token, user = program.run(f"{LOG_IN} return [token, user(token)];")
    assert user == {"sub": "test", "name": "Test User", "isReader": True, "expired": False}
    assert token.count(".") == 2
    assert site.ask("GET", "/api/me", key=token).json == {"username": "test"}
    assert site.ask("GET", "/api/me", key=token, directly=True).status == 401


def test_whoami_says_it_without_reading_a_key(program: Program) -> None:
    """The same claims, and when the session ends."""
    told = program.run(f"{LOG_IN} return whoAmI(token);")
    assert (told["subject"], told["claims"]) == ("test", {"name": "Test User", "roles": ["reader"]})
    assert told["ends_in"] > 0


def test_a_logout_ends_it_though_it_has_not_expired(program: Program, site: Site) -> None:
    """The end that a key says opens nothing."""
    token = program.run(f"{LOG_IN} return token;")
    assert site.ask("POST", "/logout", key=token).status == 204
    assert site.ask("GET", "/api/me", key=token).status == 401
