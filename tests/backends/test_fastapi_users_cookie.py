"""fastapi-users with the cookie transport, as its documentation has it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("fastapi_users", "python -m uvicorn app:app --port {port}")
EMAIL, PASSWORD = "king.arthur@camelot.bt", "guinevere"


def test_the_key_takes_the_cookies_place(site: Site) -> None:
    """The backend's own cookie carries the key to the gateway and the token to the backend."""
    user = {"email": EMAIL, "password": PASSWORD}
    assert site.ask("POST", "/auth/register", data=user).status == 201
    from_page = {"Origin": site.url}
    form = {"username": EMAIL, "password": PASSWORD}
    reply = site.ask("POST", "/auth/cookie/login", form=form, headers=from_page)
    assert (reply.status, reply.body) == (204, b"")
    cookies = reply.cookies
    assert cookies["fastapiusersauth"].startswith("lk_")
    greeting = site.ask("GET", "/cookie/authenticated-route", cookies=cookies)
    assert (greeting.status, greeting.json) == (200, {"message": f"Hello {EMAIL}!"})
    out = site.ask("POST", "/auth/cookie/logout", cookies=cookies, headers=from_page)
    assert out.cookies == {"fastapiusersauth": ""}
    assert site.ask("GET", "/cookie/authenticated-route", cookies=cookies).status == 401
