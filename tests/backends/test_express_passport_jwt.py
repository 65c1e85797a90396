"""Express with passport-jwt and jsonwebtoken, as their readmes have it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("express_passport_jwt", "node app.js")


def test_log_in_call_and_log_out(site: Site) -> None:
    """`Bearer` and a key stand in `token`, which the frontend sends as it is, until the logout."""
    reply = site.ask("POST", "/login", data={"username": "test", "password": "test"})
    assert reply.json["success"] is True
    assert reply.json["token"].startswith("Bearer lk_")
    frontend = {"Authorization": reply.json["token"]}
    profile = site.ask("GET", "/profile", headers=frontend)
    assert (profile.status, profile.json) == (200, {"username": "test"})
    assert site.ask("POST", "/logout", headers=frontend).status == 204
    assert site.ask("GET", "/profile", headers=frontend).status == 401


def test_a_users_devices_are_listed(site: Site) -> None:
    """The claim `id`, which passport-jwt's readers use, names the user of the sessions."""
    credentials = {"username": "test", "password": "test"}
    frontends = [
        {"Authorization": site.ask("POST", "/login", data=credentials).json["token"]}
        for _ in range(2)
    ]
    sessions = site.ask("GET", "/sessions", headers=frontends[0]).json["sessions"]
    assert [session["current"] for session in sessions] == [True, False]
    assert site.ask("POST", "/logout?scope=others", headers=frontends[0]).status == 204
    assert site.ask("GET", "/profile", headers=frontends[1]).status == 401
