"""Flask-JWT-Extended with tokens in cookies and its CSRF protection, as its docs have it."""

from tests.backends.site import Backend, Reply, Site

BACKEND = Backend("flask_jwt_cookies", "python -m flask run --port {port}")

OWN_SITE = {"Sec-Fetch-Site": "same-origin"}


def logged_in(site: Site) -> dict[str, str]:
    """A browser's cookies after a login: the key for the token, and the backend's own."""
    cookies = site.ask("POST", "/login", headers=OWN_SITE).cookies
    assert cookies["access_token_cookie"].startswith("lk_")
    assert cookies["csrf_access_token"]
    return cookies


def post(site: Site, cookies: dict[str, str], **more: str) -> Reply:
    return site.ask("POST", "/protected", cookies=cookies, headers=OWN_SITE | more)


def test_log_in_call_and_log_out(site: Site) -> None:
    """The key travels in the backend's cookie, and the backend reads its token there."""
    cookies = logged_in(site)
    reply = site.ask("GET", "/protected", cookies=cookies)
    assert (reply.status, reply.json) == (200, {"foo": "bar"})
    out = site.ask("POST", "/logout", cookies=cookies, headers=OWN_SITE)
    assert out.json == {"msg": "logout successful"}
    assert out.cookies["access_token_cookie"] == out.cookies["csrf_access_token"] == ""
    assert site.ask("GET", "/protected", cookies=cookies).status == 401


def test_the_backends_double_submit_protects_as_without_a_gateway(site: Site) -> None:
    """Its own CSRF cookie comes back in X-CSRF-TOKEN, and must be that of its token."""
    cookies = logged_in(site)
    assert post(site, cookies, **{"X-CSRF-TOKEN": cookies["csrf_access_token"]}).status == 200
    without = post(site, cookies)
    assert (without.status, without.json) == (401, {"msg": "Missing CSRF token"})
    wrong = post(site, cookies, **{"X-CSRF-TOKEN": logged_in(site)["csrf_access_token"]})
    assert (wrong.status, wrong.json) == (401, {"msg": "CSRF double submit tokens do not match"})


def test_a_token_that_the_backend_replaces_takes_its_csrf_cookie_along(site: Site) -> None:
    """`refresh_expiring_jwts` sends a new token with an answer, whose CSRF value stands in it."""
    cookies = logged_in(site)
    for _ in range(3):
        reply = site.ask("GET", "/protected", cookies=cookies)
        assert reply.cookies["access_token_cookie"] == cookies["access_token_cookie"]
        assert reply.cookies["csrf_access_token"] != cookies["csrf_access_token"]
        cookies |= reply.cookies
        answered = post(site, cookies, **{"X-CSRF-TOKEN": cookies["csrf_access_token"]})
        assert answered.status == 200
        cookies |= answered.cookies
