"""Flask-JWT-Extended with tokens in header fields, as its "Basic Usage" has it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("flask_jwt_extended", "python -m flask run --port {port}")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The frontend gets a key for `access_token`, the backend its token, until the logout."""
    reply = site.ask("POST", "/login", data={"username": "test", "password": "test"})
    key = reply.json["access_token"]
    assert key.startswith("lk_")
    reply = site.ask("GET", "/protected", key=key)
    assert (reply.status, reply.json) == (200, {"logged_in_as": "test"})
    assert site.ask("POST", "/logout", key=key).status == 204
    assert site.ask("GET", "/protected", key=key).status == 401


def test_the_frontend_refreshes(site: Site) -> None:
    """It sends its refresh key in `Authorization`, and each key is refused in the other's place."""
    reply = site.ask("POST", "/login", data={"username": "test", "password": "test"}).json
    refreshed = site.ask("POST", "/refresh", key=reply["refresh_token"])
    assert refreshed.status == 200, refreshed.body
    key = refreshed.json["access_token"]
    assert site.ask("GET", "/protected", key=key).json == {"logged_in_as": "test"}
    assert site.ask("GET", "/protected", key=reply["refresh_token"]).status == 401
    assert site.ask("POST", "/refresh", key=key).status == 401


def test_a_refusal_is_the_backends_own(site: Site) -> None:
    """A wrong password is answered as if there were no gateway."""
    wrong = {"username": "test", "password": "wrong"}
    through = site.ask("POST", "/login", data=wrong)
    alone = site.ask("POST", "/login", data=wrong, directly=True)
    assert (through.status, through.body) == (alone.status, alone.body)
    assert through.json == {"msg": "Bad username or password"}
