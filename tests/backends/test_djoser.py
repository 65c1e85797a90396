"""djoser with JWTs, whose documentation has the scheme `JWT` in place of `Bearer`."""

from tests.backends.site import Backend, Site

BACKEND = Backend("djoser", "python -m tests.backends.serve_django {port}")


def test_log_in_call_and_log_out(site: Site) -> None:
    """Both sides speak of `JWT`: the frontend with its key, the gateway with the token."""
    credentials = {"username": "alice", "password": "alice's password"}
    key = site.ask("POST", "/auth/jwt/create/", data=credentials).json["access"]
    frontend = {"Authorization": f"JWT {key}"}
    me = site.ask("GET", "/auth/users/me/", headers=frontend)
    assert (me.status, me.json["email"]) == (200, "alice@shop.example")
    assert site.ask("POST", "/logout", headers=frontend).status == 204
    assert site.ask("GET", "/auth/users/me/", headers=frontend).status == 401


def test_a_user_signs_up(site: Site) -> None:
    """djoser's sign-up is public."""
    user = {"username": "carol", "password": "a carol's own password"}
    assert site.ask("POST", "/auth/users/", data=user).status == 201
