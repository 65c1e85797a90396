"""dj-rest-auth with JWTs, as its "Installation" has it: a frontend that keeps the access token."""

from tests.backends.site import Backend, Site

BACKEND = Backend("dj_rest_auth", "python -m tests.backends.serve_django {port}")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The key stands in `access`, cookies with JWTs stay behind, the logout ends the key."""
    credentials = {"username": "alice", "password": "alice's password"}
    reply = site.ask("POST", "/dj-rest-auth/login/", data=credentials)
    assert reply.json["user"]["email"] == "alice@shop.example"
    assert "eyJ" not in f"{reply.headers} {reply.body!r}"
    key = reply.json["access"]
    user = site.ask("GET", "/dj-rest-auth/user/", key=key)
    assert (user.status, user.json["username"]) == (200, "alice")
    out = site.ask("POST", "/dj-rest-auth/logout/", key=key)
    assert (out.status, out.json) == (200, {"detail": "Successfully logged out."})
    assert site.ask("GET", "/dj-rest-auth/user/", key=key).status == 401
