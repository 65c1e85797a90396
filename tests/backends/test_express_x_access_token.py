"""Express with the token in `x-access-token`, as many tutorials have it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("express_x_access_token", "node server.js")


def test_log_in_call_and_log_out(site: Site) -> None:
    """Both sides use the field: the frontend with its key, the gateway with the token."""
    credentials = {"username": "test", "password": "test"}
    reply = site.ask("POST", "/api/auth/signin", data=credentials).json
    assert reply["roles"] == ["ROLE_USER"]
    frontend = {"x-access-token": reply["accessToken"]}
    content = site.ask("GET", "/api/test/user", headers=frontend)
    assert (content.status, content.body) == (200, b"User Content of 1.")
    assert site.ask("POST", "/logout", headers=frontend).status == 204
    assert site.ask("GET", "/api/test/user", headers=frontend).status == 401


def test_public_pages_need_no_key(site: Site) -> None:
    """They are the backend's own, and so is the refusal of a wrong password."""
    assert site.ask("GET", "/api/test/all").body == b"Public Content."
    wrong = {"username": "test", "password": "wrong"}
    refused = site.ask("POST", "/api/auth/signin", data=wrong)
    alone = site.ask("POST", "/api/auth/signin", data=wrong, directly=True)
    assert (refused.status, refused.body) == (alone.status, alone.body)
