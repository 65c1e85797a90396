"""Flask-JWT-Extended with refresh tokens in cookies, and its CSRF protection."""

import time

import pytest

from tests.backends.site import Backend, Reply, Site

BACKEND = Backend("flask_jwt_refresh", "python -m flask run --port {port}")

OWN_SITE = {"Sec-Fetch-Site": "same-origin"}

# In seconds: longer than a token lives, with which `exp` is cut to whole seconds.
TOKEN_LIFE = 2.1


@pytest.fixture
def cookies(site: Site) -> dict[str, str]:
    """A browser's cookies after a login."""
    return site.ask("POST", "/token/auth", headers=OWN_SITE).cookies


def post(site: Site, cookies: dict[str, str], csrf: str, path: str = "/protected") -> Reply:
    fields = {**OWN_SITE, "X-CSRF-TOKEN": csrf}
    return site.ask("POST", path, cookies=cookies, headers=fields)


def test_the_cookies_hold_keys(cookies: dict[str, str]) -> None:
    """No script reads them; the backend's CSRF cookies are as it set them."""
    assert cookies["access_token_cookie"].startswith("lk_")
    assert cookies["refresh_token_cookie"].startswith("lk_refresh_")
    assert cookies["csrf_access_token"]
    assert cookies["csrf_refresh_token"]


def test_the_double_submit_survives_the_gateways_own_renewals(
    site: Site, cookies: dict[str, str]
) -> None:
    """The browser goes on with the value of its first token, and needs it as before."""
    csrf = cookies["csrf_access_token"]
    assert post(site, cookies, csrf).status == 200
    for _ in range(2):
        time.sleep(TOKEN_LIFE)
        assert (post(site, cookies, csrf)).json == {"foo": "bar"}
    missing = site.ask("POST", "/protected", cookies=cookies, headers=OWN_SITE)
    assert (missing.status, missing.json) == (401, {"msg": "Missing CSRF token"})
    wrong = post(site, cookies, cookies["csrf_refresh_token"])
    assert (wrong.status, wrong.json) == (401, {"msg": "CSRF double submit tokens do not match"})


def test_the_frontend_refreshes_and_gets_the_next_value(
    site: Site, cookies: dict[str, str]
) -> None:
    """Also after a renewal of the gateway's own; and the key stays the same."""
    time.sleep(TOKEN_LIFE)
    assert post(site, cookies, cookies["csrf_access_token"]).status == 200
    reply = post(site, cookies, cookies["csrf_refresh_token"], path="/token/refresh")
    assert (reply.status, reply.json) == (200, {"refresh": True})
    fresh = reply.cookies
    assert fresh["access_token_cookie"] == cookies["access_token_cookie"]
    assert fresh["csrf_access_token"] != cookies["csrf_access_token"]
    assert "refresh_token_cookie" not in fresh
    assert post(site, cookies | fresh, fresh["csrf_access_token"]).status == 200
    time.sleep(TOKEN_LIFE)
    assert post(site, cookies | fresh, fresh["csrf_access_token"]).status == 200


def test_no_other_site_refreshes(site: Site, cookies: dict[str, str]) -> None:
    """A browser sends the cookie along, whoever asks."""
    reply = site.ask(
        "POST", "/token/refresh", cookies=cookies, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert (reply.status, reply.json["reason"]) == (403, "cross_site")


def test_no_other_site_sets_the_cookies(site: Site, cookies: dict[str, str]) -> None:
    """It could bring a refresh key of its own, and make a visitor another user."""
    reply = site.ask(
        "POST",
        "/token/refresh",
        data={"refresh": cookies["refresh_token_cookie"]},
        headers={"Origin": "https://evil.example"},
    )
    assert (reply.status, reply.json["reason"]) == (403, "cross_site")
    assert reply.cookies == {}
