"""fastapi-users with its database strategy, whose tokens are opaque."""

from tests.backends.site import Backend, Site

BACKEND = Backend("fastapi_users_database", "python -m uvicorn app:app --port {port}")
EMAIL, PASSWORD = "king.arthur@camelot.bt", "guinevere"


def test_register_log_in_call_and_log_out(site: Site) -> None:
    """`/users/me` says whose the token is; the backend's logout destroys it."""
    user = {"email": EMAIL, "password": PASSWORD}
    assert site.ask("POST", "/auth/register", data=user).status == 201
    form = {"username": EMAIL, "password": PASSWORD}
    tokens = site.ask("POST", "/auth/db/login", form=form, directly=True).json
    assert "." not in tokens["access_token"]
    keys = [site.ask("POST", "/auth/db/login", form=form).json["access_token"] for _ in range(2)]
    assert all(key.startswith("lk_") for key in keys)
    greeting = site.ask("GET", "/authenticated-route", key=keys[0])
    assert (greeting.status, greeting.json) == (200, {"message": f"Hello {EMAIL}!"})
    assert len(site.ask("GET", "/sessions", key=keys[0]).json["sessions"]) == 2
    assert site.ask("POST", "/auth/db/logout", key=keys[0]).status == 204
    answers = [site.ask("GET", "/authenticated-route", key=key).status for key in keys]
    assert answers == [401, 200]


def test_the_token_itself_is_no_key(site: Site) -> None:
    """It opens nothing at the gateway."""
    form = {"username": EMAIL, "password": PASSWORD}
    token = site.ask("POST", "/auth/db/login", form=form, directly=True).json["access_token"]
    assert site.ask("GET", "/authenticated-route", key=token).status == 401
