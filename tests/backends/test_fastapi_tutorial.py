"""FastAPI with the OAuth2 password form and JWTs of its own tutorial."""

from tests.backends.site import Backend, Site

BACKEND = Backend("fastapi_tutorial", "python -m uvicorn main:app --port {port}")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The OAuth2 reply keeps its shape, with the key as its access token, until the logout."""
    form = {"grant_type": "password", "username": "johndoe", "password": "secret"}
    reply = site.ask("POST", "/token", form=form).json
    assert reply["token_type"] == "bearer"
    key = reply["access_token"]
    assert key.startswith("lk_")
    me = site.ask("GET", "/users/me/", key=key)
    assert (me.status, me.json) == (200, {"username": "johndoe", "full_name": "John Doe"})
    assert site.ask("POST", "/logout", key=key).status == 204
    assert site.ask("GET", "/users/me/", key=key).status == 401


def test_swaggers_page_logs_in(site: Site) -> None:
    """The page and the description that it reads are public, and "Authorize" gets a key."""
    assert b"swagger" in site.ask("GET", "/docs").body
    assert "/token" in site.ask("GET", "/openapi.json").json["paths"]
    # What "Authorize" sends: the client's name and password, both empty, and a form.
    headers = {
        "Accept": "application/json, text/plain, */*",
        "Authorization": "Basic Og==",
        "X-Requested-With": "XMLHttpRequest",
    }
    form = {"grant_type": "password", "username": "johndoe", "password": "secret"}
    reply = site.ask("POST", "/token", form=form, headers=headers)
    assert reply.json["access_token"].startswith("lk_")
