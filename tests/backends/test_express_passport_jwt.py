"""Express with passport-jwt and jsonwebtoken, as their readmes have it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("express_passport_jwt", "node app.js")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The frontend gets a key for `token`, the strategy its JWT, until the logout."""
    reply = site.ask("POST", "/login", data={"username": "test", "password": "test"})
    assert reply.json["success"] is True
    key = reply.json["token"]
    assert key.startswith("lk_")
    reply = site.ask("GET", "/profile", key=key)
    assert (reply.status, reply.json) == (200, {"username": "test"})
    assert site.ask("POST", "/logout", key=key).status == 204
    assert site.ask("GET", "/profile", key=key).status == 401
