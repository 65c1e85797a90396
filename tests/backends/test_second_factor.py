"""A frontend whose backend asks for a code after the password."""

from tests.backends.frontends import Program
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")


def test_the_code_makes_the_session(program: Program, site: Site) -> None:
    """The documented code gets a key after both steps."""
    key = program.run('return logIn("test", "test", () => "123456");')
    assert key.startswith("lk_")
    assert site.ask("GET", "/api/me", key=key).json["username"] == "test"


def test_the_temporary_token_is_no_key(program: Program, site: Site) -> None:
    """The first step passes whole, and opens nothing; neither does a wrong code."""
    reply = program.run('return post("/login/two-factor", {username: "test", password: "test"});')
    assert reply["mfa_required"] is True
    assert site.ask("GET", "/api/me", key=reply["mfa_token"]).status == 401
    assert program.run('return logIn("test", "test", () => "000000");') is None
