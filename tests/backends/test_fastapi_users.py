"""fastapi-users with the bearer transport, as its full example has it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("fastapi_users", "python -m uvicorn app:app --port {port}")
EMAIL, PASSWORD = "king.arthur@camelot.bt", "guinevere"


def test_register_log_in_call_and_log_out(site: Site) -> None:
    """A user registers, logs in with the form, and calls until the backend's own logout."""
    user = {"email": EMAIL, "password": PASSWORD}
    assert site.ask("POST", "/auth/register", data=user).status == 201
    form = {"username": EMAIL, "password": PASSWORD}
    reply = site.ask("POST", "/auth/jwt/login", form=form).json
    key = reply["access_token"]
    assert key.startswith("lk_")
    greeting = site.ask("GET", "/authenticated-route", key=key)
    assert (greeting.status, greeting.json) == (200, {"message": f"Hello {EMAIL}!"})
    assert site.ask("POST", "/auth/jwt/logout", key=key).status == 204
    assert site.ask("GET", "/authenticated-route", key=key).status == 401
