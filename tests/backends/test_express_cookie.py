"""Express with a JWT in an httpOnly cookie, by cookie-parser and jsonwebtoken."""

from tests.backends.site import Backend, Site

BACKEND = Backend("express_cookie", "node app.js")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The backend's cookie holds the key, its own logout ends the session, other cookies pass."""
    from_page = {"Origin": site.url}
    credentials = {"email": "test@shop.example", "password": "test"}
    reply = site.ask("POST", "/auth/login", data=credentials, headers=from_page)
    assert reply.json == {"user": {"id": 7, "email": "test@shop.example"}}
    assert reply.cookies["token"].startswith("lk_")
    cookies = {"theme": "dark", **reply.cookies}
    me = site.ask("GET", "/auth/me", cookies=cookies)
    assert (me.status, me.json["id"], sorted(me.json["cookies"])) == (200, 7, ["theme", "token"])
    out = site.ask("POST", "/auth/logout", cookies=cookies, headers=from_page)
    assert (out.json, out.cookies["token"]) == ({"message": "Logged out"}, "")
    assert site.ask("GET", "/auth/me", cookies=cookies).status == 401
